"""What orchestrators hand each other: names of instances, the next run, and JSON that comes back as it was."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from readfirst.domain.workflow_messages import (
    Alert,
    AnalysisOutcome,
    Batches,
    Erasure,
    Handed,
    Look,
    Plan,
    Report,
    Run,
    Watch,
    alert_instance,
)

RUN = Run(token="t", clinic="north", n=2)
PLAN = Plan(outcome="ordered", run_key="k")
WATCH = Watch(run=RUN, plan=PLAN, instance="t-2-read-analyse")
ERASURE = Erasure(token="t", clinic="north", handle="ABCD1234", by="p", at="2026-03-02T12:00:00Z")
ALERT = Alert(token="t", clinic="north", handle="ABCD1234", finding="lung-nodule")
MESSAGES = [
    RUN, Look(wait=7.5), Look(files=3), Batches(run=RUN, worker=1, of=8), PLAN, WATCH, ERASURE, ALERT,
    AnalysisOutcome(outcome="waiting"),
    Report(run=RUN, plan=PLAN, verdict=AnalysisOutcome(outcome="failed", reason="deadline"), seconds={"analyse": 1.5}),
]  # fmt: skip


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_a_message_comes_back_from_the_history_as_it_was(message: Handed) -> None:
    assert type(message).model_validate(message.dump()) == message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_a_message_with_a_field_that_nobody_knows_is_refused(message: Handed) -> None:
    """Nothing that names a person can slip into a history."""
    with pytest.raises(ValidationError):
        type(message).model_validate({**message.dump(), "patient_name": "x"})


def test_the_next_run_is_of_the_same_study_and_one_further() -> None:
    assert RUN.next == Run(token="t", clinic="north", n=3)
    assert Run(token="t", clinic="north").n == 1


def test_every_instance_of_a_run_is_called_as_the_instances_that_run_are() -> None:
    """The strings are an interface: an upgrade finds instances, and answers, that were named before it."""
    above = ("t-2", "t-2-read", "t-2-read-analyse", "t-2-replay", "t-2-replay-read", "t-2-replay-read-analyse")
    each = tuple(f"{above[k]}-{n}" for k in (2, 5) for n in range(1, 9))  # of several models
    assert RUN.instances() == above + each
    assert (RUN.instance, RUN.replay, RUN.cancellation) == ("t-2", "t-2-replay", "t-2-cancel")
    assert ERASURE.instance == ERASURE.next.instance == "erase-t"


def test_what_calls_a_run_off_is_not_among_what_is_called_off() -> None:
    assert RUN.cancellation not in RUN.instances()
    assert not set(RUN.instances()) & set(RUN.next.instances())


def test_an_alert_has_one_instance_for_each_study_and_kind_of_finding() -> None:
    """The strings are an interface with instances that run: see docs/reference/compatibility.md."""
    assert ALERT.instance == alert_instance("t", "lung-nodule") == "alert-t-lung-nodule"
    assert ALERT.model_copy(update={"overdue": True}).instance == ALERT.instance


def test_each_look_of_the_watchdog_comes_later_up_to_five_minutes() -> None:
    looks = [WATCH]
    for _ in range(12):
        looks.append(looks[-1].later(""))
    seconds = [look.patience for look in looks]
    assert seconds[:3] == [30.0, 45.0, 67.5]
    assert seconds == sorted(seconds) and seconds[-1] == 300.0


def test_the_watchdog_remembers_the_last_trouble_when_a_look_finds_none() -> None:
    troubled = WATCH.later("no-capacity")
    assert troubled.later("").trouble == "no-capacity"
    assert troubled.later("not-seen").trouble == "not-seen"
    assert (troubled.run, troubled.plan, troubled.instance) == (WATCH.run, WATCH.plan, WATCH.instance)


def test_the_sweep_after_the_first_knows_that_it_is_not_the_first() -> None:
    assert not ERASURE.again
    assert ERASURE.next == ERASURE.model_copy(update={"again": True}) == ERASURE.next.next


def test_a_look_that_sealed_waits_no_longer() -> None:
    assert Look(files=3).wait is None and Look(wait=7.5).files == 0
