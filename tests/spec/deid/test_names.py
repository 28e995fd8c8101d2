"""Chapter: what a clean copy is called."""

from __future__ import annotations

import copy
import hashlib
import io
from datetime import datetime, timedelta
from functools import reduce

import pytest
from pydicom.dataset import Dataset

from readfirst.domain.deid import (
    Deidentified,
    KnownIdentifiers,
    deidentify,
    known_identifiers,
    load_profile,
    read_header,
    stated_person,
)
from readfirst.domain.intake.person import Person, Stated, person_of, persons
from readfirst.domain.pseudonyms import Pseudonyms
from readfirst.domain.refusals import Reason, Refused
from tests.spec.deid.conftest import HANDLE, ROOT, Cleaner, file_of


def test_the_patient_becomes_a_token_and_the_study_a_handle(ct: Dataset, names: Pseudonyms, clean: Cleaner) -> None:
    ds = clean(ct).ds
    assert ds.PatientID == names.patient_token("HILLTOP", "MRN-0048213")
    assert ds.AccessionNumber == ds.StudyID == HANDLE
    assert "Quillfeather" not in str(ds.PatientName)


def test_uids_are_replaced_consistently_and_agree_with_the_file_meta_information(
    ct: Dataset, names: Pseudonyms, clean: Cleaner
) -> None:
    first, second = clean(ct), clean(ct)
    assert first.ds.StudyInstanceUID == names.uid(ct.StudyInstanceUID) == second.ds.StudyInstanceUID
    assert first.ds.file_meta.MediaStorageSOPInstanceUID == first.ds.SOPInstanceUID != ct.SOPInstanceUID
    assert first.ds.SOPClassUID == ct.SOPClassUID
    assert first.content == second.content


def test_the_same_person_of_two_clinics_gets_two_tokens(ct: Dataset, clean: Cleaner) -> None:
    assert clean(ct).ds.PatientID != clean(ct, names=Pseudonyms(ROOT, "valley")).ds.PatientID


def test_files_without_a_patient_id_are_one_person_only_within_their_study(ct: Dataset, clean: Cleaner) -> None:
    ct.PatientID = ""
    here = clean(ct).ds.PatientID
    ct.StudyInstanceUID = "1.2.826.0.1.3680043.9.7.1.99"
    assert clean(ct).ds.PatientID != here


def test_dates_move_into_the_past_with_their_order_and_intervals(
    ct: Dataset, names: Pseudonyms, clean: Cleaner
) -> None:

    done = clean(ct)
    days = names.shift_days(names.patient_token("HILLTOP", "MRN-0048213"))
    study = datetime.strptime(f"{done.ds.StudyDate}{done.ds.StudyTime}", "%Y%m%d%H%M%S")  # noqa: DTZ007
    series = datetime.strptime(f"{done.ds.SeriesDate}{done.ds.SeriesTime}", "%Y%m%d%H%M%S")  # noqa: DTZ007
    assert study == datetime(2024, 2, 29, 14, 22, 5) - timedelta(days=days)  # noqa: DTZ001
    assert series - study == timedelta(hours=9, minutes=39)
    assert str(done.ds.AcquisitionDateTime)[8:] == "142301.250"
    assert done.ds.LongitudinalTemporalInformationModified == "MODIFIED"


def test_the_birth_date_is_emptied_and_the_age_computed_from_it(ct: Dataset, clean: Cleaner) -> None:
    ds = clean(ct).ds
    assert ds.PatientBirthDate == ""
    assert ds.PatientAge == "072Y"


def test_ninety_and_over_is_one_age(ct: Dataset, clean: Cleaner) -> None:
    ct.PatientBirthDate = "19300101"
    assert clean(ct).ds.PatientAge == "090Y"
    ct.PatientAge = "097Y"
    assert clean(ct).ds.PatientAge == "090Y"


def test_the_markers_say_what_was_done(ct: Dataset, clean: Cleaner) -> None:
    ds = clean(ct).ds
    assert ds.PatientIdentityRemoved == "YES"
    codes = {item.CodeValue for item in ds.DeidentificationMethodCodeSequence}
    assert {"113100", "113105", "113107", "113108"} <= codes
    assert not codes & {"113106", "113109", "113110", "113112"}


def test_the_identity_record_holds_what_brings_a_result_back(ct: Dataset, clean: Cleaner) -> None:
    done = clean(ct)
    record = done.identity
    assert record.original(done.ds.SOPInstanceUID) == ct.SOPInstanceUID
    assert record.original(done.ds.SeriesInstanceUID) == ct.SeriesInstanceUID
    assert record.original(done.ds.StudyInstanceUID) == ct.StudyInstanceUID
    assert record.original(done.ds.FrameOfReferenceUID) == ct.FrameOfReferenceUID
    assert record.study.accession_number == "ACC998877"
    assert record.patients[done.ds.PatientID].name == "Quillfeather^Oswina^B"
    assert record.merge(record) == record


def test_of_two_identities_of_a_person_the_fuller_values_stay_whichever_comes_first(
    ct: Dataset, clean: Cleaner
) -> None:
    full = clean(ct).identity
    ct.PatientName = ct.PatientBirthDate = ct.PatientSex = ""
    empty = clean(ct).identity
    for merged in (full.merge(empty), empty.merge(full)):
        assert merged.patients == full.patients


def test_a_file_is_cleaned_as_the_studys_person_and_refused_as_anybody_elses(ct: Dataset, names: Pseudonyms) -> None:
    ct.IssuerOfPatientID = ""
    person = person_of(*_one_person([ct, _but(ct, PatientID="", PatientName="")]), names, str(ct.StudyInstanceUID))
    done = [_cleaned(each, names, person) for each in (ct, _but(ct, PatientID="", PatientName=""))]
    assert all(isinstance(one, Deidentified) for one in done)
    assert len({(one.facts.patient, *one.identity.patients.values()) for one in done}) == 1
    other = _cleaned(_but(ct, PatientID="MRN-7"), names, person)
    assert other == Refused(Reason.OTHER_PERSON)


def test_without_a_decision_the_headers_of_the_other_files_make_it_and_two_persons_stay_two(
    ct: Dataset, names: Pseudonyms, clean: Cleaner
) -> None:
    ct.IssuerOfPatientID = ""
    other_study = _but(ct, StudyInstanceUID="1.2.826.0.1.3680043.9.7.1.98", PatientID="MRN-7")
    files = [ct, _but(ct, IssuerOfPatientID="MERCY"), _but(ct, PatientID=""), _but(ct, PatientID="MRN-5"), other_study]
    headers = [known_identifiers(read_header(io.BytesIO(file_of(ds)))) for ds in files]
    known = reduce(KnownIdentifiers.__or__, headers)
    tokens = [clean(ds, known=known).facts.patient for ds in files]
    assert tokens[0] == tokens[1] == names.patient_token("", "MRN-0048213")
    assert len({*tokens[:2], tokens[3], tokens[4]}) == 3, "another person, and another study, are others"


def _but(ds: Dataset, **values: str) -> Dataset:
    changed = copy.deepcopy(ds)
    for keyword, value in values.items():
        setattr(changed, keyword, value)
    return changed


def _one_person(files: list[Dataset]) -> tuple[tuple[Stated, ...], dict[Stated, int]]:
    counted = {stated_person(read_header(io.BytesIO(file_of(ds)))): 1 for ds in files}
    (group,) = persons(counted)
    return group, counted


def _cleaned(ds: Dataset, names: Pseudonyms, person: Person) -> Deidentified | Refused:
    return deidentify(
        io.BytesIO(file_of(ds)), io.BytesIO(), names=names, handle=HANDLE, profile=load_profile("triage-default"),
        known=KnownIdentifiers(), person=person,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("charset", "name"),
    [("ISO_IR 100", "Müller^Jörg"), ("ISO_IR 192", "Müller^Jörg"), ("ISO 2022 IR 87", "Yamada^Tarou=山田^太郎")],
)
def test_what_a_header_says_of_the_patient_is_read_alike_on_arrival_and_while_it_is_cleaned(
    ct: Dataset, names: Pseudonyms, charset: str, name: str
) -> None:
    ct.SpecificCharacterSet = ["", charset] if charset.startswith("ISO 2022") else charset
    ct.PatientName, ct.PatientID = name, "MRN-1 "
    group, counted = _one_person([ct])
    assert (group[0].name, group[0].patient_id) == (name, "MRN-1")
    person = person_of(group, counted, names, str(ct.StudyInstanceUID))
    assert isinstance(_cleaned(ct, names, person), Deidentified)


def test_the_facts_describe_the_clean_copy(ct: Dataset, clean: Cleaner) -> None:
    done = clean(ct)
    assert done.facts.sop_uid == done.ds.SOPInstanceUID
    assert done.facts.rows == 8
    assert done.facts.digest == done.receipt.output_digest == hashlib.sha256(done.content).hexdigest()


def test_a_file_that_another_tool_has_de_identified_passes(ct: Dataset, clean: Cleaner) -> None:
    ct.VerifyingObserverName = ct.PersonName = ct.PatientName = "Removed by CTP"
    assert clean(ct).ds.PatientIdentityRemoved == "YES"


def test_cleaning_a_clean_copy_again_finds_nothing_to_clean(ct: Dataset, clean: Cleaner) -> None:
    once = clean(ct)
    twice = clean(once.content)
    assert twice.ds.StudyDescription == once.ds.StudyDescription
    assert {r.path for r in twice.receipt.rules if r.action == "cleaned"} == set()


def test_a_short_number_that_is_an_id_stays_part_of_other_numbers(ct: Dataset, clean: Cleaner) -> None:
    ct.PatientID = ct.StudyID = "0010"
    ct.ImageOrientationPatient = ["1.0000", "0.0000", "0.0000", "0.0000", "1.0000", "0.0000"]
    ds = clean(ct).ds
    assert ds.ImageOrientationPatient == [1, 0, 0, 0, 1, 0]


def test_a_body_part_stays_a_body_part_beside_a_patient_of_that_name(ct: Dataset, clean: Cleaner) -> None:
    ct.PatientName, ct.BodyPartExamined = "Chest^Volume", "CHEST"
    assert clean(ct).ds.BodyPartExamined == "CHEST"


@pytest.mark.parametrize("answer", ["NO", "YES", "NONE"])
def test_an_answer_stays_whoever_is_called_like_it(ct: Dataset, clean: Cleaner, answer: str) -> None:
    """No is a family name in Korea; and a person name may hold a sentence with such words."""
    ct.PatientName, ct.OperatorsName = "No^Younghee", f"Quill: {answer.lower()} acute finding"
    ct.add_new(0x0048_0010, "CS", answer)
    assert clean(ct).ds[0x0048_0010].value == answer
