"""What is done about an analysis that keeps us waiting: decided from signs of life, not from what a status claims."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from readfirst.domain.analysis.watchdog import (
    LIST_LAG,
    Execution,
    Place,
    Policy,
    Steps,
    Trouble,
    decide,
    last_signs,
    listed,
    surely_refused,
    trouble_of,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
POLICY = Policy(stall=timedelta(minutes=10), fallback_after=timedelta(minutes=10))
ALONE = Policy(stall=timedelta(minutes=10), fallback_after=None)


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def alive(sign: float, place: Place = Place.MAIN) -> Execution:
    return Execution(place, "e", alive=True, sign=ago(sign))


def failed(started: float, trouble: Trouble) -> Execution:
    return Execution(Place.MAIN, "e", alive=False, sign=ago(started), trouble=trouble)


def steps(*executions: Execution, waited: float = 1, queued: bool = True, policy: Policy = POLICY) -> Steps:
    return decide(executions, queued=queued, requested=ago(waited), now=NOW, policy=policy)


def test_an_execution_that_gets_somewhere_is_left_alone() -> None:
    assert steps(alive(9), waited=40) == Steps()
    assert steps(alive(2, Place.FALLBACK), waited=40) == Steps()


def test_a_lost_job_is_started_again_and_a_lost_message_is_sent_again() -> None:
    assert steps() == Steps(start=Place.MAIN)
    assert steps(queued=False) == Steps(start=Place.MAIN, ask_again=True)


def test_an_execution_without_a_sign_of_life_is_stopped_and_another_is_started() -> None:
    hung = alive(11)
    assert steps(hung, waited=5) == Steps(stop=(hung,), start=Place.MAIN, trouble=Trouble.HUNG)


def test_a_hung_execution_still_holds_its_message_so_nothing_is_asked_twice() -> None:
    assert not steps(alive(11), queued=False).ask_again


def test_an_execution_that_is_listed_as_running_for_ever_holds_nothing_up() -> None:
    for age in (21, 180, 40_000):
        phantom = alive(age)
        assert steps(phantom).start is Place.MAIN
        assert steps(phantom, queued=False).ask_again, "it gives no message back any more"
        assert steps(phantom, alive(1)) == Steps(stop=(phantom,)), "beside it another one works"


def test_a_beat_is_a_sign_of_the_execution_that_started_last_of_those_which_ran() -> None:
    phantom, worker, ahead = (ago(180), None), (ago(5), None), (ago(1), None)
    assert last_signs([worker, phantom], ago(2)) == [ago(2), ago(180)]
    assert last_signs([(ago(5), ago(2)), phantom], ago(2)) == [ago(2), ago(180)], "its last one, as it ended"
    assert last_signs([(ago(5), ago(3)), phantom], ago(2)) == [ago(5), ago(2)], "it had ended: the other one lives"
    assert last_signs([ahead, phantom], ago(2)) == [ago(1), ago(2)]
    assert last_signs([worker], None) == [ago(5)]
    assert last_signs([worker], ago(9)) == [ago(5)], "it was written before this one started"


def test_after_the_deadline_of_the_policy_the_job_on_cpus_takes_over() -> None:
    assert steps(failed(9, Trouble.NO_QUOTA), waited=10).start is Place.FALLBACK
    assert steps(failed(9, Trouble.NO_QUOTA), waited=9.9).start is Place.MAIN


def test_where_there_is_no_other_job_the_first_is_tried_again_and_again() -> None:
    assert steps(waited=55, policy=ALONE).start is Place.MAIN


def test_only_a_failure_since_the_request_explains_the_wait() -> None:
    assert steps(failed(3, Trouble.IMAGE_PULL), waited=5).trouble is Trouble.IMAGE_PULL
    assert steps(failed(6, Trouble.IMAGE_PULL), waited=5).trouble is None


@pytest.mark.parametrize(
    ("words", "codes", "trouble"),
    [
        (["QuotaExceeded", "GPU quota of the subscription"], [], Trouble.NO_QUOTA),
        (["MaximumAllowedCoresExceeded"], [], Trouble.NO_QUOTA),
        (["Terminated", "ErrImagePull"], [None], Trouble.IMAGE_PULL),
        ([None, "ImagePullBackOff"], [], Trouble.IMAGE_PULL),
        (["Terminated", None], [137], Trouble.OUT_OF_MEMORY),
        (["OOMKilled"], [], Trouble.OUT_OF_MEMORY),
        (["Terminated", "Error"], [1], Trouble.ENDED),
        ([], [], Trouble.ENDED),
    ],
)
def test_failures_are_told_apart(words: list[str | None], codes: list[int | None], trouble: Trouble) -> None:
    assert trouble_of(words, codes) is trouble


def test_a_start_counts_until_azure_lists_it_or_would_by_now() -> None:
    """Resource Manager lists executions late; what it never lists was never started."""
    other = Execution(Place.MAIN, "other", alive=False, sign=ago(30))
    mine = Execution(Place.MAIN, "mine", alive=False, sign=ago(0.5))
    assert not listed("mine", ago(1), [other], NOW)
    assert listed("mine", ago(1), [other, mine], NOW)
    assert listed("mine", ago(1) - LIST_LAG, [other], NOW)


@pytest.mark.parametrize(
    ("status", "surely"),
    [
        *((status, True) for status in (400, 401, 403, 404, 409, 429)),
        *((status, False) for status in (None, 200, 202, 408, 500, 502, 503, 504)),
    ],
)
def test_only_a_refusal_says_that_nothing_was_started(status: int | None, surely: bool) -> None:
    assert surely_refused(status) is surely


def test_a_start_without_an_answer_is_known_by_its_time() -> None:
    before = Execution(Place.MAIN, "before", alive=False, sign=ago(30))
    since = Execution(Place.MAIN, "since", alive=False, sign=ago(0.5))
    assert not listed("", ago(1), [before], NOW)
    assert listed("", ago(1), [since, before], NOW)
