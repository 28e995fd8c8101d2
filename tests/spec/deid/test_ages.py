"""Chapter: whoever is older than 89 is 90, wherever an age is written."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from readfirst.domain.deid import KnownIdentifiers
from readfirst.domain.deid.text.scrubber import Scrubber
from readfirst.domain.pseudonyms import Pseudonyms
from tests.spec.deid.conftest import Cleaner
from tests.spec.deid.objects import code, content, number, report
from tests.spec.deid.test_other_objects import taken

PROFILES = ("triage-default", "research-sharing", "strict")


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("age", "left"), [("097Y", "090Y"), ("089Y", "089Y"), ("090Y", "090Y"), ("006M", "006M")])
def test_an_age_in_an_item_is_capped_like_the_patients(
    ct: Dataset, clean: Cleaner, profile: str, age: str, left: str
) -> None:
    ct.BodyPartExamined, inner, outer = "CHEST", Dataset(), Dataset()
    inner.PatientAge = age
    outer.PatientAge, outer.SourceImageSequence = age, [inner]
    ct.SourceImageSequence = [outer]
    item = clean(ct, profile=profile).ds.SourceImageSequence[0]
    assert (item.PatientAge, item.SourceImageSequence[0].PatientAge) == (left, left)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    ("concept", "value", "unit", "left"),
    [
        (code("121033", "DCM", "Subject Age"), "97", "a", 90),
        (code("121033", "DCM", "Subject Age"), "1170", "mo", 1080),
        (code("30525-0", "LN", "Age"), "91.5", "a", 90),
        (code("AGE1", "99HILL", "Alter der Patientin"), "94", "a", 90),
        (code("121033", "DCM", "Subject Age"), "88", "a", 88),
        (code("81827009", "SCT", "Diameter"), "97", "mm", 97),
    ],
)
def test_an_age_in_a_report_is_capped_in_its_unit(
    names: Pseudonyms, profile: str, concept: Dataset, value: str, unit: str, left: float
) -> None:
    original = report()
    measured = number(concept, value, unit)
    measured.MeasuredValueSequence[0].FloatingPointValue = float(value)
    original.ContentSequence = [measured]
    (item,) = taken(original, names, profile).ds.ContentSequence
    assert item.MeasuredValueSequence[0].NumericValue == left
    assert item.MeasuredValueSequence[0].get("FloatingPointValue", left) == left


def test_an_age_that_a_report_says_in_words_is_capped(names: Pseudonyms) -> None:
    original = report()
    original.ContentSequence = [content("TEXT", code("121033", "DCM", "Subject Age"), TextValue="097Y")]
    (item,) = taken(original, names, "triage-default").ds.ContentSequence
    assert "97" not in item.TextValue


@pytest.mark.parametrize(
    "text",
    ["97F, fall", "97 y.o.", "aged 92 y", "92 anni", "M/93", "97 J.", "98-jährige Patientin", "Age: 101", "97 ans",
     "91 years", "female, 95", "097Y", "born 1927", "Jg. 1927", "a ninety-one-year-old", "in her late 90s", "93 años",
     "97歳"],
)  # fmt: skip
def test_an_age_over_89_goes_from_text(text: str) -> None:
    clean = Scrubber(KnownIdentifiers()).scrub(text)
    assert "***" in clean
    assert not any(age in clean for age in ("97", "92", "93", "98", "101", "91", "95", "1927", "90s", "ninety"))


@pytest.mark.parametrize(
    "text",
    [
        "67F, fall",
        "89 years old",
        "temp 99 F",
        "window 95 level 40",
        "92 mm",
        "T1 100 ms",
        "92% stenosis",
        "120 kV",
        "95 Fr",
    ],
)
def test_other_numbers_stay(text: str) -> None:
    assert Scrubber(KnownIdentifiers()).scrub(text) == text
