"""The events of an orchestration's history, in the very shape that the Durable Task extension gives to a worker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any

Event = dict[str, Any]


class Kind(IntEnum):
    EXECUTION_STARTED = 0
    EXECUTION_COMPLETED = 1
    EXECUTION_TERMINATED = 3
    TASK_SCHEDULED = 4
    TASK_COMPLETED = 5
    TASK_FAILED = 6
    SUB_ORCHESTRATION_CREATED = 7
    SUB_ORCHESTRATION_COMPLETED = 8
    SUB_ORCHESTRATION_FAILED = 9
    TIMER_CREATED = 10
    TIMER_FIRED = 11
    ORCHESTRATOR_STARTED = 12
    ORCHESTRATOR_COMPLETED = 13
    EVENT_RAISED = 15
    GENERIC = 17
    EXECUTION_SUSPENDED = 19
    EXECUTION_RESUMED = 20


SCHEDULED = {Kind.TASK_SCHEDULED, Kind.SUB_ORCHESTRATION_CREATED, Kind.TIMER_CREATED}
ANSWERS = {
    Kind.TASK_COMPLETED: "TaskScheduledId",
    Kind.TASK_FAILED: "TaskScheduledId",
    Kind.SUB_ORCHESTRATION_COMPLETED: "TaskScheduledId",
    Kind.SUB_ORCHESTRATION_FAILED: "TaskScheduledId",
    Kind.TIMER_FIRED: "TimerId",
}
FAILURES = {Kind.TASK_FAILED, Kind.SUB_ORCHESTRATION_FAILED}
# The worker is told that these were seen in an earlier turn; the others carry false for ever.
_PLAYED = {
    Kind.EXECUTION_STARTED,
    Kind.EVENT_RAISED,
    Kind.GENERIC,
    Kind.EXECUTION_SUSPENDED,
    Kind.EXECUTION_RESUMED,
    Kind.EXECUTION_TERMINATED,
    *ANSWERS,
}


def timestamp(moment: datetime) -> str:
    """ISO 8601 in UTC, without trailing zeros in the fraction, as .NET writes it."""
    text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
    return f"{text}Z"


def moment(text: str) -> datetime:
    """The inverse of `timestamp`; accepts the seven digits of .NET and the forms that the SDK writes."""
    whole, _, rest = text.removesuffix("Z").removesuffix("+00:00").partition(".")
    return datetime.fromisoformat(f"{whole}.{rest[:6]:0<6}").replace(tzinfo=UTC)


def plus(text: str, milliseconds: float) -> str:
    return timestamp(moment(text) + timedelta(milliseconds=milliseconds))


def _event(kind: Kind, at: str, fields: Event, event_id: int = -1) -> Event:
    return {"EventType": int(kind), **fields, "EventId": event_id, "IsPlayed": False, "Timestamp": at}


def orchestrator_started(at: str) -> Event:
    return _event(Kind.ORCHESTRATOR_STARTED, at, {})


def orchestrator_completed(at: str) -> Event:
    return _event(Kind.ORCHESTRATOR_COMPLETED, at, {})


def execution_started(
    at: str,
    instance_id: str,
    execution_id: str,
    name: str,
    input_text: str | None,
    *,
    version: str | None = None,
    parent: Event | None = None,
    generation: int | None = 0,
) -> Event:
    fields = {
        "OrchestrationInstance": {"InstanceId": instance_id, "ExecutionId": execution_id},
        "ParentInstance": parent,
        "Name": name,
        "Version": version,
        "Input": input_text,
        "Tags": None,
        "Correlation": None,
        "ParentTraceContext": None,
        "ScheduledStartTime": None,
        "Generation": generation,
        "GenerateNewTrace": False,
    }
    return _event(Kind.EXECUTION_STARTED, at, fields)


def task_scheduled(at: str, event_id: int, name: str) -> Event:
    fields = {"Name": name, "Version": "", "Input": None, "ParentTraceContext": None, "Tags": None}
    return _event(Kind.TASK_SCHEDULED, at, fields, event_id)


def task_completed(at: str, task_id: int, result: str | None) -> Event:
    return _event(Kind.TASK_COMPLETED, at, {"TaskScheduledId": task_id, "Result": result})


def task_failed(at: str, task_id: int, reason: str, details: str) -> Event:
    fields = {"TaskScheduledId": task_id, "Reason": reason, "Details": details, "FailureDetails": None}
    return _event(Kind.TASK_FAILED, at, fields)


def sub_orchestration_created(at: str, event_id: int, name: str, instance_id: str, version: str | None) -> Event:
    fields = {
        "Name": name,
        "Version": version,
        "InstanceId": instance_id,
        "Input": None,
        "ClientSpanId": None,
        "Tags": None,
    }
    return _event(Kind.SUB_ORCHESTRATION_CREATED, at, fields, event_id)


def sub_orchestration_completed(at: str, task_id: int, result: str | None) -> Event:
    return _event(Kind.SUB_ORCHESTRATION_COMPLETED, at, {"TaskScheduledId": task_id, "Result": result})


def sub_orchestration_failed(at: str, task_id: int, reason: str, details: str) -> Event:
    fields = {"TaskScheduledId": task_id, "Reason": reason, "Details": details, "FailureDetails": None}
    return _event(Kind.SUB_ORCHESTRATION_FAILED, at, fields)


def timer_created(at: str, event_id: int, fire_at: str) -> Event:
    return _event(Kind.TIMER_CREATED, at, {"FireAt": fire_at}, event_id)


def timer_fired(at: str, timer_id: int, fire_at: str) -> Event:
    return _event(Kind.TIMER_FIRED, at, {"TimerId": timer_id, "FireAt": fire_at})


def event_raised(at: str, name: str, input_text: str | None) -> Event:
    return _event(Kind.EVENT_RAISED, at, {"Name": name, "Input": input_text, "ParentTraceContext": None})


def execution_terminated(at: str, reason: str | None) -> Event:
    return _event(Kind.EXECUTION_TERMINATED, at, {"Input": reason})


def execution_suspended(at: str, reason: str | None) -> Event:
    return _event(Kind.EXECUTION_SUSPENDED, at, {"Reason": reason})


def execution_resumed(at: str, reason: str | None) -> Event:
    return _event(Kind.EXECUTION_RESUMED, at, {"Reason": reason})


def generic(at: str, data: str | None, event_id: int = -1) -> Event:
    return _event(Kind.GENERIC, at, {"Data": data}, event_id)


def execution_completed(at: str, status: str, result: str | None) -> Event:
    return _event(Kind.EXECUTION_COMPLETED, at, {"OrchestrationStatus": status, "Result": result})


def played(event: Event) -> Event:
    """The event as a later turn shows it."""
    seen = event["EventType"] in _PLAYED and event["EventId"] < 0  # what a rewind has blotted out keeps its number
    return {**event, "IsPlayed": True} if seen else event
