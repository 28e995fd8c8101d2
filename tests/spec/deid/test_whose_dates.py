"""Chapter: only a patient's own dates move. What an outsider knows never does: it would give away the shift."""

from __future__ import annotations

import random
from datetime import date, timedelta

import pytest
from pydicom._dicom_dict import DicomDictionary
from pydicom.dataset import Dataset

from readfirst.domain.deid.dicom.standard_tables import EXTRA_VRS
from readfirst.domain.deid.identity import IdentityRecord, PatientIdentity, StudyIdentity
from readfirst.domain.deid.rules.whose_dates import moments, moves, placeholder
from readfirst.domain.pseudonyms import Pseudonyms
from readfirst.domain.reading.reidentify import relink
from tests.spec.deid.conftest import Clean, Cleaner

PLACEHOLDERS = (
    "19000101",
    "19700101",
    "00010101",
    "99991231",
    "18000101",
    "16010101",
    "18581117",
    "18991230",
    "19040101",
    "19691231",
    "19800101",
    "20000101",
    "20380119",
    "20991231",
    "19010101",
    "19500101",
)
PROFILES = ("triage-default", "research-sharing", "strict")
DUMMY = "19000101"


def shift_of(done: Clean) -> int:
    """How far the dates of a clean copy lie back."""
    (patient,) = done.identity.patients.values()
    return patient.shift_days


def back(day: str, days: int) -> str:
    """A day moved into the past; as it is where that would lie before the first day of the calendar."""
    try:
        return (date(int(day[:4]), int(day[4:6]), int(day[6:8])) - timedelta(days=days)).strftime("%Y%m%d")
    except (OverflowError, ValueError):
        return day


def dated(values: dict[int, str]) -> Dataset:
    """An item with these dates and times."""
    item = Dataset()
    for tag, value in values.items():
        item.add_new(tag, moments()[tag].vr, value)
    return item


def everywhere(ct: Dataset, values: dict[int, str]) -> Dataset:
    """The image with the dates at its top, in an item, and in an item of an item."""
    for tag, value in values.items():
        ct.add_new(tag, moments()[tag].vr, value)
    outer = dated(values)
    outer.SourceImageSequence = [dated(values)]
    ct.SourceImageSequence = [outer]
    return ct


def days_in(ds: Dataset) -> list[tuple[int, str]]:
    """(tag, YYYYMMDD) of every date of a data set, at any depth."""
    return [
        (int(e.tag), str(value)[:8])
        for e in ds.iterall()
        if e.VR in ("DA", "DT") and e.value
        for value in ([e.value] if isinstance(e.value, str) else e.value)
    ]


def test_every_date_and_time_of_the_standard_has_an_owner_and_a_reason() -> None:
    standard = {t for t, entry in DicomDictionary.items() if entry[0] in ("DA", "DT", "TM")}
    standard |= {t for t, vr in EXTRA_VRS.items() if vr in ("DA", "DT", "TM")}
    assert standard <= set(moments())
    assert all(m.why and m.belongs for m in moments().values())


@pytest.mark.parametrize("profile", PROFILES)
def test_a_date_that_is_not_the_patients_never_moves(ct: Dataset, clean: Cleaner, profile: str) -> None:
    ct.BodyPartExamined = "CHEST"
    others = {t: "20150303" for t, m in moments().items() if not moves(t) and m.vr in ("DA", "DT")}
    del others[0x00100030]  # a birth date on that day would make it a day of this patient
    assert len(others) > 25
    done = clean(everywhere(ct, others), profile=profile)
    left = {(tag, day) for tag, day in days_in(done.ds) if tag in others}
    standards = {t for t in others if moments()[t].belongs == "standard"}
    assert left <= {(t, "20150303") for t in standards} | {(t, DUMMY) for t in others}
    assert (0x00080106, "20150303") in left, "the version of a context group stays as it is printed"


def test_the_times_of_a_device_go_with_its_dates(ct: Dataset, clean: Cleaner) -> None:
    times = {t: "050607" for t, m in moments().items() if not moves(t) and m.vr == "TM"}
    left = {e.value for e in clean(everywhere(ct, times)).ds.iterall() if int(e.tag) in times}
    assert "050607" not in left


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("value", PLACEHOLDERS)
def test_what_a_system_writes_that_knows_no_date_is_gone_from_every_attribute(
    ct: Dataset, clean: Cleaner, profile: str, value: str
) -> None:
    ct.BodyPartExamined = "CHEST"
    every = {t: value for t, m in moments().items() if m.vr in ("DA", "DT")}
    done = clean(everywhere(ct, every), profile=profile)
    days = {day for _, day in days_in(done.ds)}
    assert days <= {DUMMY}
    assert back(value, shift_of(done)) not in days


@pytest.mark.parametrize(
    "value", ["1970", "197001", "19700101000000.000000+0000", "0001.01.01", "2031.12.31", "20240222"]
)
def test_a_placeholder_is_known_in_every_precision_and_by_the_birth(value: str) -> None:
    assert placeholder(value, born="20240223")


def test_the_patients_dates_still_move_together(ct: Dataset, clean: Cleaner) -> None:
    own = {t: "20240215" for t, m in moments().items() if moves(t) and m.vr in ("DA", "DT")}
    done = clean(everywhere(ct, own))
    moved = back("20240215", shift_of(done))
    assert len(own) > 80
    assert {day for tag, day in days_in(done.ds) if tag in own} == {moved}


def test_a_day_of_the_study_in_the_place_of_a_printed_date_does_not_stay(ct: Dataset, clean: Cleaner) -> None:
    region = Dataset()
    region.CodeValue, region.CodingSchemeDesignator, region.CodeMeaning = "51185008", "SCT", "Chest"
    region.ContextGroupVersion = "20240229"
    ct.AnatomicRegionSequence = [region]
    done = clean(ct)
    assert done.ds.AnatomicRegionSequence[0].get("ContextGroupVersion", "")[:8] in ("", DUMMY)


def content(code: str, meaning: str, kind: str, value: str, scheme: str = "DCM") -> Dataset:
    """A content item with a date."""
    item, concept = Dataset(), Dataset()
    concept.CodeValue, concept.CodingSchemeDesignator, concept.CodeMeaning = code, scheme, meaning
    item.RelationshipType, item.ValueType, item.ConceptNameCodeSequence = "CONTAINS", kind, [concept]
    setattr(item, {"DATE": "Date", "DATETIME": "DateTime"}[kind], value)
    return item


def test_a_content_item_moves_only_when_the_standard_says_that_it_dates_the_care(ct: Dataset, clean: Cleaner) -> None:
    ct.AcquisitionContextSequence = [
        content("111060", "Study Date", "DATE", "20240229"),
        content("113723", "Calibration DateTime", "DATETIME", "20230404101010"),
        content("SVC1", "Letzte Wartung", "DATE", "20230404", scheme="99ACME"),
    ]
    done = clean(ct)
    study, calibrated, serviced = done.ds.AcquisitionContextSequence
    assert study.Date == done.ds.StudyDate != "20240229"
    assert calibrated.DateTime[:8] == serviced.Date == DUMMY


@pytest.mark.parametrize(
    ("vr", "value"), [("UL", 1709210000), ("FD", 1709210000123.0), ("IS", "1709210000"), ("UL", 20240229)]
)
def test_a_private_number_that_says_the_day_of_the_study_goes(
    ct: Dataset, clean: Cleaner, vr: str, value: object
) -> None:
    declared = Dataset()
    declared.add_new(0x00080301, "US", 0x0029)
    declared.add_new(0x00080302, "LO", "ACME TIMES")
    declared.add_new(0x00080303, "CS", "SAFE")
    ct.add_new(0x00080300, "SQ", [declared])
    ct.add_new(0x00290010, "LO", "ACME TIMES")
    ct.add_new(0x00291001, vr, value)
    ct.add_new(0x00291002, "UL", 512)
    ds = clean(ct).ds
    assert 0x00291001 not in ds
    assert ds[0x00291002].value == 512


def test_a_birth_date_in_another_calendar_goes(ct: Dataset, clean: Cleaner) -> None:
    ct.PatientBirthDateInAlternativeCalendar = "1370-07-16"
    assert "PatientBirthDateInAlternativeCalendar" not in clean(ct).ds


@pytest.mark.parametrize("profile", ["triage-default", "research-sharing"])
def test_known_plaintext_over_drawn_files(ct: Dataset, clean: Cleaner, profile: str) -> None:
    """Whatever stands where: no pair of an outsider's value and a clean value differs by the shift."""
    ct.BodyPartExamined = "CHEST"
    rng = random.Random(20)
    tags = [t for t, m in moments().items() if m.vr in ("DA", "DT")]
    for _ in range(40):
        known = {t: rng.choice((*PLACEHOLDERS, "20190401", "20110614")) for t in rng.sample(tags, 12)}
        outside = {(t, v) for t, v in known.items() if v in PLACEHOLDERS or not moves(t)}
        done = clean(everywhere(_copy(ct), known), profile=profile)
        shift = shift_of(done)
        assert not {(t, back(v, shift)) for t, v in outside} & set(days_in(done.ds))


def _copy(ds: Dataset) -> Dataset:
    copied = Dataset()
    copied.file_meta = ds.file_meta
    copied.update(ds)
    return copied


def test_a_result_comes_home_with_its_own_dates_moved_back_and_nobody_elses(names: Pseudonyms) -> None:
    identity = IdentityRecord(
        clinic="hilltop", token="t", handle="h", clean_study_uid="2.25.1", study=StudyIdentity(study_uid="1.2.3"),
        patients={"p": PatientIdentity(patient_id="MRN-1", shift_days=100)},
    )  # fmt: skip
    result, code = Dataset(), Dataset()
    result.StudyInstanceUID, result.PatientID, result.ContentDate = "2.25.1", "p", "20200101"
    code.ContextGroupVersion, result.SeriesDate = "20150303", DUMMY
    result.AnatomicRegionSequence = [code]
    home = relink(result, identity)
    assert home.ContentDate == "20200410"
    assert home.AnatomicRegionSequence[0].ContextGroupVersion == "20150303"
    assert home.SeriesDate == DUMMY
