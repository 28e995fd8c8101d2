"""Chapter: names, numbers and dates in free text."""

from __future__ import annotations

import tomllib
from importlib import resources

import pytest

from benchmarks.deid_privacy import precision
from readfirst.domain.deid import KnownIdentifiers
from readfirst.domain.deid.text.patterns import patterns
from readfirst.domain.deid.text.scrubber import Scrubber

PARKER = KnownIdentifiers(
    names=frozenset(("Parker^Gleasona^Bea", "Brakspear^Tobias^^Dr", "Long^Mary")),
    ids=frozenset(("MRN-0048213", "ACC998877")),
    phrases=frozenset(("Hilltop Imaging",)),
)
OTHERS = KnownIdentifiers(
    names=frozenset(("山田^太郎=やまだ^たろう", "Müller-Ångström^Zoë", "O'Brien^Seán", "Παπαδόπουλος^Νίκος"))
)
PATTERNS = tomllib.loads((resources.files("readfirst.domain.deid") / "data/patterns.toml").read_text("utf-8"))[
    "pattern"
]


@pytest.mark.parametrize(
    "text",
    [
        "Parker",
        "PARKER, GLEASONA",
        "parkers kidney",
        "Parker's kidney",
        "Prker",
        "Parkre",
        "P a r k e r",
        "P-A-R-K-E-R",
        "gbparker",
        "G. B. Parker",
        "GBP",
        "Dr Brackspear",
        "MARY LONG",
    ],
)
def test_a_known_name_is_found_however_it_is_written(text: str) -> None:
    clean = Scrubber(PARKER).scrub(f"seen again, {text}")
    assert "***" in clean
    assert not any(part.lower() in clean.lower() for part in ("park", "gleasona", "mary", "spear", "GBP"))


@pytest.mark.parametrize("text", ["mrn 0048213", "48213", "MRN 00-48-213", "acc 998 877", "ACC.998877"])
def test_a_known_number_is_found_in_any_punctuation(text: str) -> None:
    assert not any(c.isdigit() for c in Scrubber(PARKER).scrub(text))


@pytest.mark.parametrize(
    "text",
    [
        "山田太郎 胸部",
        "ヤマダタロウ",
        "Muller",
        "MUELLER",
        "Angstrom",
        "Zoe",
        "obrien",
        "O’BRIEN",
        "Sean",
        "ΠΑΠΑΔΟΠΟΥΛΟΣ",
    ],
)
def test_a_name_is_found_in_every_script_and_without_its_accents(text: str) -> None:
    assert Scrubber(OTHERS).scrub(text).startswith("***")


@pytest.mark.parametrize(
    "text",
    [
        "Hodgkin lymphoma, Gleason 7, Parkinson disease, marker at the apex",
        "Long axis view, 512x512, 120 kV, 1.25 mm",
        "CT THORAX ABDOMEN W/O CONTRAST, AP and lateral, series 4 of 12",
        "imaging of the hilum at the hilltop",
        "GE LightSpeed VCT, kernel BONEPLUS, 3.10.5",
        "follow-up 12/2 mm nodule, RECIST 1.1, Lung-RADS 4B, T2N1M0",
    ],
)
def test_clinical_words_stay_beside_a_patient_with_a_similar_name(text: str) -> None:
    assert Scrubber(PARKER).scrub(text) == text


@pytest.mark.parametrize(("entry", "text"), [(e, t) for e in PATTERNS for t in e["finds"]])
def test_every_pattern_finds_its_examples(entry: dict[str, str], text: str) -> None:
    assert patterns()[entry["name"]].search(text)
    assert "***" in Scrubber(KnownIdentifiers()).scrub(text)


@pytest.mark.parametrize("text", [t for e in PATTERNS for t in e["leaves"]])
def test_every_pattern_leaves_what_only_looks_like_it(text: str) -> None:
    assert Scrubber(KnownIdentifiers()).scrub(text) == text


def test_a_placeholder_for_a_name_is_no_name() -> None:
    known = KnownIdentifiers(names=frozenset(("Removed by CTP", "ANONYMOUS", "Test^Patient")))
    text = "Removed by suction, patient supine, test injection"
    assert Scrubber(known).scrub(text) == text


def test_clinical_phrases_stay_and_names_go_beside_patients_called_like_words() -> None:
    for group in precision():
        assert group.lost == ()
        assert group.goes.right == group.goes.all > 5
        assert group.stays.all > 300
