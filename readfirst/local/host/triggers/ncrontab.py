"""NCRONTAB, the schedules of timer triggers: six fields (seconds first), five, or a plain time span. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from readfirst.local.host.settings import CannotRun, parse_duration

_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAY_NAMES = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_DAYS = {name: number for number, name in enumerate(_DAY_NAMES)}
_SEARCH_YEARS = 5  # 29 February comes at the latest after eight; nobody schedules that


@dataclass(frozen=True)
class Schedule:
    following: Callable[[datetime], datetime]  # the first occurrence strictly after a moment
    subminute: bool  # occurrences less than a minute apart: the real host keeps no status of those


def parse_schedule(text: str) -> Schedule:
    """Raises CannotRun when the text is no schedule, or one that never occurs."""
    if ":" in text:
        try:
            span = parse_duration(text)
        except ValueError as problem:
            raise CannotRun(f"timer schedule: {problem}") from problem
        return Schedule(lambda after: after + span, span < timedelta(minutes=1))
    fields = text.split()
    if len(fields) == 5:
        fields.insert(0, "0")
    if len(fields) != 6:
        raise CannotRun(f"{text!r} is not a timer schedule: it must have five or six fields")
    cron = _Cron(
        seconds=_field(fields[0], 0, 59),
        minutes=_field(fields[1], 0, 59),
        hours=_field(fields[2], 0, 23),
        days=_field(fields[3], 1, 31),
        months=_field(fields[4], 1, 12, _MONTHS),
        weekdays=frozenset(day % 7 for day in _field(fields[5], 0, 7, _DAYS)),
    )
    cron.following(datetime(2024, 1, 1))  # noqa: DTZ001 - any moment will do: it must occur at all
    return Schedule(cron.following, len(cron.seconds) > 1)


@dataclass(frozen=True)
class _Cron:
    seconds: frozenset[int]
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]

    def following(self, after: datetime) -> datetime:
        moment = after.replace(microsecond=0) + timedelta(seconds=1)
        last = moment + timedelta(days=366 * _SEARCH_YEARS)
        while moment < last:
            if not self._day_fits(moment):
                moment = moment.replace(hour=0, minute=0, second=0) + timedelta(days=1)
            elif moment.hour not in self.hours:
                moment = moment.replace(minute=0, second=0) + timedelta(hours=1)
            elif moment.minute not in self.minutes:
                moment = moment.replace(second=0) + timedelta(minutes=1)
            elif moment.second not in self.seconds:
                moment += timedelta(seconds=1)
            else:
                return moment
        raise CannotRun("a timer schedule never occurs")

    def _day_fits(self, moment: datetime) -> bool:
        # NCRONTAB asks for both the day of the month and the day of the week.
        weekday = (moment.weekday() + 1) % 7
        return moment.month in self.months and moment.day in self.days and weekday in self.weekdays


def _field(text: str, low: int, high: int, names: dict[str, int] | None = None) -> frozenset[int]:
    values: set[int] = set()
    for part in text.lower().split(","):
        match = re.fullmatch(r"(\*|\w+)(?:-(\w+))?(?:/(\d+))?", part)
        if match is None:
            raise CannotRun(f"{text!r} is not a field of a timer schedule")
        first, second, step = match.groups()
        if first == "*":
            start, end = low, high
        else:
            start = _number(first, names)
            end = _number(second, names) if second else (high if step else start)
        if not (low <= start <= end <= high) or step == "0":
            raise CannotRun(f"{text!r} is not a field of a timer schedule: {low} to {high} is allowed")
        values.update(range(start, end + 1, int(step or 1)))
    return frozenset(values)


def _number(text: str, names: dict[str, int] | None) -> int:
    if names and text[:3] in names:
        return names[text[:3]]
    if not text.isdigit():
        raise CannotRun(f"{text!r} is not a number in a timer schedule")
    return int(text)
