"""What an orchestrator's answer means, given its history: which events to add, and whether it is done. Pure.

The worker returns all actions since the beginning and gives them no numbers. So they are replayed beside the history:
each action takes its number when it is scheduled, one after another, and what the history does not hold yet is new.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from readfirst.local.host.durable import events
from readfirst.local.host.durable.events import ANSWERS, FAILURES, SCHEDULED, Event, Kind

Action = dict[str, Any]
_MARK = "$OutOfProcData$:"
_LONGEST_RETRY = 6 * 24 * 3600 * 1000  # the durable extension's own limit


class ActionType(IntEnum):
    ACTIVITY = 0
    ACTIVITY_WITH_RETRY = 1
    SUB_ORCHESTRATION = 2
    SUB_ORCHESTRATION_WITH_RETRY = 3
    CONTINUE_AS_NEW = 4
    TIMER = 5
    WAIT_FOR_EVENT = 6
    CALL_ENTITY = 7
    CALL_HTTP = 8
    SIGNAL_ENTITY = 9
    WHEN_ANY = 11
    WHEN_ALL = 12


@dataclass(frozen=True)
class Answer:
    """What the orchestrator function returned, or raised."""

    actions: Sequence[Action] = ()
    is_done: bool = False
    output: str | None = None  # JSON text
    error: str | None = None
    custom_status: str | None = None  # JSON text

    @classmethod
    def from_json(cls, text: str) -> Answer:
        return cls._from_state(json.loads(text))

    @classmethod
    def from_exception(cls, message: str) -> Answer:
        """The SDK raises with the state behind a mark; anything else is an error of the function itself."""
        error, mark, state = message.rpartition(_MARK)
        if not mark:
            return cls(error=message)
        parsed = cls._from_state(json.loads(state))
        return cls(parsed.actions, False, None, parsed.error or error.rstrip(), parsed.custom_status)

    @classmethod
    def _from_state(cls, state: dict[str, Any]) -> Answer:
        return cls(
            actions=[action for batch in state["actions"] for action in batch],
            is_done=state["isDone"],
            output=compact(state["output"]) if "output" in state else None,
            error=state.get("error"),
            custom_status=compact(state["customStatus"]) if "customStatus" in state else None,
        )


@dataclass(frozen=True)
class Scheduled:
    """An event to add, and the input (JSON text) that goes with it but not into the worker's history."""

    event: Event
    input: str | None = None


@dataclass(frozen=True)
class Completed:
    output: str | None


@dataclass(frozen=True)
class Failed:
    output: str
    details: str


@dataclass(frozen=True)
class Terminated:
    output: str | None


@dataclass(frozen=True)
class ContinuedAsNew:
    input: str | None


End = Completed | Failed | Terminated | ContinuedAsNew


@dataclass(frozen=True)
class Decision:
    scheduled: Sequence[Scheduled]
    end: End | None
    suspended: bool
    custom_status: str | None


class NonDeterminism(Exception):
    pass


class Unsupported(Exception):
    pass


def compact(value: Any) -> str:
    """JSON as the host stores results: without blanks."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def decide(history: Sequence[Event], answer: Answer, now: str) -> Decision:
    """`history` ends with this turn's events. `now` is the time given to the events that are added."""
    start = next(event for event in history if event["EventType"] == Kind.EXECUTION_STARTED)
    name = start["Name"]
    for event in history:
        if event["EventType"] == Kind.EXECUTION_TERMINATED:
            return Decision((), Terminated(event["Input"]), False, answer.custom_status)
    replay = _Replay(start["OrchestrationInstance"]["ExecutionId"], answer.actions, now)
    try:
        for event in history:
            replay.see(event)
        scheduled = replay.new_events()
    except NonDeterminism as problem:
        return Decision((), Failed(str(problem), str(problem)), False, answer.custom_status)
    except Unsupported as problem:
        text = f"Orchestrator function '{name}' failed: {problem}"
        return Decision((), Failed(text, f"Message: {problem}"), False, answer.custom_status)
    end = None
    if not replay.suspended and not replay.open:
        end = _end(name, answer, replay.continue_with)
    return Decision(scheduled, end, replay.suspended, answer.custom_status)


def _end(name: str, answer: Answer, continue_with: tuple[str | None] | None) -> End | None:
    if answer.error is not None:
        return Failed(f"Orchestrator function '{name}' failed: {answer.error}", f"Message: {answer.error}")
    if continue_with is not None:
        return ContinuedAsNew(continue_with[0])
    return Completed(answer.output) if answer.is_done else None


@dataclass
class _Task:
    """Something that is awaited. `then` runs once, when it is done."""

    done: bool = False
    failed: bool = False
    cancelled: bool = False  # a timer that lost a race: nobody waits for it, and it wins nothing
    _then: list[Callable[[], None]] = field(default_factory=list)

    def then(self, callback: Callable[[], None]) -> None:
        if self.done:
            callback()
        else:
            self._then.append(callback)

    def finish(self, failed: bool = False) -> None:
        self.done, self.failed = True, failed
        callbacks, self._then = self._then, []
        for callback in callbacks:
            callback()


class _Replay:
    def __init__(self, execution_id: str, actions: Sequence[Action], now: str) -> None:
        self._execution_id = execution_id
        self._actions = actions
        self._now = now
        self._clock = now  # the time that the orchestrator saw in the turn being replayed
        self._next = 0
        self._planned: dict[int, Scheduled] = {}
        self._recorded: set[int] = set()
        self.open: dict[int, _Task] = {}
        self._waits: dict[str, list[_Task]] = {}
        self._unclaimed: set[str] = set()
        self._held: list[Event] = []
        self.suspended = False
        self.continue_with: tuple[str | None] | None = None

    # --- history

    def see(self, event: Event) -> None:
        kind = event["EventType"]
        if kind == Kind.ORCHESTRATOR_STARTED:
            self._clock = event["Timestamp"]
        elif kind == Kind.EXECUTION_STARTED:
            self._advance()
        elif kind in SCHEDULED:
            self._check(event)
        elif kind == Kind.EXECUTION_SUSPENDED:
            self.suspended = True
        elif kind == Kind.EXECUTION_RESUMED:
            self.suspended = False
            held, self._held = self._held, []
            for late in held:
                self._deliver(late)
        elif self.suspended:
            self._held.append(event)
        else:
            self._deliver(event)

    def _deliver(self, event: Event) -> None:
        kind = event["EventType"]
        if kind == Kind.EVENT_RAISED:
            waiting = self._waits.get(event["Name"])
            if waiting:
                waiting.pop().finish()  # the SDK gives it to the wait that came last
            else:
                self._unclaimed.add(event["Name"])
        elif kind in ANSWERS:
            task = self.open.pop(event[ANSWERS[kind]], None)
            if task is not None:
                task.finish(failed=kind in FAILURES)

    def _check(self, event: Event) -> None:
        number = event["EventId"]
        planned = self._planned.get(number)
        if planned is None:
            raise NonDeterminism(_no_longer(event))
        if planned.event["EventType"] != event["EventType"] or planned.event.get("Name") != event.get("Name"):
            raise NonDeterminism(_differs(event, planned.event))
        self._recorded.add(number)

    def new_events(self) -> list[Scheduled]:
        return [planned for number, planned in sorted(self._planned.items()) if number not in self._recorded]

    # --- actions

    def _advance(self) -> None:
        while self._next < len(self._actions):
            task = self._start(self._actions[self._next])
            self._next += 1
            if not task.done:
                task.then(self._advance)
                return

    def _start(self, action: Action) -> _Task:
        kind = action["actionType"]
        if kind in (ActionType.ACTIVITY, ActionType.SUB_ORCHESTRATION):
            return self._call(action)
        if kind in (ActionType.ACTIVITY_WITH_RETRY, ActionType.SUB_ORCHESTRATION_WITH_RETRY):
            return self._call_with_retry(action)
        if kind == ActionType.TIMER:
            return self._timer(events.timestamp(events.moment(action["fireAt"])), action["isCanceled"])
        if kind == ActionType.WAIT_FOR_EVENT:
            return self._wait(action["externalEventName"])
        if kind == ActionType.WHEN_ALL:
            return _all([self._start(child) for child in action["compoundActions"]])
        if kind == ActionType.WHEN_ANY:
            return _any([self._start(child) for child in action["compoundActions"]])
        if kind == ActionType.CONTINUE_AS_NEW:
            self.continue_with = (action["input"],)
            return _Task(done=True)
        names = {
            ActionType.CALL_ENTITY: "entities",
            ActionType.SIGNAL_ENTITY: "entities",
            ActionType.CALL_HTTP: "call_http",
        }
        raise Unsupported(f"the embedded host does not run {names.get(kind, f'actions of type {kind}')}")

    def _call(self, action: Action) -> _Task:
        if action["actionType"] in (ActionType.ACTIVITY, ActionType.ACTIVITY_WITH_RETRY):
            return self._plan(lambda n: events.task_scheduled(self._now, n, action["functionName"]), action["input"])

        def created(number: int) -> Event:
            instance = action.get("instanceId") or f"{self._execution_id}:{number}"
            version = action.get("version")
            return events.sub_orchestration_created(self._now, number, action["functionName"], instance, version)

        return self._plan(created, action["input"])

    def _call_with_retry(self, action: Action) -> _Task:
        """Each failure is followed by a timer, the last one too, as the Durable Task framework does it."""
        options = action["retryOptions"]
        result = _Task()

        def attempt(count: int) -> None:
            task = self._call(action)
            task.then(lambda: settle(task, count))

        def settle(task: _Task, count: int) -> None:
            if not task.failed:
                result.finish()
                return
            last = count >= options["maxNumberOfAttempts"]
            delay = 0 if last else _retry_delay(options, count)
            timer = self._timer(events.plus(self._clock, delay), cancelled=False)
            timer.then(lambda: result.finish(failed=True) if last else attempt(count + 1))

        attempt(1)
        return result

    def _timer(self, fire_at: str, cancelled: bool) -> _Task:
        task = self._plan(lambda number: events.timer_created(self._now, number, fire_at), None)
        if cancelled:
            number = next(number for number, other in self.open.items() if other is task)
            del self.open[number]
            task.done = task.cancelled = True
        return task

    def _wait(self, name: str) -> _Task:
        task = _Task(done=name in self._unclaimed)
        if not task.done:
            self._waits.setdefault(name, []).append(task)
        return task

    def _plan(self, make: Callable[[int], Event], input_text: str | None) -> _Task:
        number = len(self._planned)
        self._planned[number] = Scheduled(make(number), input_text)
        task = self.open[number] = _Task()
        return task


def _retry_delay(options: Mapping[str, Any], count: int) -> int:
    """Milliseconds until the next attempt after `count` of them: Durable Task's RetryInterceptor.ComputeNextDelay."""
    growth = float(options.get("backoffCoefficient", 1)) ** min(count - 1, 64)  # far beyond the longest wait
    grown = options["firstRetryIntervalInMilliseconds"] * growth
    return int(min(grown, options.get("maxRetryIntervalInMilliseconds", _LONGEST_RETRY)))


def _all(children: Sequence[_Task]) -> _Task:
    result = _Task()

    def look() -> None:
        if not result.done and all(child.done for child in children):
            result.finish(failed=any(child.failed for child in children))

    for child in children:
        child.then(look)
    look()
    return result


def _any(children: Sequence[_Task]) -> _Task:
    racing = [child for child in children if not child.cancelled]
    result = _Task()

    def look() -> None:
        if not result.done and (not racing or any(child.done for child in racing)):
            result.finish()

    for child in racing:
        child.then(look)
    look()
    return result


_NOUNS = {
    Kind.TASK_SCHEDULED: "an activity task",
    Kind.SUB_ORCHESTRATION_CREATED: "a sub-orchestration task",
    Kind.TIMER_CREATED: "a timer task",
}
_QUESTION = " Was a change made to the orchestrator code after this instance had already started running?"


def _described(event: Event) -> str:
    return f" named '{event['Name']}'" if "Name" in event else ""


def _differs(past: Event, present: Event) -> str:
    return (
        "Non-Deterministic workflow detected: A previous execution of this orchestration scheduled "
        f"{_NOUNS[past['EventType']]} with sequence number {past['EventId']}{_described(past)}, but the current "
        f"orchestration replay instead scheduled {_NOUNS[present['EventType']]}{_described(present)} with this "
        f"sequence number. {_QUESTION}"
    )


def _no_longer(past: Event) -> str:
    return (
        "Non-Deterministic workflow detected: A previous execution of this orchestration scheduled "
        f"{_NOUNS[past['EventType']]} with sequence ID {past['EventId']}{_described(past)}, but the current replay "
        f"execution hasn't (yet?) scheduled this task.{_QUESTION}"
    )
