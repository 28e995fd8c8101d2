"""The audit chain: every entry carries the hash of the one before, so that no entry can be changed or taken out.

One chain per app and day. A day's first entry names the last entry that the day before had, so that a whole
day that is cut away is seen too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict


class Entry(BaseModel):
    """One line of a chain. It names the act and the study's token, never what was shown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int  # from 1
    at: str  # ISO 8601, UTC
    app: str
    actor: str  # object id
    role: str
    act: str  # the rule's name, for example "treatment"
    token: str = ""
    clinic: str = ""
    outcome: str  # "allowed", "refused", …
    reason: str = ""  # for break-glass and dual control: what the person gave as reason
    previous: str  # hash of the entry before, or `genesis`
    hash: str

    def line(self) -> bytes:
        """The entry as one line of the blob."""
        return self.model_dump_json().encode() + b"\n"


@dataclass(frozen=True)
class Tail:
    """Where a chain ends: how many entries, and the last one's hash."""

    number: int
    hash: str


def genesis(app: str, day: str, before: Tail | None) -> Tail:
    """What a day's chain starts from: its name and where the chain of the last day with entries stood."""
    text = json.dumps(["readfirst audit", app, day, before.number if before else 0, before.hash if before else ""])
    return Tail(0, hashlib.sha256(text.encode()).hexdigest())


def entry(
    tail: Tail,
    *,
    at: str,
    app: str,
    actor: str,
    role: str,
    act: str,
    outcome: str,
    token: str = "",
    clinic: str = "",
    reason: str = "",
) -> Entry:
    """The entry that follows `tail`."""
    unsigned = Entry(
        number=tail.number + 1,
        at=at,
        app=app,
        actor=actor,
        role=role,
        act=act,
        token=token,
        clinic=clinic,
        outcome=outcome,
        reason=reason,
        previous=tail.hash,
        hash="",
    )
    return unsigned.model_copy(update={"hash": _hash(unsigned)})


def broken_at(start: Tail, lines: Iterable[bytes]) -> int | None:
    """The number of the first entry of a day that does not follow from the one before, or None for a whole chain."""
    tail = start
    for number, line in enumerate(lines, 1):
        try:
            found = Entry.model_validate_json(line)
        except ValueError:
            return number
        follows = found.number == number and found.previous == tail.hash and found.hash == _hash(found)
        if not follows:
            return number
        tail = Tail(found.number, found.hash)
    return None


def _hash(subject: Entry) -> str:
    body = subject.model_dump(exclude={"hash"})
    return hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
