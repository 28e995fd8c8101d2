"""A review is a list of events that only grows; what the reader sees is the fold of the list.

The list is the truth (one blob per event, put if absent), so its length is the review's version: whoever writes
event n+1 has seen event n, and the second of two radiologists is told so.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from readfirst.domain.access.text_fields import FullText, Maybe, Short, Text, Why

Uid = Annotated[str, Field(pattern=r"^[0-9.]{1,64}$")]
State = Literal["unread", "in progress", "signed"]


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, extra="forbid", allow_inf_nan=False)


class Opened(_Shape):
    """The radiologist began to read."""

    kind: Literal["opened"] = "opened"


class FindingAssessment(_Shape):
    """What the radiologist says of one AI finding; a correction names what is right instead."""

    kind: Literal["verdict"] = "verdict"
    finding: Short
    verdict: Literal["accept", "reject", "correct"]
    diameter_mm: Annotated[float, Field(gt=0, lt=1000)] | None = None
    category: Literal[1, 2, 3] | None = None
    site: Maybe = ""
    comment: Text = ""


class Missed(_Shape):
    """A finding that the AI did not make. The place is a slice of the clean series."""

    kind: Literal["missed"] = "missed"
    what: Short
    site: Maybe = ""
    category: Literal[1, 2, 3]
    diameter_mm: Annotated[float, Field(gt=0, lt=1000)] | None = None
    series_uid: Uid
    sop_uid: Uid
    slice: Annotated[int, Field(ge=0, lt=100_000)]
    comment: Text = ""


class Measured(_Shape):
    """A measurement. Points are patient coordinates (LPS, mm): the two ends of a length, the ends of an ellipse's axes
    in pairs, the ends of an angle with its corner between them, the ends of the long and of the short axis of a
    bidirectional measurement, the point and the end of an arrow. The value is a length in mm, an area in mm², an angle
    in degrees, the long axis in mm; in pixels where the image does not say what one measures. An arrow has no value.
    """

    kind: Literal["measured"] = "measured"
    tool: Literal["length", "ellipse", "angle", "bidirectional", "arrow"]
    series_uid: Uid
    sop_uid: Uid
    points: Annotated[tuple[tuple[float, float, float], ...], Field(min_length=2, max_length=8)]
    value: Annotated[float, Field(ge=0, lt=1e6)]
    unit: Literal["mm", "mm2", "px", "px2", "deg", "none"]
    short: Annotated[float, Field(ge=0, lt=1e6)] | None = None  # the short axis of a bidirectional, in the unit
    mean_hu: Annotated[float, Field(ge=-1e5, le=1e5)] | None = None  # inside an area of a CT, in Hounsfield units
    sd_hu: Annotated[float, Field(ge=0, le=1e5)] | None = None


class Commented(_Shape):
    """A remark."""

    kind: Literal["commented"] = "commented"
    text: FullText


class Told(_Shape):
    """Somebody was told: who (a role or a colleague, never the patient), when, how, and whether they read it back."""

    kind: Literal["told"] = "told"
    who: Short
    how: Literal["telephone", "in person", "secure message"]
    when: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$")]
    read_back: bool
    note: Text = ""


class Signed(_Shape):
    """The radiologist signs the review of the AI result. It is not the radiology report."""

    kind: Literal["signed"] = "signed"


class Reopened(_Shape):
    """A signed review is opened again, with the reason."""

    kind: Literal["reopened"] = "reopened"
    reason: Why


What = Annotated[
    Opened | FindingAssessment | Missed | Measured | Commented | Told | Signed | Reopened, Field(discriminator="kind")
]
WHAT: TypeAdapter[What] = TypeAdapter(What)


class Event(_Shape):
    """Blob `reviews/{token}/{number:06d}.json`: one event. `run_key` is the analysis that it speaks of."""

    number: int
    at: str  # ISO 8601, UTC
    by: str  # the actor's object id
    by_name: str  # the actor's name, as colleagues see it
    run_key: str
    what: What


class Review(_Shape):
    """What a list of events comes to."""

    version: int = 0
    state: State = "unread"
    reader: str = ""
    reader_name: str = ""
    opened: str = ""
    signed: str = ""
    verdicts: dict[str, FindingAssessment] = {}
    missed: tuple[Missed, ...] = ()
    measurements: tuple[Measured, ...] = ()
    told: tuple[Told, ...] = ()
    superseded: bool = False  # signed for an earlier analysis: there is a newer result to look at


class NotNow(_Shape):
    """An event that the review's state does not take, with the reason for the person."""

    reason: str


def fold(events: Iterable[Event], run_key: str) -> Review:
    """The review as it stands for the analysis `run_key`. Verdicts on an earlier analysis do not count."""
    review = Review()
    for event in events:
        review = _step(review, event, run_key)
    return review


def acknowledged(events: Iterable[Event], run_key: str) -> bool:
    """Whether a reader has said of the analysis `run_key` that somebody was told, or has signed its review."""
    return any(event.run_key == run_key and isinstance(event.what, Told | Signed) for event in events)


def said_after(events: Iterable[Event], seen: int, run_key: str, by: str, what: What) -> Event | None:
    """The event that a repeated request has written already: by that person, to that effect, after version `seen`.

    `run_key` is the beginning of the analysis's key, as the reader's version names it.
    """
    for event in events:
        if event.number == seen + 1:
            same = event.by == by and event.what == what and event.run_key.startswith(run_key)
            return event if same else None
    return None


def said_already(events: Iterable[Event], run_key: str, by: str, what: What) -> Event | None:
    """The event by which that person has said just this of the analysis, where saying it twice changes nothing.

    Who was told when and how is one fact, however often it is sent. A review is signed or re-opened once at a time.
    """
    of_run = [e for e in events if e.run_key == run_key]
    if isinstance(what, Told):
        candidates = [e for e in of_run if isinstance(e.what, Told)]
    else:
        candidates = (
            [e for e in of_run if not isinstance(e.what, Told)][-1:] if isinstance(what, Signed | Reopened) else []
        )
    return next((e for e in candidates if (e.by, e.what) == (by, what)), None)


def summary(review: Review) -> dict[str, object]:
    """What the study's record (and so the index) says of its review."""
    verdicts = [v.verdict for v in review.verdicts.values()]
    return {
        "review": review.state,
        "verdicts": {kind: verdicts.count(kind) for kind in ("accept", "reject", "correct") if kind in verdicts},
        "missed": len(review.missed),
        "signed": review.signed if review.state == "signed" else "",
    }


def _step(review: Review, event: Event, run_key: str) -> Review:
    what, current = event.what, event.run_key == run_key
    change: dict[str, object] = {"version": event.number}
    if review.state == "unread" and not isinstance(what, Told):
        change |= {"state": "in progress", "opened": event.at, "reader": event.by, "reader_name": event.by_name}
    match what:
        case FindingAssessment() if current:
            change["verdicts"] = {**review.verdicts, what.finding: what}
        case Missed():
            change["missed"] = (*review.missed, what)
        case Measured():
            change["measurements"] = (*review.measurements, what)
        case Told():
            change["told"] = (*review.told, what)
        case Signed():
            state = "signed" if current else "in progress"
            change |= {"state": state, "signed": event.at, "superseded": not current}
            change |= {"reader": event.by, "reader_name": event.by_name}
        case Reopened():
            change |= {"state": "in progress", "signed": "", "superseded": False}
        case _:
            pass
    return review.model_copy(update=change)


def admit(review: Review, what: What, findings: frozenset[str], *, analysing: bool = False) -> NotNow | None:
    """Whether the review takes the event now: None, or why not.

    `findings` are the keys of the AI's findings; `analysing` says that the AI has not answered yet.
    """
    if isinstance(what, Signed) and analysing:
        return NotNow(reason="The analysis is not over: there is no AI result yet that could be signed off.")
    if review.state == "signed" and not isinstance(what, Reopened | Told):
        return NotNow(reason="The review is signed. Re-open it first.")
    if isinstance(what, Reopened) and review.state != "signed":
        return NotNow(reason="Only a signed review can be re-opened.")
    if isinstance(what, FindingAssessment) and what.finding not in findings:
        return NotNow(reason="The analysis has no such finding.")
    if isinstance(what, Signed) and (left := findings - review.verdicts.keys()):
        return NotNow(reason=f"{len(left)} finding(s) have no verdict yet: accept, reject or correct each one first.")
    return None
