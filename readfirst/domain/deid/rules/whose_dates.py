"""Whose a date is. Only a patient's own dates move with the patient's shift.

A value that an outsider knows, moved by the shift, gives the shift away, and with it every date of that patient: the
version of a context group is printed in PS3.16, a scanner's calibration is the same in every file of that scanner, and
1970-01-01 is what a system writes that knows no date. Such values go, or stay as they are; they never move.
"""

from __future__ import annotations

import csv
import datetime
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from readfirst.domain.deid.rules.dates import shift_datetime

PATIENT, STANDARD = "patient", "standard"
DATE_VRS = frozenset(("DA", "DT", "TM"))


@dataclass(frozen=True, slots=True)
class Moment:
    """A date or time attribute of the standard: whose it is, and how we know."""

    vr: str
    name: str
    belongs: str  # "patient", "standard", or something whose dates go: "device", "product", "site", …
    why: str


@lru_cache(maxsize=1)
def moments() -> dict[int, Moment]:
    """Every DA, DT and TM attribute of PS3.6, and texts that are dates, by tag."""
    text = (resources.files("readfirst.domain.deid") / "data" / "dates.csv").read_text("utf-8")
    return {
        int(r["tag"], 16): Moment(r["vr"], r["name"], r["belongs"], r["why"]) for r in csv.DictReader(text.splitlines())
    }


def moves(tag: int) -> bool:
    """Whether an attribute's dates are the patient's. An attribute that is not a date by the standard is nobody's."""
    moment = moments().get(tag)
    return moment is not None and moment.belongs == PATIENT


def printed(value: str) -> bool:
    """Whether a value could be the version of a context group or template in PS3.16: a day since DICOM exists."""
    return len(value) == 8 and value >= "1993" and not placeholder(value) and shift_datetime(value, 0) is not None


# What systems write for "unknown", and the first or last day that their clocks can hold.
_EPOCHS = frozenset(
    (
        *("18991230", "18991231", "19000102", "19011213", "19111111", "19691231", "19700102", "19791231"),
        *("19800101", "19800104", "19800106", "19810101", "19850101", "19900101", "19990909", "19991231"),
        *("20000101", "20010101", "20010909", "20360206", "20360207", "20380118", "20380119", "20790606"),
    )
)
_EARLIEST = 1896  # X-rays were discovered in November 1895
_LATEST = 2100


def placeholder(value: str, born: str = "") -> bool:
    """Whether a DA or DT is nobody's real date: an epoch, a last day far ahead, or a day before the birth (YYYYMMDD).

    A value that says only the year or the month is taken for its first day.
    """
    digits = re.sub(r"\D", "", re.split(r"[+-]", value)[0])
    day = digits[:8] if len(digits) >= 8 else (digits + "0101")[:8] if len(digits) == 4 else (digits + "01")[:8]
    if len(day) < 8:
        return False
    year, rest = int(day[:4]), day[4:]
    if day in _EPOCHS or not _EARLIEST <= year <= _LATEST or (rest == "1231" and year >= 2030):
        return True
    if rest == "0101" and year < 1980:
        return True
    return len(born) == 8 and born.isdigit() and day < born


def tells_a_day(numbers: Iterable[float], days: Iterable[str]) -> bool:
    """Whether a number says one of the days (YYYYMMDD): as its digits, or in Unix seconds, milli- or microseconds."""
    spans = []
    for day in days:
        try:
            start = datetime.datetime.strptime(day, "%Y%m%d").replace(tzinfo=datetime.UTC).timestamp()
        except ValueError:
            continue
        spans.append((int(day), start - 86_400, start + 2 * 86_400))
    return any(
        number == day or any(first <= number / unit < last for unit in (1, 1e3, 1e6))
        for number in numbers
        for day, first, last in spans
    )


def numbers_in(value: bytes, vr: str, big: bool) -> list[float]:
    """The numbers of a value that is long enough for a moment; nothing of what cannot be read."""
    code = {"UL": "L", "SL": "l", "UV": "Q", "SV": "q", "FD": "d", "FL": "f"}.get(vr)
    if code is not None:
        count = len(value) // struct.calcsize(f"={code}")
        return list(struct.unpack_from(f"{'>' if big else '<'}{count}{code}", value))
    if vr not in ("DS", "IS"):
        return []
    found = []
    for text in value.decode("latin-1").split("\\"):
        try:
            found.append(float(text))
        except ValueError:
            continue
    return found
