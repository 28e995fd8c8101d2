"""One person under two identifiers: the records stand together, true to the day, and the copies stay as they are."""

from __future__ import annotations

import uuid
from datetime import date, timedelta

import pytest

from readfirst.adapters import clients, secrets
from readfirst.domain.reading.study_record import NOT_ANALYSED, StudyRecord
from readfirst.services import list_study, merge_patients

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("settings")]
CLINIC = "lakeside"


def study_of(patient: str) -> StudyRecord:
    """A reported study of a patient's token."""
    made = StudyRecord.model_validate(
        {
            "id": uuid.uuid4().hex, "clinic": CLINIC, "handle": uuid.uuid4().hex[:8].upper(), "patient": patient,
            "study_uid": "2.25.1", "run": 1, "state": "reported", "label": NOT_ANALYSED,
            "received": "2026-01-01T00:00:00+00:00", "due": "", "updated": "",
        }
    )  # fmt: skip
    list_study.keep(made)
    list_study.index(made.clinic, made.id)
    return made


def now(study: StudyRecord) -> StudyRecord:
    """The record as it stands: blob and index agree."""
    record = list_study.read(study.id)
    assert record is not None
    document = clients.cosmos_container().read_item(study.id, partition_key=CLINIC)
    assert (document["patient"], document["moved_days"]) == (record.patient, record.moved_days)
    return record


def copied(true: date, token: str) -> date:
    """A date as the clean copies of that patient carry it."""
    return true - timedelta(days=secrets.pseudonyms(CLINIC).shift_days(token))


def test_merged_studies_are_one_persons_and_their_intervals_are_true() -> None:
    one, other = uuid.uuid4().hex, uuid.uuid4().hex
    early, late = study_of(one), study_of(other)
    assert merge_patients.merge(CLINIC, one, other) == 1
    merged = now(early)
    assert (merged.patient, merged.own_patient) == (other, one)
    moved = copied(date(2024, 3, 1), one) + timedelta(days=merged.moved_days)
    assert copied(date(2026, 3, 1), other) - moved == date(2026, 3, 1) - date(2024, 3, 1)
    assert now(late) == late
    assert merge_patients.merge(CLINIC, one, other) == 0, "a second time changes nothing"


def test_a_study_that_arrives_after_the_merge_joins_the_same_person() -> None:
    one, other = uuid.uuid4().hex, uuid.uuid4().hex
    study_of(other)
    merge_patients.merge(CLINIC, one, other)
    assert merge_patients.linked(study_of(one)).patient == other


def test_a_merge_is_undone_by_merging_a_patient_into_themselves() -> None:
    one, other = uuid.uuid4().hex, uuid.uuid4().hex
    early, late = study_of(one), study_of(other)
    merge_patients.merge(CLINIC, one, other)
    assert merge_patients.merge(CLINIC, one, one) == 1
    assert now(early) == early
    assert now(late) == late


def test_three_identifiers_of_one_person_meet_and_no_circle_hides_them() -> None:
    a, b, c = (uuid.uuid4().hex for _ in range(3))
    studies = [study_of(token) for token in (a, b, c)]
    merge_patients.merge(CLINIC, a, b)
    merge_patients.merge(CLINIC, b, c)
    assert [now(s).patient for s in studies] == [c, c, c]
    merge_patients.merge(CLINIC, c, a)
    assert [now(s).patient for s in studies] == [c, c, c]


def test_two_clinics_equal_tokens_never_meet() -> None:
    one, other = uuid.uuid4().hex, uuid.uuid4().hex
    merge_patients.merge(CLINIC, one, other)
    assert merge_patients.patient_of("hillcrest", one) == one
