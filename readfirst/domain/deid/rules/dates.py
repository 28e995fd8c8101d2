"""Dates moved into the past, whole days at a time: order and intervals stay, to the second."""

from __future__ import annotations

import datetime
import re

DUMMY_DATE = "19000101"
DUMMY_TIME = "000000"

_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_TIME = re.compile(r"(?:[01]\d|2[0-3])(?::?[0-5]\d(?::?(?:[0-5]\d|60)(?:\.\d{1,6})?)?)?")
_DATETIME = re.compile(r"(\d{4})(\d{2})?(\d{2})?((?:\d{2}){0,3}(?:\.\d{1,6})?)([+-]\d{4})?")
_AGE = re.compile(r"(\d{3})([DWMY])")


def shift_date(value: str, days: int) -> str | None:
    """A DA moved back by `days`; None for what is no date."""
    match = _DATE.fullmatch(value.strip())
    return _shifted(match.groups(), days) if match else None


def shift_datetime(value: str, days: int) -> str | None:
    """A DT moved back by `days`, as precise as it was; None for what is no date."""
    match = _DATETIME.fullmatch(value.strip())
    if match is None:
        return None
    year, month, day, time, zone = match.groups()
    moved = _shifted((year, month or "07", day or "15"), days)
    if moved is None:
        return None
    precision = 4 if month is None else 6 if day is None else 8
    return moved[:precision] + (time or "") + (zone or "")


def only_year(value: str) -> str | None:
    """A DA on the first day of its year, a DT as its year; None for what is no date."""
    value = value.strip()
    if shift_date(value, 0):
        return f"{value[:4]}0101"
    return value[:4] if shift_datetime(value, 0) else None


def valid_time(value: str) -> bool:
    """Whether a TM is a time (old files write colons)."""
    return _TIME.fullmatch(value.strip()) is not None


def age_at(birth: str, study: str) -> str:
    """Age as AS (PS3.5) from two DA values; "" where they do not give one. 90 and over is 090Y."""
    try:
        born, then = _parsed(birth), _parsed(study)
    except ValueError:
        return ""
    days = (then - born).days
    if days < 0:
        return ""
    years = then.year - born.year - ((then.month, then.day) < (born.month, born.day))
    if years >= 2:
        return f"{min(years, 90):03d}Y"
    months = (then.year - born.year) * 12 + then.month - born.month - (then.day < born.day)
    return f"{months:03d}M" if days > 92 else f"{days:03d}D"


def capped_age(value: str) -> str | None:
    """An AS with 90 and over as 090Y; None for what is no age."""
    match = _AGE.fullmatch(value.strip())
    if match is None:
        return None
    years = int(match[1]) / {"D": 365.25, "W": 52.18, "M": 12, "Y": 1}[match[2]]
    return "090Y" if years >= 90 else value.strip()


def _parsed(value: str) -> datetime.date:
    match = _DATE.fullmatch(value.strip())
    if match is None:
        raise ValueError("no date")
    return datetime.date(*(int(part) for part in match.groups()))


def _shifted(parts: tuple[str, ...], days: int) -> str | None:
    try:
        moved = datetime.date(*(int(part) for part in parts)) - datetime.timedelta(days=days)
    except (ValueError, OverflowError):
        return None
    return f"{moved.year:04d}{moved.month:02d}{moved.day:02d}"


def moved_by(days: int, vr: str, value: str, *, years_only: bool) -> str | None:
    """A date, time or date-time (DA, TM, DT) as the clean copy has it; None for what is not one, or may not stay."""
    if years_only:
        return None if vr == "TM" else only_year(value)
    if vr == "TM":
        return value if valid_time(value) else None
    return (shift_date if vr == "DA" else shift_datetime)(value, days)


def capped_ages(value: bytes) -> bytes:
    """Ages (AS) with 90 and over as 090Y (45 CFR 164.514(b)(2)(i)(C)); the same bytes where none is."""
    ages = [a.strip(" \0") for a in value.decode("latin-1").split("\\")]
    capped = [capped_age(a) for a in ages]
    return value if None in capped or capped == ages else "\\".join(a or "" for a in capped).encode()
