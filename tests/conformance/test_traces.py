"""Recorded orchestrations of the real host, replayed turn by turn through the SDK and through the embedded engine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from readfirst.local.host.durable.events import SCHEDULED, Event, Kind
from readfirst.local.host.durable.history_view import shown_history
from readfirst.local.host.durable.replay import Answer
from readfirst.local.host.durable.store import Instance, Message, Turn
from readfirst.local.host.durable.turn import Opening, close_turn, context_json, open_turn, rewound
from tests.conformance import orchestrators

TRACES = {path.stem: json.loads(path.read_text()) for path in sorted((Path(__file__).parent / "data/traces").iterdir())}
# The embedded engine's own choices, each told in docs/embedded-host.md.
OUR_TIMES = {*SCHEDULED, Kind.ORCHESTRATOR_STARTED, Kind.ORCHESTRATOR_COMPLETED}
REWOUND = 17

Recorded = Mapping[str, Any]


def _runs() -> Iterator[Any]:
    """Every orchestration in the recordings, the children too: scenario, function, turns."""
    for name, trace in TRACES.items():
        if trace["turns"]:
            yield pytest.param(trace["turns"], id=name)
        for number, child in enumerate(trace["children"]):
            yield pytest.param(child["turns"], id=f"{name}-child{number}")


RUNS = list(_runs())


@pytest.mark.parametrize("turns", RUNS)
def test_the_sdk_answers_each_recorded_history_with_the_recorded_actions(turns: list[Recorded]) -> None:
    orchestrators._ran["nondet"] = 0
    for turn in turns:
        kind, answer = orchestrators.run(turn["function"], turn["context"])
        if "raised" in turn:
            assert kind == "raised"
            assert first_line(answer) == first_line(turn["raised"])
        else:
            assert kind == "returned", answer
            assert json.loads(answer) == turn["returned"]


@pytest.mark.parametrize("turns", RUNS)
def test_the_engine_makes_the_recorded_next_history_of_each_recorded_answer(turns: list[Recorded]) -> None:
    for turn, following in pairwise(turns):
        if REWOUND in {event["EventType"] for event in following["context"]["history"]}:
            continue  # test_a_rewound_history_is_the_recorded_one looks at these
        history = turn["context"]["history"]
        closed = close(turn)
        if generation(following) != generation(turn):
            assert kinds(closed.history) == kinds(following["context"]["history"])
            assert closed.history_from == 0
            continue
        expected = following["context"]["history"]
        past = [*history, *closed.history[len(new_part(history)) :]]
        messages = [message(event) for event in expected[len(past) + 1 :]]
        opening = open_turn(closed.instance, [unplayed(event) for event in past], messages, "2026-01-01T00:00:00Z")
        assert comparable(json.loads(context_json(opening))) == comparable(following["context"])


@pytest.mark.parametrize("turns", RUNS)
def test_only_the_last_recorded_turn_ends_the_orchestration(turns: list[Recorded]) -> None:
    ends = [close(turn).instance.finished for turn in turns if not is_rewound(turn)]
    assert not any(ends[:-1])


@pytest.mark.parametrize("name", [name for name, trace in TRACES.items() if trace["turns"]])
def test_the_end_of_each_recorded_orchestration_is_ours(name: str) -> None:
    trace = TRACES[name]
    end = close([turn for turn in trace["turns"] if not is_rewound(turn)][-1]).instance
    recorded = next(s["response"] for s in trace["status"] if s["label"] == "GET status")
    if trace["finalRuntimeStatus"] == "Running":
        assert not end.finished
        return
    assert end.status == trace["finalRuntimeStatus"]
    assert first_line(json.loads(end.output or "null")) == first_line(recorded["output"])
    assert json.loads(end.custom_status or "null") == recorded["customStatus"]


# An activity that the app lacks is never scheduled: the engine parks the turn that `close` makes here.
@pytest.mark.parametrize("name", [n for n, t in TRACES.items() if t["turns"] and n != "missing_activity"])
def test_the_history_is_shown_as_recorded(name: str) -> None:
    trace = TRACES[name]
    last = [turn for turn in trace["turns"] if not is_rewound(turn)][-1]
    past = last["context"]["history"]
    history = [*past, *close(last).history[len(new_part(past)) :]]
    for status in trace["status"]:
        if status["label"].startswith("GET status showHistory"):
            ours = shown_history(history, with_output="Output" in status["label"])
            recorded = status["response"]["historyEvents"]
            assert [timeless(first_line(event)) for event in ours] == [
                timeless(first_line(event)) for event in recorded
            ]


def test_a_rewound_history_is_the_recorded_one() -> None:
    failed, again, _ = TRACES["act_fail"]["turns"][1:4]
    before = failed["context"]["history"]
    cleared, children = rewound([*before, *close(failed).history[len(new_part(before)) :]])
    recorded = again["context"]["history"]
    assert children == []
    # The real host writes an orchestration's end before the turn's, and numbers it.
    assert sorted(kinds(cleared)) == sorted(kinds(recorded[:-2]))
    assert close(again).activities[0].name == "fails"
    assert close(again).activities[0].task_id == 0


# --- from recordings to the engine's records and back


def close(turn: Recorded) -> Turn:
    history = turn["context"]["history"]
    new = new_part(history)
    start = next(event for event in history if event["EventType"] == Kind.EXECUTION_STARTED)
    instance = Instance(
        turn["context"]["instanceId"],
        start["OrchestrationInstance"]["ExecutionId"],
        start["Name"],
        None,
        "Running",
        start["Input"],
        None,
        None,
        start["Timestamp"],
        start["Timestamp"],
        start["ParentInstance"],
    )
    past = history[: len(history) - len(new)]
    answer = (
        Answer.from_json(json.dumps(turn["returned"]))
        if "returned" in turn  # else the recorded text is cut: the SDK's own is whole
        else Answer.from_exception(orchestrators.run(turn["function"], turn["context"])[1])
    )
    return close_turn(Opening(instance, past, new, ()), answer, "2026-01-01T00:00:00Z", None)


def new_part(history: list[Event]) -> list[Event]:
    """The events of the turn itself; none in the first turn after continue-as-new."""
    begun = max(i for i, event in enumerate(history) if event["EventType"] == Kind.ORCHESTRATOR_STARTED)
    part = history[begun:]
    return [] if part[-1]["EventType"] == Kind.ORCHESTRATOR_COMPLETED else part


def generation(turn: Recorded) -> str:
    start = next(e for e in turn["context"]["history"] if e["EventType"] == Kind.EXECUTION_STARTED)
    return str(start["OrchestrationInstance"]["ExecutionId"])


def is_rewound(turn: Recorded) -> bool:
    return REWOUND in {event["EventType"] for event in turn["context"]["history"]}


def message(event: Event) -> Message:
    return Message("", None, unplayed(event))


def unplayed(event: Event) -> Event:
    return {**event, "IsPlayed": False}


def kinds(history: Any) -> list[int]:
    return [event["EventType"] for event in history]


def comparable(context: Any) -> Any:
    """A context without the times that the host gives its own events, down to the order of the keys in nothing."""
    return {
        **context,
        "history": [timeless(event) if event["EventType"] in OUR_TIMES else event for event in context["history"]],
    }


def timeless(event: Any) -> Any:
    return {key: value for key, value in event.items() if key not in ("Timestamp", "ScheduledTime", "FireAt")}


def first_line(value: Any) -> Any:
    """Exceptions carry the real host's stack behind their first line."""
    if isinstance(value, dict):
        return {key: first_line(item) for key, item in value.items()}
    return value.split("\n")[0] if isinstance(value, str) else value
