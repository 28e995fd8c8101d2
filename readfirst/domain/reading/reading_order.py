"""The reading order, and the promise behind it.

High risk is read first, then what is due first. A study whose due time is near goes to the top, whatever its
label, so that the AI can only move a study forward: an unflagged study's due time (domain/triage.py) is what it
would have been without any AI, and it reaches the top early enough to be read by then. docs/reading-order.md shows
a simulated day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

# A study's maximum wait ends this long before it is due: then it goes to the top, and a reader still has the
# time to finish what is open and to read it.
RESERVE = timedelta(minutes=20)


class Band(IntEnum):
    """Where a study stands in the list; inside a band the study that is due first is first."""

    TOP = 0  # its maximum wait is over
    HIGH_RISK = 1
    REST = 2


@dataclass(frozen=True)
class Waiting:
    """What the order depends on."""

    id: str
    due: datetime
    high_risk: bool


def band(study: Waiting, now: datetime) -> Band:
    """The study's band at that moment."""
    if study.due <= now + RESERVE:
        return Band.TOP
    return Band.HIGH_RISK if study.high_risk else Band.REST


def shown(band: Band, review: str) -> Band:
    """The band that a study is listed under: what is signed waits no more, and is past no maximum wait."""
    return Band.REST if review == "signed" else band


def reading_key(study: Waiting, now: datetime) -> tuple[int, datetime, str]:
    """Sorts studies into reading order."""
    return band(study, now), study.due, study.id
