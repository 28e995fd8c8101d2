"""How the status API shows a history: names for numbers, scheduled events merged into their answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from readfirst.local.host.durable.events import Event, Kind

_NAMES = {
    Kind.EXECUTION_STARTED: "ExecutionStarted",
    Kind.EXECUTION_COMPLETED: "ExecutionCompleted",
    Kind.EXECUTION_TERMINATED: "ExecutionTerminated",
    Kind.TASK_SCHEDULED: "TaskScheduled",
    Kind.TASK_COMPLETED: "TaskCompleted",
    Kind.TASK_FAILED: "TaskFailed",
    Kind.SUB_ORCHESTRATION_CREATED: "SubOrchestrationInstanceCreated",
    Kind.SUB_ORCHESTRATION_COMPLETED: "SubOrchestrationInstanceCompleted",
    Kind.SUB_ORCHESTRATION_FAILED: "SubOrchestrationInstanceFailed",
    Kind.TIMER_CREATED: "TimerCreated",
    Kind.TIMER_FIRED: "TimerFired",
    Kind.EVENT_RAISED: "EventRaised",
    Kind.GENERIC: "GenericEvent",
    Kind.EXECUTION_SUSPENDED: "ExecutionSuspended",
    Kind.EXECUTION_RESUMED: "ExecutionResumed",
}
_MERGED = {Kind.TASK_SCHEDULED, Kind.SUB_ORCHESTRATION_CREATED}  # into their answers; timers stay
_HIDDEN = {"EventType", "EventId", "IsPlayed", "Timestamp", "TaskScheduledId", "TimerId", "Version"}
_HIDDEN_OF_START = {"OrchestrationInstance", "ParentInstance", "Name", "Tags"}


def shown_history(history: Sequence[Event], with_output: bool) -> list[dict[str, Any]]:
    scheduled = {event["EventId"]: event for event in history if event["EventType"] in _MERGED}
    answered = {_answers(event) for event in history}
    shown = []
    for event in history:
        kind = event["EventType"]
        if kind in (Kind.ORCHESTRATOR_STARTED, Kind.ORCHESTRATOR_COMPLETED):
            continue
        if kind in _MERGED and event["EventId"] in answered:
            continue
        shown.append(_shown(event, scheduled.get(_answers(event)), with_output))
    return shown


def _answers(event: Event) -> int | None:
    """The number of the activity or sub-orchestration that this event answers."""
    number: int | None = event.get("TaskScheduledId")
    return number


def _shown(event: Event, cause: Event | None, with_output: bool) -> dict[str, Any]:
    kind = Kind(event["EventType"])
    hidden = _HIDDEN | _HIDDEN_OF_START if kind == Kind.EXECUTION_STARTED else _HIDDEN
    view: dict[str, Any] = {"EventType": _NAMES[kind]}
    view.update({key: value for key, value in event.items() if key not in hidden and key != "Result"})
    if "Result" in event and with_output:
        view["Result"] = None if event["Result"] is None else json.loads(event["Result"])
    if kind == Kind.EXECUTION_COMPLETED:
        view["FailureDetails"] = None
    view["Timestamp"] = event["Timestamp"]
    if kind == Kind.EXECUTION_STARTED:
        view["FunctionName"] = event["Name"]
    if cause is not None:
        view["ScheduledTime"] = cause["Timestamp"].removesuffix("Z") + "+00:00"
        view["FunctionName"] = cause["Name"]
        view["Input"] = None
    return view
