"""One turn of an orchestration: the context that the worker receives, and what its answer changes. Pure."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

from readfirst.local.host.durable import events
from readfirst.local.host.durable.events import FAILURES, Event, Kind
from readfirst.local.host.durable.replay import (
    Answer,
    Completed,
    ContinuedAsNew,
    Decision,
    End,
    Failed,
    Scheduled,
    Terminated,
    decide,
)
from readfirst.local.host.durable.store import Activity, Instance, Message, Turn

# A message of our own: the first turn of a generation after continue-as-new, whose history is already written.
NEXT_GENERATION = -1


@dataclass(frozen=True)
class Opening:
    """What a turn starts from."""

    instance: Instance
    past: Sequence[Event]
    new: Sequence[Event]  # OrchestratorStarted and what has arrived; empty in the first turn of a later generation
    consumed: Sequence[int]


def open_turn(instance: Instance, past: Sequence[Event], messages: Sequence[Message], now: str) -> Opening:
    """`messages` are those of this generation, in order of arrival."""
    marker = next((m for m in messages if m.event["EventType"] == NEXT_GENERATION), None)
    if marker is not None:
        return Opening(instance, past, (), (marker.seq,))
    started = [m for m in messages if m.event["EventType"] == Kind.EXECUTION_STARTED]
    others = [m for m in messages if m.event["EventType"] != Kind.EXECUTION_STARTED]
    ordered = [*started, *others]
    return Opening(
        instance, past, [events.orchestrator_started(now), *(m.event for m in ordered)], [m.seq for m in ordered]
    )


def context_json(opening: Opening) -> str:
    """The JSON that the orchestrator function receives, key by key as the real extension writes it."""
    past = [events.played(event) for event in opening.past] if opening.new else list(opening.past)
    if opening.new and _begins_a_later_generation(past):
        past[2] = {**past[2], "IsPlayed": True}
    history = [*past, *opening.new]
    start = next(event for event in history if event["EventType"] == Kind.EXECUTION_STARTED)
    parent = start["ParentInstance"]
    return json.dumps(
        {
            "history": history,
            "input": None if start["Input"] is None else json.loads(start["Input"]),
            "instanceId": opening.instance.id,
            "isReplaying": bool(opening.past and opening.new),
            "parentInstanceId": parent["OrchestrationInstance"]["InstanceId"] if parent else None,
            "upperSchemaVersion": 1,
            "upperSchemaVersionNew": 3,
            "longRunningTimerIntervalDuration": "3.00:00:00",
            "maximumShortTimerDuration": "6.00:00:00",
            "defaultHttpAsyncRequestSleepTimeMillseconds": 30000,
        },
        separators=(",", ":"),
    )


def _begins_a_later_generation(past: Sequence[Event]) -> bool:
    """After continue-as-new the history opens with a whole empty turn, and the first one adds to it without a start."""
    kinds = [event["EventType"] for event in past[2:4]]
    return kinds[:1] == [Kind.ORCHESTRATOR_COMPLETED] and kinds[1:] not in ([], [Kind.ORCHESTRATOR_STARTED])


def close_turn(opening: Opening, answer: Answer, now: str, default_version: str | None) -> Turn:
    """What to write. Children that exist already are the caller's to sort out: the store knows them."""
    decision = decide([*opening.past, *opening.new], answer, now)
    history = [*opening.new, *(item.event for item in decision.scheduled), events.orchestrator_completed(now)]
    turn = Turn(
        instance=_after(opening, decision, now),
        consumed=opening.consumed,
        history=history,
        history_from=len(opening.past),
    )
    turn = _with_work(turn, opening.instance, decision.scheduled, now, default_version)
    return turn if decision.end is None else _ended(turn, opening.instance, decision.end, now)


def _after(opening: Opening, decision: Decision, now: str) -> Instance:
    instance = opening.instance
    status = "Suspended" if decision.suspended else "Running"
    output = instance.output
    for event in opening.new:
        if event["EventType"] in (Kind.EXECUTION_SUSPENDED, Kind.EXECUTION_RESUMED):
            output = None if event["Reason"] is None else json.dumps(event["Reason"])
    custom_status = decision.custom_status if decision.custom_status is not None else instance.custom_status
    return replace(instance, status=status, output=output, custom_status=custom_status, updated=now)


def _with_work(
    turn: Turn, instance: Instance, scheduled: Sequence[Scheduled], now: str, default_version: str | None
) -> Turn:
    messages: list[Message] = []
    activities: list[Activity] = []
    children: list[Instance] = []
    for item in scheduled:
        event = item.event
        if event["EventType"] == Kind.TASK_SCHEDULED:
            activities.append(Activity(instance.id, instance.execution_id, event["EventId"], event["Name"], item.input))
        elif event["EventType"] == Kind.TIMER_CREATED:
            fired = events.timer_fired(now, event["EventId"], event["FireAt"])
            messages.append(Message(instance.id, instance.execution_id, fired, due=event["FireAt"]))
        else:
            child, first = _child(instance, item, now, default_version)
            children.append(child)
            messages.append(first)
    return replace(turn, messages=messages, activities=activities, children=children)


def _child(parent: Instance, item: Scheduled, now: str, default_version: str | None) -> tuple[Instance, Message]:
    event = item.event
    link = {
        "Name": parent.name,
        "OrchestrationInstance": {"InstanceId": parent.id, "ExecutionId": parent.execution_id},
        "TaskScheduleId": event["EventId"],
        "Version": None,
    }
    input_text = None if item.input is None else json.dumps(item.input)
    version = event["Version"] or default_version
    return new_instance(event["InstanceId"], event["Name"], input_text, now, version=version, parent=link)


def new_instance(
    instance_id: str,
    name: str,
    input_text: str | None,
    now: str,
    *,
    version: str | None,
    parent: Event | None = None,
    generation: int | None = None,
) -> tuple[Instance, Message]:
    """A Pending instance and the message that starts it. `input_text` is JSON; `generation` counts an id's reuse."""
    execution_id = str(uuid.uuid4()) if parent is None else uuid.uuid4().hex
    instance = Instance(instance_id, execution_id, name, version, "Pending", input_text, None, None, now, now, parent)
    event = events.execution_started(
        now, instance_id, execution_id, name, input_text, version=version, parent=parent, generation=generation
    )
    return instance, Message(instance_id, execution_id, event)


def _ended(turn: Turn, before: Instance, end: End, now: str) -> Turn:
    if isinstance(end, ContinuedAsNew):
        return _next_generation(turn, end, now)
    if isinstance(end, Completed):
        status, result = "Completed", end.output
    elif isinstance(end, Failed):
        status, result = "Failed", json.dumps(end.output)
    else:
        status, result = "Terminated", None if end.output is None else json.dumps(end.output)
    messages = [m for m in turn.messages if m.instance_id != before.id]
    if before.parent is not None:
        messages.append(_tell_parent(before.parent, end, now))
    return replace(
        turn,
        instance=replace(turn.instance, status=status, output=result),
        history=[*turn.history, events.execution_completed(now, status, result)],
        messages=messages,
    )


def _tell_parent(parent: Event, end: Completed | Failed | Terminated, now: str) -> Message:
    number = parent["TaskScheduleId"]
    if isinstance(end, Completed):
        event = events.sub_orchestration_completed(now, number, end.output)
    else:
        details = end.details if isinstance(end, Failed) else ""
        event = events.sub_orchestration_failed(now, number, end.output or "", details)
    target = parent["OrchestrationInstance"]
    return Message(target["InstanceId"], target["ExecutionId"], event)


def _next_generation(turn: Turn, end: ContinuedAsNew, now: str) -> Turn:
    old = turn.instance
    input_text = None if end.input is None else json.dumps(end.input)
    instance = replace(old, execution_id=uuid.uuid4().hex, input=input_text)
    start = events.execution_started(
        now,
        instance.id,
        instance.execution_id,
        instance.name,
        input_text,
        version=instance.version,
        parent=instance.parent,
        generation=None,
    )
    return replace(
        turn,
        instance=instance,
        history=[events.orchestrator_started(now), start, events.orchestrator_completed(now)],
        history_from=0,
        messages=[Message(instance.id, instance.execution_id, {"EventType": NEXT_GENERATION})],
        activities=(),
        children=(),
    )


def rewound(history: Sequence[Event]) -> tuple[list[Event], list[str]]:
    """The history of a failed orchestration with the failures blotted out, and the children that must rewind too."""
    failed = {e["TaskScheduledId"] for e in history if e["EventType"] in FAILURES}
    cleared: list[Event] = []
    children: list[str] = []
    for event in history:
        kind = event["EventType"]
        if kind == Kind.SUB_ORCHESTRATION_CREATED and event["EventId"] in failed:
            children.append(event["InstanceId"])  # it stays created; its answer is still to come
        blot = kind in FAILURES or kind == Kind.EXECUTION_COMPLETED
        if blot or (kind == Kind.TASK_SCHEDULED and event["EventId"] in failed):
            event = events.generic(event["Timestamp"], None, event["EventId"])
        cleared.append(event)
    return cleared, children
