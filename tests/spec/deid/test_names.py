"""Chapter: what a clean copy is called."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from pydicom.dataset import Dataset

from readfirst.domain.pseudonyms import Pseudonyms
from tests.spec.deid.conftest import HANDLE, ROOT, Cleaner


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
