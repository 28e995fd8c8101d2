"""An upload that cannot be taken is tried a few times and set aside: soon for its own fault, else after a day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from readfirst.domain.intake.stuck import AGAIN, LONGEST, TRIES, Stuck, own_fault

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOTE = Stuck(since=NOW, last=NOW)
SOON = NOW + timedelta(minutes=45)


def after(*, own: bool, tries: int = TRIES) -> Stuck:
    note = NOTE
    for _ in range(tries):
        note = note.tried(SOON).failed("BlobArchived", own=own)
    return note


def test_its_own_fault_is_tried_three_times() -> None:
    assert not after(own=True, tries=TRIES - 1).hopeless(SOON)
    assert after(own=True).hopeless(SOON)


def test_a_services_fault_does_not_count_but_nobody_waits_for_longer_than_a_day() -> None:
    assert not after(own=False, tries=50).hopeless(SOON)
    assert after(own=False, tries=50).hopeless(NOW + LONGEST)


def test_a_try_that_ended_the_process_counts_although_it_could_not_say_so() -> None:
    note = NOTE
    for _ in range(TRIES):
        note = note.tried(SOON)
    assert note.hopeless(SOON)


def test_what_could_not_be_moved_rests_and_is_tried_again_after_a_day() -> None:
    assert not NOTE.rests(NOW)
    note = after(own=True).left(SOON)
    assert note.rests(SOON + AGAIN - timedelta(seconds=1))
    assert not note.rests(SOON + AGAIN)


@pytest.mark.parametrize("status", [400, 409, 412, 416])
def test_an_answer_about_this_blob_is_its_own_fault(status: int) -> None:
    assert own_fault(status)


@pytest.mark.parametrize("status", [None, 200, 206])
def test_an_answer_that_broke_off_says_nothing_about_the_blob(status: int | None) -> None:
    """The bytes are taken as they lie there, so that no answer is broken by what a file holds."""
    assert not own_fault(status)


@pytest.mark.parametrize("status", [401, 403, 404, 408, 429, 500, 502, 503])
def test_a_service_that_is_away_throttles_or_lost_a_right_says_nothing_about_the_blob(status: int) -> None:
    assert not own_fault(status)
