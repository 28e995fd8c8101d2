"""The orchestrators as policy: which decisions they take, step by step, whatever the activities answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import azure.durable_functions as df
import pytest

from orchestrations.alert import alert
from orchestrations.analyse import analyse
from orchestrations.deidentify import WORKERS
from orchestrations.erase import cancel_study, erase_study
from orchestrations.runs import start_once
from orchestrations.study import read_study, run_study
from readfirst.domain.workflow_messages import Alert, AnalysisOutcome, Erasure, Look, Plan, Run, Watch

RUN = Run(token="0" * 32, clinic="lakeside", n=1)
PLAN = Plan(outcome="ordered", run_key="k")
WATCH = Watch(
    run=RUN,
    plan=PLAN,
    instance="i",
    patience=30,
    requested="2025-12-31T23:00:00+00:00",
    deadline="2026-01-01T00:00:00+00:00",
)


@dataclass
class Timer:
    due: datetime
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class Event:
    name: str
    result: Any = None


@dataclass
class Failure(Exception):
    words: str

    def __str__(self) -> str:
        return self.words


@dataclass
class Context:
    """What an orchestrator sees, with answers to each step by name; `told` keeps what it asked for, in order."""

    given: Any
    answers: dict[str, Any]
    events: dict[str, Any] = field(default_factory=dict)
    told: list[tuple[str, Any]] = field(default_factory=list)
    again: Any = None
    instance_id: str = "instance"
    current_utc_datetime: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    timers: list[Timer] = field(default_factory=list)

    def get_input(self) -> Any:
        return self.given

    def _answer(self, function: Any, given: Any) -> Any:
        name = function._function._name
        self.told.append((name, given))
        answer = self.answers[name]
        return answer(given) if callable(answer) else answer

    def call_activity_with_retry(self, function: Any, policy: Any, given: Any) -> Any:
        return lambda: self._answer(function, given)

    def call_sub_orchestrator(self, function: Any, given: Any, instance: str) -> Any:
        return lambda: self._answer(function, given)

    def task_all(self, tasks: list[Callable[[], Any]]) -> Any:
        return lambda: [task() for task in tasks]

    def create_timer(self, due: datetime) -> Any:
        self.timers.append(Timer(due))
        return self.timers[-1]

    def wait_for_external_event(self, name: str) -> Event:
        return Event(name, self.events.get(name))

    def task_any(self, tasks: list[Any]) -> Any:
        answered = [task for task in tasks if isinstance(task, Event) and task.result is not None]
        return lambda: (answered or [task for task in tasks if isinstance(task, Timer)])[0]

    def continue_as_new(self, given: Any) -> None:
        self.again = given

    def steps(self) -> list[str]:
        return [name for name, _ in self.told]


def run(orchestrator: Any, context: Context) -> Any:
    """Drives an orchestrator to its end, as a host does over many turns."""
    function = orchestrator._function.get_user_function().orchestrator_function
    steps, sent, thrown = function(context), None, None
    while True:
        try:
            task = steps.throw(thrown) if thrown else steps.send(sent)
        except StopIteration as end:
            return end.value
        sent, thrown = None, None
        try:
            sent = task() if callable(task) else None
        except Failure as failure:
            thrown = failure


# What follows a report, whatever it said: each is another service's.
OTHERS = dict.fromkeys(("index_study", "answer_clinic", "request_return", "release_originals"))


def fail(_: Any) -> Any:
    raise Failure("Activity function 'deidentify_batches' failed:  TimeoutError: the words of a fault")


def test_a_study_that_is_not_quiet_is_looked_at_again_later() -> None:
    context = Context(RUN.dump(), {"look_and_seal": Look(wait=7).dump()})
    run(run_study, context)
    assert context.timers[0].due == context.current_utc_datetime + timedelta(seconds=7)
    assert context.again == RUN.dump()


def test_a_sealed_run_looks_for_files_that_came_meanwhile_before_it_reads() -> None:
    answers = {"look_and_seal": Look(files=3).dump(), "start_next": False, "read_study": "analysed"}
    context = Context(RUN.dump(), answers)
    assert run(run_study, context) == "analysed"
    assert context.steps() == ["look_and_seal", "start_next", "read_study"]


def test_a_run_without_files_reads_nothing() -> None:
    context = Context(RUN.dump(), {"look_and_seal": Look(files=0).dump(), "start_next": False})
    run(run_study, context)
    assert "read_study" not in context.steps()


def test_a_stage_that_fails_for_good_is_told_by_its_kind_and_without_its_words() -> None:
    answers = {"look_and_seal": Look(files=3).dump(), "start_next": False, "read_study": fail, "report": [], **OTHERS}
    context = Context(RUN.dump(), answers)
    assert run(run_study, context) == "failed"
    (told,) = [given for name, given in context.told if name == "report"]
    assert told["verdict"] == {"outcome": "failed", "reason": "stage-fault: TimeoutError"}


def test_the_report_is_told_how_long_the_stages_before_it_took_and_when_the_answer_was_there() -> None:
    """The moments are the orchestration's own clock, which a replay reads again."""
    context = Context(RUN.dump(), {})

    def later(answer: Any, seconds: float) -> Callable[[Any], Any]:
        def answered(_: Any) -> Any:
            context.current_utc_datetime += timedelta(seconds=seconds)
            return answer

        return answered

    analysis = {"plan": PLAN.dump(), "verdict": AnalysisOutcome(outcome="analysed").dump()}
    context.answers = {
        "workers_for": 1, "deidentify_batches": later(False, 4), "analyse": later(analysis, 90), "report": [], **OTHERS,
    }  # fmt: skip
    run(read_study, context)
    (told,) = [given for name, given in context.told if name == "report"]
    assert told["seconds"] == {"deidentify": 4.0, "analyse": 90.0}
    assert told["analysed"] == context.current_utc_datetime.isoformat()


def test_every_worker_shares_the_batches_until_none_is_left() -> None:
    rounds = iter([True, False, False, False])
    answers = {
        "workers_for": 2,
        "deidentify_batches": lambda _: next(rounds),
        "analyse": {"plan": PLAN.dump(), "verdict": AnalysisOutcome(outcome="analysed").dump()},
        "report": [],
        **OTHERS,
    }
    context = Context(RUN.dump(), answers)
    assert run(read_study, context) == "analysed"
    assert [(g["worker"], g["of"]) for n, g in context.told if n == "deidentify_batches"] == [(0, 2), (1, 2)] * 2


def test_a_study_of_two_persons_is_told_at_once_and_nothing_of_it_is_cleaned_or_analysed() -> None:
    reason = "several-persons: The files name 2 persons."
    context = Context(RUN.dump(), {"workers_for": 0, "hold_study": reason, "report": [], **OTHERS})
    assert run(read_study, context) == "quarantined"
    assert context.steps() == ["workers_for", "hold_study", "report", *OTHERS]
    assert dict(context.told)["report"]["verdict"] == {"outcome": "quarantined", "reason": reason}


def test_a_study_whose_person_is_known_by_the_time_it_is_asked_goes_on() -> None:
    answers = {
        "workers_for": 0,
        "hold_study": "",
        "deidentify_batches": False,
        "analyse": {"plan": PLAN.dump(), "verdict": AnalysisOutcome(outcome="analysed").dump()},
        "report": [],
        **OTHERS,
    }
    context = Context(RUN.dump(), answers)
    assert run(read_study, context) == "analysed"
    assert context.steps().count("deidentify_batches") == WORKERS


def test_each_alert_that_the_report_asks_for_is_raised() -> None:
    due = Alert(token=RUN.token, clinic="lakeside", handle="ABCDEFGH", finding="lung-nodule").dump()
    answers = {
        "workers_for": 1,
        "deidentify_batches": False,
        "analyse": {"plan": PLAN.dump(), "verdict": AnalysisOutcome(outcome="analysed").dump()},
        "report": [due],
        "raise_alert": "started",
        **OTHERS,
    }
    context = Context(RUN.dump(), answers)
    run(read_study, context)
    assert context.steps()[-6:] == ["report", "raise_alert", *OTHERS]
    assert ("raise_alert", due) in context.told


def test_a_result_that_is_known_costs_no_job() -> None:
    context = Context({"run": RUN.dump()}, {"plan_analysis": Plan(outcome="known", run_key="k").dump()})
    assert run(analyse, context)["verdict"]["outcome"] == "analysed"
    assert context.steps() == ["plan_analysis"]


def test_a_study_out_of_scope_costs_no_job_and_says_why() -> None:
    plan = Plan(outcome="out-of-scope", reason="too-few-slices: The series has 2 usable slices.")
    context = Context({"run": RUN.dump()}, {"plan_analysis": plan.dump()})
    assert run(analyse, context)["verdict"] == {"outcome": "out-of-scope", "reason": plan.reason}


@pytest.mark.parametrize("as_text", [True, False])
def test_the_jobs_answer_ends_the_wait(as_text: bool) -> None:
    verdict = AnalysisOutcome(outcome="analysed")
    context = Context(
        {"run": RUN.dump()},
        {"plan_analysis": PLAN.dump(), "request_analysis": WATCH.dump()},
        events={"inference": verdict.model_dump_json() if as_text else verdict.dump()},
    )
    assert run(analyse, context)["verdict"]["outcome"] == "analysed"
    assert context.timers[0].cancelled


@pytest.mark.parametrize("heard", ["by its answer", "by the watchdog"])
def test_a_series_that_cannot_be_decoded_is_no_answer_but_a_reason_to_plan_again(heard: str) -> None:
    """The plan finds the result that says so, and takes the next best series."""
    unreadable = AnalysisOutcome(outcome="out-of-scope", reason="pixels-unreadable: cannot decode JPEG 2000")
    steps = {"plan_analysis": PLAN.dump(), "request_analysis": WATCH.dump(), "watch_analysis": unreadable.dump()}
    events = {"inference": unreadable.dump()} if heard == "by its answer" else {}
    context = Context({"run": RUN.dump()}, steps, events=events)
    assert run(analyse, context) is None and context.again == {"run": RUN.dump()}


def test_a_silent_job_is_looked_after_again_and_again_with_growing_patience() -> None:
    waiting = AnalysisOutcome(outcome="waiting", reason="no-gpu-quota")
    context = Context({"run": RUN.dump(), "watch": WATCH.dump()}, {"watch_analysis": waiting.dump()})
    run(analyse, context)
    assert context.again["watch"]["patience"] == 45
    assert context.again["watch"]["trouble"] == "no-gpu-quota", "the record will name it if the deadline passes"
    assert "plan_analysis" not in context.steps(), "the order was written once"


def test_a_job_that_never_answers_fails_the_study_visibly() -> None:
    late = AnalysisOutcome(outcome="failed", reason="deadline: the analysis did not end in time")
    context = Context({"run": RUN.dump(), "watch": WATCH.dump()}, {"watch_analysis": late.dump()})
    assert run(analyse, context)["verdict"]["outcome"] == "failed"


ALERT = Alert(token=RUN.token, clinic="lakeside", handle="ABCDEFGH", finding="lung-nodule").dump()


def test_an_alert_without_anyone_to_turn_to_ends_when_it_has_arrived() -> None:
    assert run(alert, Context(ALERT, {"send_alert": 0.0, "look_at_letters": "arrived"})) == "arrived"


def test_an_alert_that_is_acknowledged_goes_no_further() -> None:
    context = Context(ALERT, {"send_alert": 1800.0}, events={"acknowledged": {"at": "now"}})
    assert run(alert, context) == "acknowledged"


def test_an_alert_that_nobody_acknowledges_goes_to_the_next_in_line() -> None:
    context = Context(ALERT, {"send_alert": 1800.0, "escalate_alert": False, "look_at_letters": "arrived"})
    assert run(alert, context) == "arrived"
    assert context.steps() == ["send_alert", "escalate_alert", "look_at_letters"]


class Client:
    """A durable client that knows one instance; it remembers what it was told to start."""

    def __init__(self, state: str | None) -> None:
        self.state, self.started = state, 0

    async def get_status(self, instance: str) -> SimpleNamespace:
        return SimpleNamespace(runtime_status=df.OrchestrationRuntimeStatus(self.state) if self.state else None)

    async def start_new(self, name: str, **_: Any) -> None:
        self.started += 1


@pytest.mark.parametrize(
    ("state", "started"),
    [(None, 1), ("Pending", 0), ("Running", 0), ("Completed", 0), ("Failed", 1), ("Terminated", 1), ("Canceled", 1)],
)
def test_an_alert_that_gave_up_is_not_done_and_starts_again(state: str | None, started: int) -> None:
    client = Client(state)
    this = Alert.model_validate(ALERT)
    asyncio.run(start_once(client, "alert", this.instance, this, over_is_done=True))
    assert client.started == started


DOOMED = Erasure(token=RUN.token, clinic="lakeside", handle="ABCDEFGH", by="somebody", at="2026-01-01T00:00:00Z")


def test_an_erasure_sweeps_again_until_nothing_comes_back() -> None:
    context = Context(DOOMED.dump(), {"stop_runs": 1, "sweep": 12})
    run(erase_study, context)
    assert context.steps() == ["stop_runs", "sweep"]
    assert context.timers[0].due - context.current_utc_datetime >= timedelta(minutes=5)
    second = Context(context.again, {"sweep": 0})
    assert run(erase_study, second) == "erased"
    assert second.steps() == ["sweep"], "a run that was started since belongs to a new study"


def test_a_cancelled_run_is_stopped_and_its_readers_are_told() -> None:
    context = Context(RUN.dump(), {"cancel_runs": RUN.next.dump(), "report": [], **OTHERS})
    assert run(cancel_study, context) == "cancelled"
    (told,) = [given for name, given in context.told if name == "report"]
    assert told["run"] == RUN.next.dump(), "the last run with files"
    assert told["verdict"] == {"outcome": "failed", "reason": "cancelled: by an operator"}
