"""A study with several models: each is asked by itself, none waits for another, and no failure takes a result away."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from readfirst.domain.workflow_messages import AnalysisOutcome, Answer, Plan, Report, Run, Watch, model_of
from tests.orchestrations.simulated import START, Away, Host

RUN = Run(token="a" * 32, clinic="lakeside")
LUNG = Plan(outcome="ordered", run_key="lung-key", model="lung")
SPLEEN = Plan(outcome="ordered", run_key="spleen-key", model="spleen")
ANALYSIS = f"{RUN.instance}-read-analyse"
DONE = AnalysisOutcome(outcome="analysed")


class Study:
    """An analysis of two models in a simulated host; `reports` keeps what was told, and when (seconds)."""

    def __init__(self, *plans: Plan, **others: Callable[[Any], Any]) -> None:
        self.requested: list[str] = []
        self.reports: list[tuple[float, Report]] = []
        activities: dict[str, Callable[[Any], Any]] = {
            "plan_analysis": lambda _: Plan(outcome="several", each=plans).dump(),
            "request_analysis": self._request,
            "watch_analysis": lambda _: AnalysisOutcome(outcome="waiting").dump(),
            "report": self._report,
            **dict.fromkeys(("index_study", "answer_clinic", "request_return", "release_originals"), lambda _: None),
            **others,
        }
        self.host = Host(activities)
        self.host.start("analyse", ANALYSIS, {"run": RUN.dump()})

    def _request(self, given: dict[str, Any]) -> dict[str, Any]:
        watch = Watch.model_validate(given)
        self.requested.append(watch.plan.run_key)
        return watch.dump()

    def _report(self, given: dict[str, Any]) -> list[Any]:
        self.reports.append(((self.host.clock - START).total_seconds(), Report.model_validate(given)))
        return []

    def answers(self, k: int, verdict: AnalysisOutcome = DONE) -> None:
        self.host.raise_event(model_of(ANALYSIS, k), "inference", verdict.dump())
        self.host.run(timedelta(seconds=1))

    def each(self) -> dict[str, str]:
        """How each model ended, by the analysis' own answer."""
        found = [Answer.model_validate(one) for one in self.host.output(ANALYSIS)["each"]]
        return {one.plan.model: one.verdict.outcome for one in found}


def test_every_model_is_asked_at_once_and_has_an_instance_of_its_own() -> None:
    study = Study(LUNG, SPLEEN)
    study.host.run(timedelta(seconds=1))
    assert sorted(study.requested) == ["lung-key", "spleen-key"]
    for k in (1, 2):
        assert study.host.status(model_of(ANALYSIS, k)) == "Running"
        assert model_of(ANALYSIS, k) in RUN.instances(), "who stops the run stops it too"


def test_what_one_model_says_is_told_while_the_other_works() -> None:
    study = Study(LUNG, SPLEEN)
    study.host.run(timedelta(seconds=1))
    study.answers(2)
    ((_, early),) = study.reports
    assert [one.verdict.outcome for one in early.each] == ["waiting", "analysed"]
    assert early.each[0].verdict.reason.startswith("waiting: ")
    assert study.host.output(ANALYSIS) is None
    study.answers(1)
    assert study.each() == {"lung": "analysed", "spleen": "analysed"}
    assert len(study.reports) == 1, "the full answer is told by who asked for the analysis"


def test_a_model_that_fails_leaves_the_other_s_result_and_says_why() -> None:
    study = Study(LUNG, SPLEEN)
    study.host.run(timedelta(seconds=1))
    study.answers(2, AnalysisOutcome(outcome="failed", reason="model-failed: broken"))
    assert study.reports == [], "there is nothing to read yet"
    study.answers(1)
    assert study.each() == {"lung": "analysed", "spleen": "failed"}
    assert study.host.output(ANALYSIS)["verdict"]["outcome"] == "analysed"


def test_a_model_whose_stage_fails_for_good_is_a_failure_of_that_model_alone() -> None:
    def request(given: dict[str, Any]) -> dict[str, Any]:
        if given["plan"]["model"] == "spleen":
            raise Away("the words of a fault")
        return given

    study = Study(LUNG, SPLEEN, request_analysis=request)
    study.host.run(timedelta(seconds=1))
    study.host.raise_event(model_of(ANALYSIS, 1), "inference", DONE.dump())
    study.host.run(timedelta(days=1))
    assert study.each() == {"lung": "analysed", "spleen": "failed"}
    assert "words" not in str(study.host.output(ANALYSIS))


def test_a_result_that_is_there_costs_no_job_and_the_other_model_is_asked() -> None:
    study = Study(LUNG.model_copy(update={"outcome": "known"}), SPLEEN)
    study.host.run(timedelta(seconds=1))
    assert study.requested == ["spleen-key"]
    assert [one.verdict.outcome for one in study.reports[0][1].each] == ["analysed", "waiting"]


def test_a_series_that_one_model_s_job_cannot_decode_is_replaced_for_that_model_alone() -> None:
    again = SPLEEN.model_copy(update={"run_key": "next-best"})
    study = Study(LUNG, SPLEEN, plan_model=lambda asked: again.dump() if asked["model"] == "spleen" else None)
    study.host.run(timedelta(seconds=1))
    study.answers(2, AnalysisOutcome(outcome="out-of-scope", reason="pixels-unreadable: no decoder"))
    assert sorted(study.requested) == ["lung-key", "next-best", "spleen-key"]
    study.answers(2)
    study.answers(1)
    assert study.each() == {"lung": "analysed", "spleen": "analysed"}
    assert study.host.output(ANALYSIS)["each"][1]["plan"]["run_key"] == "next-best"


def test_an_analysis_that_began_before_there_were_routes_goes_on_as_it_began() -> None:
    """Its plan names no model, and its answer comes to the analysis itself."""
    older = {"outcome": "ordered", "run_key": "k", "reason": ""}
    study = Study(plan_analysis=lambda _: older)
    study.host.run(timedelta(seconds=1))
    study.host.raise_event(ANALYSIS, "inference", DONE.dump())
    study.host.run(timedelta(seconds=1))
    assert study.host.output(ANALYSIS)["verdict"]["outcome"] == "analysed"
    assert "each" not in study.host.output(ANALYSIS)


@pytest.mark.parametrize("k", range(1, 9))
def test_the_ids_of_the_models_instances_are_an_interface(k: int) -> None:
    assert model_of("t-1-read-analyse", k) == f"t-1-read-analyse-{k}"
