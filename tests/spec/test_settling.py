"""A run takes a study's files when the study is quiet, announced as whole, or has kept us waiting for too long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from readfirst.domain.intake.ledger import ArrivalNote, Complete
from readfirst.domain.intake.settling import LONGEST_WAIT, SHORT_PATIENCE, Settled, Wait, settle

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def arrived(seconds_ago: float, *, count: int = 1, series: str = "a", modality: str = "CT") -> list[ArrivalNote]:
    at = NOW - timedelta(seconds=seconds_ago)
    return [ArrivalNote(id=f"{series}{i:04d}", series=series, modality=modality, arrived=at) for i in range(count)]


def decide(notes: list[ArrivalNote], *, sealed: int = 0, complete: Complete | None = None) -> Settled | Wait:
    return settle(notes, sealed=sealed, complete=complete, now=NOW)


def complete(**fields: object) -> Complete:
    return Complete.model_validate({"studyInstanceUid": "1.2.3", **fields})


def test_a_radiograph_waits_seconds_and_a_ct_a_minute() -> None:
    assert isinstance(decide(arrived(6, modality="DX")), Settled)
    assert isinstance(decide(arrived(6, modality="CT")), Wait)
    assert isinstance(decide(arrived(61, modality="CT")), Settled)


def test_a_run_without_files_left_takes_none_at_once() -> None:
    assert decide([]) == Settled(())


def test_announced_files_that_are_all_here_are_taken_at_once() -> None:
    assert decide(arrived(0, count=3), complete=complete(expected=3)) == Settled(("a0000", "a0001", "a0002"))


def test_files_that_earlier_runs_took_count_towards_the_announcement() -> None:
    assert isinstance(decide(arrived(0, count=1), sealed=2, complete=complete(expected=3)), Settled)


def test_missing_announced_files_are_waited_for_and_then_the_study_is_short() -> None:
    assert isinstance(decide(arrived(90), complete=complete(expected=3)), Wait)
    assert decide(arrived(SHORT_PATIENCE), complete=complete(expected=3)) == Settled(("a0000",), short=True)


def test_complete_without_a_number_shortens_the_silence() -> None:
    assert isinstance(decide(arrived(2), complete=complete()), Wait)
    assert isinstance(decide(arrived(6), complete=complete()), Settled)


def test_a_silent_ct_series_is_taken_while_another_series_arrives() -> None:
    verdict = decide(arrived(70, count=25) + arrived(1, series="b"))
    assert isinstance(verdict, Settled)
    assert all(arrival.startswith("a") for arrival in verdict.arrivals)
    assert len(verdict.arrivals) == 25


def test_a_silent_localiser_waits_for_the_series_that_arrives() -> None:
    assert isinstance(decide(arrived(70, count=1) + arrived(1, series="b")), Wait)


def test_a_study_that_never_falls_silent_is_taken_after_the_longest_wait() -> None:
    verdict = decide(arrived(LONGEST_WAIT) + arrived(0, series="b"))
    assert verdict == Settled(("a0000", "b0000"))


def test_no_wait_is_longer_than_one_look() -> None:
    verdict = decide(arrived(0))
    assert isinstance(verdict, Wait)
    assert 0 < verdict.seconds <= 15


def test_while_announced_files_pour_in_the_next_look_is_soon_and_after_a_silence_it_is_later() -> None:
    soon = decide(arrived(0.2), complete=complete(expected=3))
    later = decide(arrived(10), complete=complete(expected=3))
    assert isinstance(soon, Wait)
    assert isinstance(later, Wait)
    assert soon.seconds == 1
    assert later.seconds == 10
