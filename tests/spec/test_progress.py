"""What people are told of an analysis under way, as a specification."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from readfirst.domain.analysis.messages import Progress
from readfirst.domain.analysis.progress import STALE, WAITING, ProgressView, progress_view

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


def written(age: timedelta, share: float = 0.4) -> Progress:
    return Progress(stage="infer", share=share, at=(NOW - age).strftime("%Y-%m-%dT%H:%M:%SZ"))


def test_what_the_job_wrote_a_moment_ago_is_told_as_it_is() -> None:
    assert progress_view(written(timedelta(seconds=5)), NOW) == ProgressView(stage="infer", share=0.4)


def test_a_job_that_has_not_begun_is_waited_for() -> None:
    assert progress_view(None, NOW) == WAITING


def test_a_job_that_has_written_nothing_for_long_is_waited_for_whatever_it_had_done() -> None:
    assert progress_view(written(STALE - timedelta(seconds=1)), NOW).stage == "infer"
    assert progress_view(written(STALE + timedelta(seconds=1)), NOW) == WAITING


def test_a_share_is_never_more_than_the_whole() -> None:
    assert progress_view(written(timedelta(0), share=1.5), NOW).share == 1.0
