"""A Durable host in a test's hand: the real SDK and the embedded engine's own turns, with a clock that the test owns.

Hours of retries take milliseconds. Activities are given by name: the app's own functions, or a test's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import azure.durable_functions as df

from orchestrations import blueprint
from readfirst.local.host.durable import events
from readfirst.local.host.durable.events import Event
from readfirst.local.host.durable.replay import Answer, compact
from readfirst.local.host.durable.store import Activity, Instance, Message
from readfirst.local.host.durable.turn import close_turn, context_json, new_instance, open_turn

START = datetime(2026, 1, 1, tzinfo=UTC)
Orchestrator = Callable[[Any], Any]


class Away(Exception):
    """A service that does not answer."""


@dataclass
class Host:
    """Runs the app's orchestrators, or others of those names. `told` keeps what ran: when, activity, input."""

    activities: Mapping[str, Callable[[Any], Any]]
    others: Mapping[str, Orchestrator] = field(default_factory=dict)
    clock: datetime = START
    told: list[tuple[datetime, str, Any]] = field(default_factory=list)
    instances: dict[str, Instance] = field(default_factory=dict)
    histories: dict[str, list[Event]] = field(default_factory=dict)
    _messages: list[Message] = field(default_factory=list)
    _count: int = 0

    # --- what clients ask

    def start(self, name: str, instance: str, given: Any) -> None:
        made, first = new_instance(instance, name, json.dumps(compact(given)), self._now(), version="1.0")
        self.histories.pop(instance, None)
        self.instances[instance] = made
        self._send(first)

    def raise_event(self, instance: str, name: str, value: Any, after: timedelta = timedelta(0)) -> None:
        """Now, or so long after now."""
        at = events.timestamp(self.clock + after)
        due = at if after else None
        self._send(Message(instance, None, events.event_raised(at, name, compact(value)), due=due))

    def terminate(self, instance: str) -> None:
        self._send(Message(instance, None, events.execution_terminated(self._now(), "stopped")))

    def status(self, instance: str) -> str | None:
        found = self.instances.get(instance)
        return found.status if found else None

    def output(self, instance: str) -> Any:
        found = self.instances[instance].output
        return None if found is None else json.loads(found)

    def ran(self, name: str) -> list[datetime]:
        """When an activity ran."""
        return [at for at, one, _ in self.told if one == name]

    # --- time

    def run(self, lasting: timedelta = timedelta(days=30)) -> None:
        """Goes on until nothing is left to do, or for so long by its own clock."""
        end = self.clock + lasting
        while True:
            while self._turn():
                pass
            due = min((events.moment(m.due) for m in self._messages if m.due), default=None)
            if due is None or due > end:
                return
            self.clock = due

    def _now(self) -> str:
        return events.timestamp(self.clock)

    def _turn(self) -> bool:
        """One turn of the instance whose message came first; False when none is due."""
        ready = [m for m in self._messages if m.due is None or events.moment(m.due) <= self.clock]
        if not ready:
            return False
        instance = self.instances.get(ready[0].instance_id)
        mine = [m for m in ready if m.instance_id == ready[0].instance_id]
        if instance is None or instance.finished or not (mine := [m for m in mine if _for(m, instance)]):
            self._drop({ready[0].seq})
            return True
        past = self.histories.get(instance.id, [])
        opening = open_turn(instance, past, mine, self._now())
        turn = close_turn(opening, self._ask(instance.name, context_json(opening)), self._now(), "1.0")
        self._drop(set(turn.consumed))
        self.instances[instance.id] = turn.instance
        self.histories[instance.id] = [*past[: turn.history_from], *turn.history]
        self.instances.update({child.id: child for child in turn.children})
        if turn.instance.finished:
            self._drop({m.seq for m in self._messages if m.instance_id == instance.id})
        for message in turn.messages:
            self._send(message)
        for activity in turn.activities:
            self._do(activity)
        return True

    def _ask(self, name: str, context: str) -> Answer:
        try:
            return Answer.from_json(df.Orchestrator.create({**_orchestrators(), **self.others}[name])(context))
        except Exception as problem:
            return Answer.from_exception(str(problem))

    def _do(self, activity: Activity) -> None:
        given = None if activity.input is None else json.loads(activity.input)
        self.told.append((self.clock, activity.name, given))
        try:
            result = events.task_completed(
                self._now(), activity.task_id, compact(self.activities[activity.name](given))
            )
        except Exception as problem:
            reason = f"Activity function '{activity.name}' failed:  {type(problem).__name__}: {problem}"
            result = events.task_failed(self._now(), activity.task_id, reason, "")
        self._send(Message(activity.instance_id, activity.execution_id, result))

    def _send(self, message: Message) -> None:
        self._count += 1
        self._messages.append(replace(message, seq=self._count))

    def _drop(self, numbers: set[int]) -> None:
        self._messages = [m for m in self._messages if m.seq not in numbers]


def _for(message: Message, instance: Instance) -> bool:
    return message.execution_id in (None, instance.execution_id)


@cache
def _orchestrators() -> Mapping[str, Orchestrator]:
    functions = [builder._function for builder in blueprint._function_builders]
    users = {function._name: function.get_user_function() for function in functions}
    return {name: user.orchestrator_function for name, user in users.items() if hasattr(user, "orchestrator_function")}
