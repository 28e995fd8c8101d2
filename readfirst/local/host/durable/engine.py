"""Runs orchestrations and activities: takes what the store holds, calls the functions, commits what follows."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections import deque
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import azure.functions as func
from azure.functions.meta import Datum

from readfirst.local.host.bindings import as_json, decode_trigger, text, top_level_scalars
from readfirst.local.host.durable import events
from readfirst.local.host.durable.events import Event, Kind
from readfirst.local.host.durable.replay import Answer, compact
from readfirst.local.host.durable.store import Activity, Instance, Message, Store, Turn
from readfirst.local.host.durable.turn import close_turn, context_json, new_instance, open_turn, rewound
from readfirst.local.host.invoke import Invoker, guarded
from readfirst.local.host.loading import Function
from readfirst.local.host.settings import DurableOptions

_log = logging.getLogger("readfirst.host.durable")
_CACHED_HISTORIES = 256
_CACHED_CHARACTERS = 200_000  # a history with large results is read again each time: memory is dearer


def now() -> str:
    return events.timestamp(datetime.now(UTC))


class Engine:
    """Lives on one event loop; nothing here is called from another thread."""

    def __init__(self, store: Store, invoker: Invoker, functions: Sequence[Function], options: DurableOptions) -> None:
        self._store = store
        self._invoker = invoker
        self._options = options
        self._orchestrators = _by_durable_name(functions, "orchestrationTrigger", "orchestration")
        self._activities = _by_durable_name(functions, "activityTrigger", "activity")
        self._inbox: dict[str, list[Message]] = {}
        self._histories: dict[str, list[Event]] = {}
        self._busy: set[str] = set()
        self._ready: dict[str, None] = {}  # instances that wait for a place, in order
        self._stuck: set[str] = set()
        self._work: deque[Activity] = deque()
        self._running_activities = 0
        self._timers: dict[str, dict[int, asyncio.TimerHandle]] = {}  # by instance, then message
        self._tasks: set[asyncio.Task[None]] = set()
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="orchestrator")
        self._stopping = False
        self._watchers: dict[str, list[asyncio.Future[None]]] = {}

    # --- life

    def start(self) -> None:
        """Takes up what an earlier process left: messages, timers, and activities that were running when it ended."""
        left = self._store.pending_activities()
        messages = self._store.pending_messages()
        if left or messages:
            _log.info("Going on with %d activities and %d messages of an earlier run", len(left), len(messages))
        self._work.extend(left)
        for message in messages:
            self._route(message)
        self._start_activities()

    async def stop(self, grace: float) -> None:
        """Lets running turns and activities end for a moment; what does not end is run again at the next start."""
        self._stopping = True
        for instance_id in list(self._timers):
            self._cancel_timers(instance_id)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        for task in self._tasks:
            task.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    # --- what the API and the triggers ask for

    def instance(self, instance_id: str) -> Instance | None:
        return self._store.instance(instance_id)

    def start_orchestration(
        self, name: str, instance_id: str | None, input_text: str | None, version: str | None
    ) -> str:
        """`input_text` is JSON. An unfinished instance of this id must have been ruled out by the caller."""
        instance_id = instance_id or uuid.uuid4().hex
        version = version or self._options.default_version
        before = [event for event in self._store.history(instance_id) if event["EventType"] == Kind.EXECUTION_STARTED]
        generation = (before[0]["Generation"] or 0) + 1 if before else 0
        instance, first = new_instance(instance_id, name, input_text, now(), version=version, generation=generation)
        self._forget_in_memory(instance_id)
        self._route(replace(first, seq=self._store.replace_instance(instance, first)))
        return instance_id

    def send(self, instance_id: str, event: Event) -> None:
        message = Message(instance_id, None, event)
        self._route(replace(message, seq=self._store.add_message(message)))

    def rewind(self, instance_id: str, reason: str | None) -> None:
        """Runs a failed orchestration again from its last good state. Its failed children go first."""
        instance = self._store.instance(instance_id)
        if instance is None or instance.status != "Failed":
            return
        history, children = rewound(self._store.history(instance_id))
        for child in children:
            self.rewind(child, reason)
        instance = replace(instance, status="Running", output=None, updated=now())
        self._forget_in_memory(instance_id)
        self._store.commit_turn(Turn(instance, (), history, 0))
        self.send(instance_id, events.generic(now(), reason))

    def purge(self, instance_id: str) -> None:
        self._forget_in_memory(instance_id)
        self._store.forget(instance_id)

    def changed(self, instance_id: str) -> asyncio.Future[None]:
        """Resolves when the instance's next turn has been committed."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watchers.setdefault(instance_id, []).append(future)
        return future

    def _forget_in_memory(self, instance_id: str) -> None:
        self._inbox.pop(instance_id, None)
        self._histories.pop(instance_id, None)
        self._stuck.discard(instance_id)
        self._cancel_timers(instance_id)

    def _cancel_timers(self, instance_id: str) -> None:
        for handle in self._timers.pop(instance_id, {}).values():
            handle.cancel()

    # --- messages

    def _route(self, message: Message) -> None:
        if message.due is not None:
            delay = (events.moment(message.due) - datetime.now(UTC)).total_seconds()
            if delay > 0:
                # Long sleeps are cut, so that a clock that is set forward is noticed within the hour.
                handle = asyncio.get_running_loop().call_later(min(delay, 3600), self._timer_due, message)
                self._timers.setdefault(message.instance_id, {})[message.seq] = handle
                return
        self._inbox.setdefault(message.instance_id, []).append(message)
        self._stuck.discard(message.instance_id)  # a termination, say, can end what cannot go on
        self._wake(message.instance_id)

    def _timer_due(self, message: Message) -> None:
        self._timers[message.instance_id].pop(message.seq)
        self._route(message)

    def _wake(self, instance_id: str) -> None:
        if instance_id in self._busy or instance_id in self._stuck or self._stopping:
            return
        if len(self._busy) >= self._options.orchestrators:
            self._ready.setdefault(instance_id)
            return
        self._busy.add(instance_id)
        self._spawn(self._drive(instance_id))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- turns

    async def _drive(self, instance_id: str) -> None:
        try:
            while self._inbox.get(instance_id) and instance_id not in self._stuck and not self._stopping:
                await self._turn(instance_id)
        except Exception:
            # Nothing was committed, so nothing is lost: the next start tries again.
            self._stuck.add(instance_id)
            _log.exception("The embedded host failed in a turn; instance %s waits for the next start", instance_id)
        finally:
            self._busy.discard(instance_id)
            while self._ready and len(self._busy) < self._options.orchestrators:
                waiting = next(iter(self._ready))
                del self._ready[waiting]
                self._wake(waiting)

    async def _turn(self, instance_id: str) -> None:
        messages = self._inbox.pop(instance_id)
        try:
            await self._take_turn(instance_id, messages)
        except BaseException:
            self._put_back(instance_id, messages)
            raise

    async def _take_turn(self, instance_id: str, messages: Sequence[Message]) -> None:
        instance = self._store.instance(instance_id)
        mine = [m for m in messages if instance and not instance.finished and _for(m, instance)]
        if instance is None or not mine:
            self._store.drop_messages([m.seq for m in messages])
            return
        past = self._histories.get(instance_id)
        if past is None:
            past = self._store.history(instance_id)
        opening = open_turn(instance, past, mine, now())
        self._put_back(instance_id, [m for m in mine if m.seq not in opening.consumed])
        context = context_json(opening)
        answer = await self._ask_orchestrator(instance, context)
        turn = close_turn(opening, answer, now(), self._options.default_version)
        unknown = {item.name for item in turn.activities} - self._activities.keys()
        if unknown:
            self._put_back(instance_id, mine)
            self._park(turn, unknown)
            return
        stale = [m.seq for m in messages if m not in mine]
        current = self._store.instance(instance_id)
        if current is not None and current.execution_id == instance.execution_id:  # not purged or replaced meanwhile
            turn = self._refuse_taken_children(replace(turn, consumed=[*turn.consumed, *stale]))
            self._commit(turn, past, cache=len(context) < _CACHED_CHARACTERS)

    def _put_back(self, instance_id: str, messages: Sequence[Message]) -> None:
        """In front of what has come meanwhile, each once."""
        waiting = {m.seq: m for m in [*messages, *self._inbox.get(instance_id, [])]}
        if waiting:
            self._inbox[instance_id] = list(waiting.values())

    async def _ask_orchestrator(self, instance: Instance, context: str) -> Answer:
        function = self._orchestrators.get(instance.name)
        if function is None:
            known = ", ".join(f"'{name}'" for name in self._orchestrators)
            return Answer(
                error=f"The function '{instance.name}' doesn't exist, is disabled, or is not an orchestrator function. "
                f"Additional info: The following are the known orchestrator functions: {known}."
            )
        value = decode_trigger(function, text(context), {})
        try:
            state = await asyncio.get_running_loop().run_in_executor(self._pool, guarded, function.call, value)
        except Exception as problem:
            answer = Answer.from_exception(str(problem))
            cause = problem.__cause__ or problem
            _log.info("Orchestrator '%s' failed (%s, instance %s)", instance.name, type(cause).__name__, instance.id)
            return answer
        return Answer.from_json(state)

    def _park(self, turn: Turn, unknown: set[str]) -> None:
        """As in Azure, the instance stays Running; unlike there, somebody is told."""
        names = ", ".join(sorted(unknown))
        _log.error("Orchestrator '%s' calls %s, which the app does not have: it waits", turn.instance.name, names)
        self._stuck.add(turn.instance.id)
        before = self._store.instance(turn.instance.id)
        if before is not None:
            self._store.update_instance(replace(before, status="Running", updated=turn.instance.updated))

    def _refuse_taken_children(self, turn: Turn) -> Turn:
        """A child whose id belongs to an unfinished instance fails in its parent's eyes; that instance goes on."""
        children, messages = list(turn.children), list(turn.messages)
        for child in turn.children:
            existing = self._store.instance(child.id)
            if existing is None or existing.finished:
                self._forget_in_memory(child.id)
                continue
            children.remove(child)
            start = next(m for m in messages if m.instance_id == child.id)
            messages.remove(start)
            number = start.event["ParentInstance"]["TaskScheduleId"]
            reason = f"An Orchestration instance with the status {existing.status} already exists."
            failed = events.sub_orchestration_failed(now(), number, reason, "")
            messages.append(Message(turn.instance.id, turn.instance.execution_id, failed))
        return replace(turn, children=children, messages=messages)

    def _commit(self, turn: Turn, past: list[Event], cache: bool) -> None:
        messages, activities = self._store.commit_turn(turn)
        instance_id = turn.instance.id
        if turn.instance.finished:
            self._forget_in_memory(instance_id)
            _log.info("Orchestration '%s' %s (instance %s)", turn.instance.name, turn.instance.status, instance_id)
        else:
            if turn.history_from == 0:
                self._cancel_timers(instance_id)  # those of the generation that has just ended
            self._histories.pop(instance_id, None)
            if cache:
                self._histories[instance_id] = [*past[: turn.history_from], *turn.history]
            while len(self._histories) > _CACHED_HISTORIES:
                self._histories.pop(next(iter(self._histories)))
        for message in messages:
            self._route(message)
        self._work.extend(activities)
        self._start_activities()
        for watcher in self._watchers.pop(instance_id, []):
            if not watcher.done():
                watcher.set_result(None)

    # --- activities

    def _start_activities(self) -> None:
        while self._work and self._running_activities < self._options.activities and not self._stopping:
            self._running_activities += 1
            self._spawn(self._run_activity(self._work.popleft()))

    async def _run_activity(self, activity: Activity) -> None:
        try:
            answer = await self._answer(activity)
            message = Message(activity.instance_id, activity.execution_id, answer)
            number = self._store.finish_activity(activity, message)
            if number is not None:
                self._route(replace(message, seq=number))
        finally:
            self._running_activities -= 1
            self._start_activities()

    async def _answer(self, activity: Activity) -> Event:
        function = self._activities.get(activity.name)
        if function is None:  # the app has lost it since
            reason = f"The function '{activity.name}' doesn't exist, is disabled, or is not an activity function."
            return events.task_failed(now(), activity.task_id, reason, "")
        try:
            result = await self._call(function, activity)
        except Exception as problem:
            name = type(problem).__name__
            details = {
                "$type": "System.Exception, System.Private.CoreLib",
                "ClassName": "System.Exception",
                "Message": f" {name}: {problem}",
            }
            reason = f"Activity function '{activity.name}' failed:  {name}: {problem}"
            return events.task_failed(now(), activity.task_id, reason, compact(details))
        return events.task_completed(now(), activity.task_id, result)

    async def _call(self, function: Function, activity: Activity) -> str:
        document = activity.input if activity.input is not None else "null"
        metadata = activity_metadata(function.trigger.name, activity.instance_id, document)
        value = decode_trigger(function, text(document), metadata)
        result = await self._invoker.run(function, value, metadata)
        encoded = func.get_binding_registry().get("activityTrigger").encode(result, expected_type=None)
        return compact(json.loads(encoded.value))


def activity_metadata(parameter: str, instance_id: str, document: str) -> dict[str, Datum]:
    return {
        **top_level_scalars(document),
        "instanceId": text(instance_id),
        "data": as_json(document),
        parameter: text(document),
    }


def _for(message: Message, instance: Instance) -> bool:
    return message.execution_id is None or message.execution_id == instance.execution_id


def _by_durable_name(functions: Sequence[Function], trigger: str, attribute: str) -> dict[str, Function]:
    """Durable functions are called by the name in their trigger, where it has one, else by the function's name."""
    return {f.trigger.raw.get(attribute) or f.name: f for f in functions if f.trigger.type == trigger}
