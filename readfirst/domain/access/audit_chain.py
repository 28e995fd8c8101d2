"""The audit chain: every entry carries the hash of the one before, so that no entry can be changed or taken out.

Every process of an app writes chains of its own, one an hour, in blobs called segments (`Segment`). The first entry of
a segment names the last entry of the process's segment before it, so that a segment that is cut away is seen too. What
all the chains of an hour came to is kept in one record (`Anchor`), each of which names the one before: that proves the
order of acts across chains to the hour, and that no process's chains are missing as a whole.

Until version 1.1 an app had one chain a day, `{day}.jsonl`, whose first entry names the end of the day before.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict


class Entry(BaseModel):
    """One line of a chain. It names the act and the study's token, never what was shown."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, extra="forbid")

    number: int  # from 1
    at: str  # ISO 8601, UTC
    app: str
    actor: str  # object id
    name: str = ""  # the actor's, as colleagues see it; entries of older versions have none
    role: str
    act: str  # the rule's name, for example "treatment"
    token: str = ""
    handle: str = ""  # of the study, as people know it; entries of older versions have none
    clinic: str = ""
    outcome: str  # "allowed", "refused", …
    reason: str = ""  # for break-glass and dual control: what the person gave as reason
    previous: str  # hash of the entry before, or `genesis`
    hash: str

    def line(self) -> bytes:
        """The entry as one line of the blob."""
        return self.model_dump_json().encode() + b"\n"


@dataclass(frozen=True, order=True)
class Segment:
    """A blob of a chain: the hour in UTC (`2026-03-01/12`), the process that writes it, a number from 1."""

    hour: str
    process: str
    number: int

    @property
    def name(self) -> str:
        """The blob's name: `{day}/{hour}/{process}-{number}.jsonl`."""
        return f"{self.hour}/{self.process}-{self.number:04d}.jsonl"

    @property
    def day(self) -> str:
        """The day of the hour."""
        return self.hour.partition("/")[0]

    @classmethod
    def parse(cls, name: str) -> Segment | None:
        """The segment of that name; None for other blobs."""
        found = _SEGMENT.fullmatch(name)
        return cls(found[1], found[2], int(found[3])) if found else None


_LATER = ("name", "handle")  # what entries of older versions do not have
_SEGMENT = re.compile(r"(\d{4}-\d\d-\d\d/\d\d)/([0-9a-f]+)-(\d+)\.jsonl")
ANCHORS = "anchors/"  # prefix of the anchors' blobs


class Anchor(BaseModel):
    """Blob `anchors/{day}T{hour}.json`: where the chains of an hour ended, when that hour was over."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, extra="forbid")

    app: str
    hour: str  # as in `Segment`
    heads: dict[str, tuple[int, str]]  # blob name -> number and hash of its last entry
    previous: str  # hash of the anchor before; empty for the first
    hash: str = ""

    @property
    def name(self) -> str:
        """The blob's name."""
        return anchor_name(self.hour)

    def sealed(self) -> Anchor:
        """The anchor with its hash."""
        return self.model_copy(update={"hash": _digest(self.model_dump(mode="json", exclude={"hash"}))})

    def follows(self, previous: str) -> bool:
        """Whether it is unchanged and names the anchor before it."""
        return self.previous == previous and self == self.sealed()


def anchor_name(hour: str) -> str:
    """The blob of an hour's anchor."""
    return f"{ANCHORS}{hour.replace('/', 'T')}.json"


@dataclass(frozen=True)
class Tail:
    """Where a chain ends: how many entries, and the last one's hash."""

    number: int
    hash: str


def genesis(app: str, name: str, before: Tail | None) -> Tail:
    """What a chain starts from: its name (a segment's; formerly the day) and where the chain before it stood."""
    text = json.dumps(["readfirst audit", app, name, before.number if before else 0, before.hash if before else ""])
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
    name: str = "",
    handle: str = "",
) -> Entry:
    """The entry that follows `tail`."""
    unsigned = Entry(
        number=tail.number + 1,
        at=at,
        app=app,
        actor=actor,
        name=name,
        role=role,
        act=act,
        token=token,
        handle=handle,
        clinic=clinic,
        outcome=outcome,
        reason=reason,
        previous=tail.hash,
        hash="",
    )
    return unsigned.model_copy(update={"hash": _hash(unsigned)})


def broken_at(start: Tail, lines: Iterable[bytes]) -> int | None:
    """The number of the first entry of a blob that does not follow from the one before, or None for a whole chain."""
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
    # Without them, the hash is that of the versions that had none: their chains stay whole.
    none = {field for field in _LATER if not getattr(subject, field)}
    return _digest(subject.model_dump(exclude={"hash", *none}))


def _digest(body: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
