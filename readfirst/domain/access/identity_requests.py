"""The doors to an identity: what is kept of each use and each request, and what is due when.

(a) treatment: the uploading clinic's clinicians, at once. (b) break-glass: a care role, at once, with a reason, and
the privacy officer looks at every use within days. (c) dual control: any other use, only after a second person
approved. What is shown lasts minutes.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict

from readfirst.domain.access.text_fields import Note, Reason

SHOWN_FOR = timedelta(minutes=5)
REVIEW_WITHIN = timedelta(days=3)
APPROVAL_LASTS = timedelta(days=1)


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, extra="forbid")


class Asked(_Shape):
    """What a person gives to pass a door."""

    reason: Reason


class BreakGlassReview(_Shape):
    """What the privacy officer says of a use of break-glass."""

    justified: bool
    note: Note = ""


class Decision(_Shape):
    """What the second person says of a request."""

    approve: bool
    note: Note = ""


class Act(_Shape):
    """Somebody's act on a study, as it is kept: a use of break-glass, or a request."""

    id: str
    token: str
    clinic: str
    handle: str
    by: str  # object id
    by_name: str
    at: str  # ISO 8601, UTC
    reason: str


class Answer(_Shape):
    """The other person's word on an act."""

    by: str
    by_name: str
    at: str
    yes: bool
    note: str = ""


class Case(_Shape):
    """An act and the word on it, if there is one."""

    act: Act
    answer: Answer | None = None
    opened: str = ""  # when the identity of an approved request was first shown

    def overdue(self, now: datetime) -> bool:
        """Whether the privacy officer's look at this use is late."""
        return self.answer is None and now > datetime.fromisoformat(self.act.at) + REVIEW_WITHIN

    def state(self) -> Literal["open", "approved", "declined"]:
        """How the word stands."""
        if self.answer is None:
            return "open"
        return "approved" if self.answer.yes else "declined"


def may_decide(case: Case, person: str) -> str:
    """Why a person may not give the word on a case; empty: they may. Nobody decides on their own act."""
    if case.answer is not None:
        return "It is decided already."
    if case.act.by == person:
        return "Nobody decides on their own request: a second person must."
    return ""


def repeats(case: Case, word: Answer) -> bool:
    """Whether the case was decided by just this word of this person: whoever sends it again gets the same answer."""
    there = case.answer
    return there is not None and (there.by, there.yes, there.note) == (word.by, word.yes, word.note)


def may_open(case: Case, person: str, now: datetime) -> str:
    """Why a person may not see the identity of a request; empty: they may."""
    if case.act.by != person:
        return "Only who asked may see it."
    if case.answer is None or not case.answer.yes:
        return "The request is not approved."
    if now > datetime.fromisoformat(case.answer.at) + APPROVAL_LASTS:
        return "The approval has lapsed. Ask again."
    if case.opened and now > datetime.fromisoformat(case.opened) + SHOWN_FOR:
        return "It has been shown. One approval is for one look: ask again."
    return ""
