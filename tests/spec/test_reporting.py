"""Which report counts: a result is never taken away by a failure, and no older run speaks over a newer one."""

from __future__ import annotations

from typing import Any

import pytest

from readfirst.domain.reading.build_record import following, lacks_result
from readfirst.domain.reading.study_record import FLAGGED, NOT_ANALYSED, NOT_FLAGGED, StudyRecord


def record(run: int, state: str = "reported", label: str = FLAGGED, **fields: Any) -> StudyRecord:
    blank = {"id": "t", "clinic": "c", "handle": "H", "patient": "p", "study_uid": "2.25.1", "received": "",
             "due": "", "updated": f"by run {run}"}  # fmt: skip
    return StudyRecord.model_validate({**blank, "run": run, "state": state, "label": label, **fields})


def failed(run: int, reason: str = "stage-fault: TimeoutError") -> StudyRecord:
    return record(run, "failed", NOT_ANALYSED, reason=reason)


@pytest.mark.parametrize("label", [FLAGGED, NOT_FLAGGED, NOT_ANALYSED])
def test_a_failure_never_takes_the_place_of_what_its_run_has_reported(label: str) -> None:
    assert following(record(1, label=label), failed(1)) is None


@pytest.mark.parametrize("there", [record(2), failed(2)])
@pytest.mark.parametrize("new", [record(1), failed(1)])
def test_an_older_run_never_speaks_over_a_newer_one(there: StudyRecord, new: StudyRecord) -> None:
    assert following(there, new) is None


@pytest.mark.parametrize("there", [failed(1), record(1), record(1, label=NOT_FLAGGED)])
def test_a_result_takes_the_place_of_whatever_its_run_or_an_older_one_said(there: StudyRecord) -> None:
    for run in (1, 2):
        assert following(there, record(run)) == record(run)


def test_a_failure_says_why_in_place_of_an_earlier_failure() -> None:
    assert following(failed(1, "late: …"), failed(1)) == failed(1)


def test_a_flagged_study_stays_flagged_when_the_run_of_its_late_files_fails() -> None:
    after = following(record(1), failed(2))
    assert after is not None
    assert (after.state, after.label, after.run, after.partial) == ("reported", FLAGGED, 2, True)
    assert after.reason == "stage-fault: TimeoutError", "somebody has to see that files are missing from the result"


def test_what_was_not_flagged_says_nothing_of_files_that_came_later_and_were_not_analysed() -> None:
    assert following(record(1, label=NOT_FLAGGED), failed(2)) == failed(2)


def test_a_run_lacks_its_result_when_it_failed_behind_an_older_flag_too() -> None:
    assert lacks_result(failed(1))
    assert not lacks_result(record(1))
    assert not lacks_result(record(1, label=NOT_ANALYSED, reason="out-of-scope: none of ours"))
    behind = following(record(1), failed(2))
    assert behind is not None
    assert lacks_result(behind)
