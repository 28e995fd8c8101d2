"""Rate limits: a burst at once, then as many as the rate gives, for each caller alone."""

from __future__ import annotations

import pytest

from readfirst.domain.access import rate_limit
from readfirst.domain.access.rate_limit import Buckets


def test_a_burst_goes_through_at_once_and_the_next_call_waits_for_its_turn() -> None:
    buckets = Buckets(per_minute=60, burst=3)
    assert [buckets.wait("a", 10.0) for _ in range(3)] == [0, 0, 0]
    assert buckets.wait("a", 10.0) == pytest.approx(1.0)


def test_the_answer_is_how_many_seconds_are_left_to_wait() -> None:
    buckets = Buckets(per_minute=6, burst=1)
    buckets.wait("a", 0.0)
    assert buckets.wait("a", 4.0) == pytest.approx(6.0)
    assert buckets.wait("a", 10.0) == 0


def test_a_refused_call_costs_the_caller_nothing() -> None:
    buckets = Buckets(per_minute=60, burst=1)
    buckets.wait("a", 0.0)
    assert all(buckets.wait("a", 0.5) > 0 for _ in range(20))
    assert buckets.wait("a", 1.0) == 0


def test_a_caller_who_stays_away_saves_up_one_burst_and_no_more() -> None:
    buckets = Buckets(per_minute=60, burst=2)
    buckets.wait("a", 0.0)
    assert [buckets.wait("a", 9999.0) > 0 for _ in range(3)] == [False, False, True]


def test_in_the_long_run_nobody_gets_more_than_the_rate() -> None:
    buckets = Buckets(per_minute=30, burst=5)
    admitted = sum(buckets.wait("a", tenth / 10) == 0 for tenth in range(6000))  # ten calls a second, ten minutes
    assert 300 <= admitted <= 305


def test_one_caller_never_waits_for_another() -> None:
    buckets = Buckets(per_minute=1, burst=1)
    assert [buckets.wait(caller, 0.0) for caller in ("a", "b", "c")] == [0, 0, 0]


def test_who_has_just_called_is_remembered_among_thousands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded: who called least recently is forgotten first, never who is being held back."""
    monkeypatch.setattr(rate_limit, "_REMEMBERED", 3)
    buckets = Buckets(per_minute=1, burst=1)
    buckets.wait("busy", 0.0)
    for n in range(50):
        assert buckets.wait(f"other {n}", 0.0) == 0
        assert buckets.wait("busy", 0.0) > 0
