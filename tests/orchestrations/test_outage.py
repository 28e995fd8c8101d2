"""Bad weather: an outage costs the time that it lasts, never a result, and an alert waits for nobody's service."""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from readfirst.domain.workflow_messages import Alert, AnalysisOutcome, Batches, Look, Plan, Report, Run, Watch
from tests.orchestrations.simulated import START, Away, Host

RUN = Run(token="0" * 32, clinic="lakeside", n=1)
PLAN = Plan(outcome="ordered", run_key="k")
ALERT = Alert(token=RUN.token, clinic="lakeside", handle="ABCDEFGH", finding="lung-nodule")
HOUR = timedelta(hours=1)
PATIENCE = timedelta(minutes=6)  # after an outage, the longest wait until the next try
SENT_AFTER = ["report", "raise_alert", "index_study", "answer_clinic", "request_return", "release_originals"]


class Study:
    """One study on a simulated host: its services by the activities that use them, each away for as long as asked."""

    def __init__(self, deadline: timedelta = 5 * HOUR, others: dict[str, Callable[[Any], Any]] | None = None) -> None:
        self.away: dict[str, datetime] = {}
        self.reports: list[Report] = []
        self.deadline = deadline
        work: dict[str, Callable[[Any], Any]] = {
            "look_and_seal": lambda _: Look(files=3, deadline=(START + self.deadline).isoformat()).dump(),
            "start_next": lambda _: False,
            "workers_for": lambda _: 2,
            "deidentify_batches": lambda _: False,
            "plan_analysis": lambda _: PLAN.dump(),
            "request_analysis": self.request,
            "watch_analysis": lambda _: AnalysisOutcome(outcome="analysed").dump(),
            "report": self.report,
            "raise_alert": lambda given: self.host.start("alert", ALERT.instance, given),
            "send_alert": lambda _: 0.0,
            "look_at_letters": lambda _: "arrived",
            "say_stuck": lambda _: None,
            **{name: lambda _: None for name in SENT_AFTER[2:]},
            **(others or {}),
        }
        self.host = Host({name: self.unless_away(name, do) for name, do in work.items()})

    def unless_away(self, name: str, do: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def activity(given: Any) -> Any:
            if self.host.clock < self.away.get(name, START):
                raise Away(name)
            return do(given)

        return activity

    def request(self, given: dict[str, Any]) -> dict[str, Any]:
        moments = {"requested": self.host.clock.isoformat(), "deadline": (self.host.clock + 24 * HOUR).isoformat()}
        return Watch.model_validate({**given, **moments, "patience": 30}).dump()

    def report(self, given: dict[str, Any]) -> list[dict[str, Any]]:
        told = Report.model_validate(given)
        self.reports.append(told)
        return [ALERT.dump()] if told.verdict.outcome == "analysed" else []

    def goes(self, lasting: timedelta = timedelta(days=3), **away: timedelta) -> Study:
        """Runs the study; `away`: which activities' services are away from the beginning, and how long."""
        self.away = {name: START + long for name, long in away.items()}
        self.host.start("run_study", RUN.instance, RUN.dump())
        self.host.run(lasting)
        return self

    def outcomes(self) -> list[str]:
        return [told.verdict.outcome for told in self.reports]


STAGES = ["look_and_seal", "start_next", "workers_for", "deidentify_batches", "plan_analysis", "request_analysis",
          "watch_analysis", *SENT_AFTER, "send_alert", "look_at_letters"]  # fmt: skip


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("minutes", [1.5, 60])
def test_an_outage_of_any_stages_service_costs_its_time_and_nothing_else(stage: str, minutes: float) -> None:
    study = Study().goes(**{stage: timedelta(minutes=minutes)})
    assert study.outcomes() == ["analysed"]
    assert study.host.output(RUN.instance) == "analysed"
    assert study.host.output(ALERT.instance) == "arrived"
    assert study.host.clock <= START + timedelta(minutes=minutes) + PATIENCE


def test_tries_come_at_growing_distances_so_that_neither_a_blip_nor_an_incident_costs_more_than_its_time() -> None:
    tries = Study().goes(index_study=timedelta(minutes=20)).host.ran("index_study")
    assert [(b - a).total_seconds() for a, b in pairwise(tries)] == [5, 10, 20, 40, 80, 160, 300, 300, 300]


def test_a_fault_of_seconds_costs_seconds() -> None:
    assert Study().goes(report=timedelta(seconds=12)).host.ran("send_alert")[0] <= START + timedelta(minutes=2)


def test_the_alert_goes_out_while_index_answer_and_return_are_away() -> None:
    away = dict.fromkeys(SENT_AFTER[2:], 3 * HOUR)
    study = Study().goes(**away)
    assert study.host.ran("send_alert")[0] < START + timedelta(minutes=2)
    for name in away:
        assert study.host.ran(name)[-1] >= START + 3 * HOUR, f"{name} was done once its service was back"


def test_what_has_no_result_at_the_deadline_is_told_and_a_later_result_replaces_that_and_alerts() -> None:
    study = Study(deadline=HOUR).goes(deidentify_batches=2 * HOUR)
    late, result = study.reports
    assert (late.verdict.outcome, late.verdict.reason.partition(":")[0]) == ("failed", "late")
    assert result.verdict.outcome == "analysed"
    assert study.host.output(RUN.instance) == "analysed"
    assert study.host.ran("report")[0] == START + HOUR
    assert len(study.host.ran("send_alert")) == 1


def test_capacity_that_comes_back_after_the_deadline_still_brings_the_result() -> None:
    """Nobody has to send another study: the watchdog goes on looking, and starts the job when it can."""

    def look(given: dict[str, Any]) -> dict[str, Any]:
        there = study.host.clock >= START + 7 * HOUR
        return AnalysisOutcome(
            outcome="analysed" if there else "waiting", reason="" if there else "no-gpu-quota"
        ).dump()

    study = Study(deadline=HOUR, others={"watch_analysis": look})
    study.goes()
    assert study.outcomes() == ["failed", "analysed"]
    assert study.host.ran("watch_analysis")[-1] <= START + 7 * HOUR + PATIENCE


def test_what_stays_broken_for_good_ends_the_study_visibly_in_the_end() -> None:
    study = Study(deadline=HOUR).goes(plan_analysis=timedelta(days=9))
    assert [told.verdict.reason.partition(":")[0] for told in study.reports] == ["late", "stage-fault"]
    assert study.host.output(RUN.instance) == "failed"


# --- alerts


def alerting(patience: float = 60.0, **away: timedelta) -> Host:
    """A host on which an alert was raised, with its services away for so long."""

    def unless_away(name: str, result: Any) -> Callable[[Any], Any]:
        def activity(given: Any) -> Any:
            if host.clock < START + away.get(name, timedelta(0)):
                raise Away(name)
            return result

        return activity

    results = {"send_alert": patience, "escalate_alert": False, "say_stuck": None, "look_at_letters": "arrived"}
    host = Host({name: unless_away(name, result) for name, result in results.items()})
    host.start("alert", ALERT.instance, ALERT.dump())
    return host


def test_an_alert_goes_on_for_days_until_its_service_is_back_and_says_so_meanwhile() -> None:
    host = alerting(send_alert=26 * HOUR)
    host.run()
    assert host.output(ALERT.instance) == "arrived"
    assert [at >= START + 26 * HOUR for at in host.ran("send_alert")].count(True) == 1
    assert host.ran("send_alert")[-1] <= START + 26 * HOUR + PATIENCE
    said = host.ran("say_stuck")
    assert said[0] <= START + timedelta(minutes=15), "somebody has to telephone"
    assert max(b - a for a, b in pairwise(said)) <= timedelta(minutes=15)
    assert len(host.histories[ALERT.instance]) < 200, "its history does not grow"


def test_an_escalation_that_does_not_go_out_is_tried_again_without_writing_to_the_radiologist_again() -> None:
    host = alerting(escalate_alert=2 * HOUR)
    host.run()
    assert host.output(ALERT.instance) == "arrived"
    assert len(host.ran("send_alert")) == 1
    assert host.ran("escalate_alert")[-1] >= START + 2 * HOUR


def test_an_alert_whose_study_is_in_hand_already_writes_to_nobody() -> None:
    host = alerting(patience=-1.0)
    host.run()
    assert host.output(ALERT.instance) == "acknowledged"
    assert not host.ran("escalate_alert")


# --- instances that began under version 1.0, whose report told everybody in one activity


def read_study_1_0(context: Any) -> Generator[Any, Any, Any]:
    """How version 1.0 read a study, step by step."""
    from orchestrations.analyse import analyse
    from orchestrations.blueprint import STEP

    run = Run.model_validate(context.get_input())
    workers = yield context.call_activity_with_retry("workers_for", STEP, run.dump())
    shares = [Batches(run=run, worker=w, of=workers).dump() for w in range(workers)]
    yield context.task_all([context.call_activity_with_retry("deidentify_batches", STEP, s) for s in shares])
    analysis = yield context.call_sub_orchestrator(analyse, {"run": run.dump()}, f"{context.instance_id}-analyse")
    told = Report(
        run=run,
        plan=Plan.model_validate(analysis["plan"]),
        verdict=AnalysisOutcome.model_validate(analysis["verdict"]),
        seconds={},
    )
    for alert in (yield context.call_activity_with_retry("report", STEP, told.dump())):
        yield context.call_activity_with_retry("raise_alert", STEP, alert)
    return "analysed"


def run_study_1_0(context: Any) -> Generator[Any, Any, Any]:
    """How version 1.0 ran a study that has sealed."""
    from orchestrations.blueprint import SEALING
    from orchestrations.study import read_study

    run = Run.model_validate(context.get_input())
    yield context.call_activity_with_retry("look_and_seal", SEALING, run.dump())
    yield context.call_activity_with_retry("start_next", SEALING, run.dump())
    return (yield context.call_sub_orchestrator(read_study, run.dump(), f"{context.instance_id}-read"))


MOMENTS = ["deidentify_batches", "request_analysis", "watch_analysis", "report", "raise_alert"]


@pytest.mark.parametrize("upgraded_in", MOMENTS)
def test_an_instance_that_began_under_version_1_0_goes_on_under_this_one(upgraded_in: str) -> None:
    study = Study(others={"look_and_seal": lambda _: {"wait": None, "files": 3}})
    study.host.others = {"run_study": run_study_1_0, "read_study": read_study_1_0}
    study.goes(lasting=timedelta(minutes=10), **{upgraded_in: HOUR})
    assert study.host.status(RUN.instance) == "Running"
    study.host.others = {}
    study.host.run()
    assert study.outcomes() == ["analysed"]
    assert study.host.output(RUN.instance) == "analysed"
    assert study.host.output(ALERT.instance) == "arrived"
    assert study.host.ran("index_study"), "what the old report would have written is written by the new steps"
