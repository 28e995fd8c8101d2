"""Timer triggers: one run at a time, remembered across restarts, past-due runs made up for."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

from readfirst.local.host.bindings import as_json, decode_trigger, text
from readfirst.local.host.durable.store import Store
from readfirst.local.host.invoke import Invoker
from readfirst.local.host.loading import Function
from readfirst.local.host.settings import resolve
from readfirst.local.host.triggers.ncrontab import parse_schedule

_log = logging.getLogger("readfirst.host.triggers")
_NEVER = "0001-01-01T00:00:00+00:00"


class TimerTrigger:
    def __init__(self, function: Function, store: Store, invoker: Invoker) -> None:
        """Raises CannotRun when the schedule cannot be understood."""
        self.function = function
        self._store = store
        self._invoker = invoker
        raw = function.trigger.raw
        self._schedule = parse_schedule(resolve(str(raw["schedule"])))
        self._at_start = bool(raw.get("runOnStartup"))
        self._monitored = raw.get("useMonitor") is not False and not self._schedule.subminute
        self._last = _NEVER
        self._missed = False
        self._one_at_a_time = asyncio.Lock()

    async def run(self) -> None:
        due = self._first_due(_now())
        while True:
            await asyncio.sleep(max(0.0, (due - _now()).total_seconds()))
            if _now() < due:
                continue  # a sleep may end a little early
            await self.fire(due)
            due = self._schedule.following(max(due, _now()))

    def _first_due(self, start: datetime) -> datetime:
        status = self._store.schedule(self.function.name) if self._monitored else None
        if status is not None:
            self._last = status[0]
            self._missed = datetime.fromisoformat(status[1]) < start
        if self._missed or self._at_start:
            return start
        due = self._schedule.following(start)
        self._remember(due)
        return due

    async def fire(self, due: datetime) -> None:
        async with self._one_at_a_time:
            await self._fire(due)

    async def _fire(self, due: datetime) -> None:
        past_due, self._missed = self._missed, False
        following = self._schedule.following(max(due, _now()))
        info = timer_info(self._last if self._monitored else None, due, past_due)
        metadata = {"TimerTrigger": text(_now().strftime("%m/%d/%Y %H:%M:%S"))}
        try:
            await self._invoker.run(self.function, decode_trigger(self.function, as_json(info), metadata), metadata)
        except Exception:
            _log.debug("A timer function failed; the next occurrence runs it again", exc_info=True)
        self._last = due.isoformat()
        self._remember(following)

    def _remember(self, following: datetime) -> None:
        if self._monitored:
            self._store.put_schedule(self.function.name, self._last, following.isoformat())

    async def invoke_now(self, _: str | None) -> None:
        await self.fire(_now().replace(microsecond=0))


def timer_info(last: str | None, due: datetime, past_due: bool) -> dict[str, Any]:
    """What the function is told; `last` None: a schedule whose status nobody keeps."""
    status = None if last is None else {"Last": last, "Next": due.isoformat(), "LastUpdated": last}
    return {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": past_due}


def _now() -> datetime:
    return datetime.now(UTC)
