"""Chapter: an adversary's files. Persons of twelve scripts, in places and encodings drawn by chance, do not show."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from readfirst.domain.deid import KnownIdentifiers
from readfirst.domain.deid.text.scrubber import Scrubber
from readfirst.domain.pseudonyms import Pseudonyms
from readfirst.domain.refusals import Reason, Refused
from tests.drawn.attacks import attack, shown
from tests.spec.deid.conftest import ROOT, Clean, Cleaner, attempt

NAMES = Pseudonyms(ROOT, "hilltop")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("tens", range(0, 400, 10))
def test_nothing_of_a_person_shows_wherever_it_was_written(tens: int) -> None:
    for seed in range(tens, tens + 10):
        what, who, content = attack(seed)
        assert shown(content, who), f"{seed}: the file itself shows the person"
        done = attempt(content, NAMES)
        assert isinstance(done, Clean), (seed, what, done)
        assert shown(done.content, who) == [], (seed, what)


def test_an_icon_in_any_sequence_goes(ct: Dataset, clean: Cleaner) -> None:
    icon = Dataset()
    icon.Rows = icon.Columns = 4
    icon.BitsAllocated, icon.PixelData = 8, b"Somebody Else's!"
    ct.CTExposureSequence = [icon]
    assert b"Somebody" not in clean(ct).content


def test_the_meaning_of_a_person_code_is_a_name_for_free_text(ct: Dataset, clean: Cleaner) -> None:
    code, person = Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "U4711", "99HILL", "Dr. Violetta Zubrowska"
    person.PersonIdentificationCodeSequence = [code]
    ct.PerformingPhysicianIdentificationSequence = [person]
    ct.SeriesDescription = "Chest, asked for by zubrowska, U4711"
    assert clean(ct).ds.SeriesDescription == "Chest, asked for by ***, ***"


def test_a_name_under_a_wrong_vr_is_still_learned(ct: Dataset, clean: Cleaner) -> None:
    del ct.PatientName
    ct.add_new(0x00100010, "LO", "Quillfeather^Oswina")
    assert clean(ct).ds.StudyDescription.startswith("CT chest, ***")


@pytest.mark.parametrize(
    "text",
    ["Ivan Kovalchuk", "Kovalchuk, Iwan", "KOVALCHUK", "Ковалчук", "Kowalchuk", "Коваль\u00adчук", "К о в а л ь ч у к"],
)
def test_a_name_is_found_in_another_alphabet(text: str) -> None:
    clean = Scrubber(KnownIdentifiers(names=frozenset(("Ковальчук^Иван",)))).scrub(f"chest {text}")
    assert clean.startswith("chest ***")
    assert "ovalch" not in clean.lower()


@pytest.mark.parametrize(
    "text", ["290224", "29-02-24", "240229", "29/02", "02-29", "٢٩/٠٢/٢٠٢٤", "２９．０２．２４", "29022024"]
)
def test_a_known_date_is_found_in_any_order_and_digits(text: str) -> None:
    assert Scrubber(KnownIdentifiers(dates=frozenset(("20240229",)))).scrub(f"seen {text}") == "seen ***"


@pytest.mark.parametrize("text", ["mother Anna Kowalska", "Patientin Oswina Brakspear", "radiologist Tobias Brakspear"])
def test_people_who_stand_in_no_attribute_are_found_by_what_they_are(text: str) -> None:
    clean = Scrubber(KnownIdentifiers()).scrub(text)
    assert not any(name in clean for name in ("Anna", "Kowalska", "Oswina", "Brakspear"))


@pytest.mark.parametrize("text", ["M%C3%BCllerfeld chest", "M&uuml;llerfeld", "M&#252;llerfeld", "Qu&#105;llfeather"])
def test_a_name_written_for_the_web_is_found(ct: Dataset, clean: Cleaner, text: str) -> None:
    ct.OtherPatientNames = "Müllerfeld^Zoë"
    ct.SpecificCharacterSet = "ISO_IR 192"
    ct.ImageComments = text
    assert clean(ct).ds.ImageComments == "***"


@pytest.mark.timeout(60)
@pytest.mark.parametrize("text", ["1", "A", "a.", "Dr ", "1-", "aB3", "april nineteen "])
def test_a_long_text_takes_no_long_time(text: str) -> None:
    known = KnownIdentifiers(names=frozenset(("Quillfeather^Oswina",)), ids=frozenset(("4801177",)))
    assert Scrubber(known).scrub(text * (60_000 // len(text))) is not None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("profile", ["strict", "research-sharing"])
def test_nothing_of_a_person_shows_under_the_other_profiles(profile: str) -> None:
    for seed in range(5000, 5100):
        what, who, content = attack(seed)
        done = attempt(content, NAMES, profile=profile)
        if isinstance(done, Refused) and done.reason == Reason.VISUAL_FEATURES:
            continue  # nobody can tell which part of the body it shows
        assert isinstance(done, Clean), (seed, what, done)
        assert shown(done.content, who) == [], (seed, what)
