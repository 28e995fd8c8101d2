"""The audit log in append blobs: chains per process and hour, immutable in Azure (domain/access/audit_chain.py)."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock, Thread
from typing import TYPE_CHECKING

from readfirst.adapters import blobs
from readfirst.domain.access import audit_chain
from readfirst.domain.access.audit_chain import ANCHORS, Anchor, Entry, Segment, Tail

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient, ContainerClient

_LAST_LINE = 64 << 10  # more than the longest entry
_TRIES = 5
_MOST_BLOCKS = 40_000  # the service's limit is 50,000
_MOST_AT_ONCE = 500  # entries in a block, which takes 4 MiB
_SETTLED = timedelta(minutes=10)  # after the hour: whatever was begun in it has been written
_PARALLEL = 16
_FULL = "BlockCountExceedsLimit"


@dataclass
class _Open:
    """The segment that this process writes: how long it is, where its chain ends, how many blocks it has."""

    segment: Segment
    blob: BlobClient
    start: Tail
    tail: Tail
    length: int = 0
    blocks: int = 0
    doubtful: bool = False  # a write failed, and may have been carried out, or may still be

    def look(self) -> None:
        """Takes up where the blob ends: a write in doubt that comes after the next one misses its position."""
        self.length = int(self.blob.get_blob_properties().size)
        self.tail = _end_of(self.blob, self.length) or self.start
        self.doubtful = False


class _Act:
    """An act that waits to be written."""

    def __init__(self, now: datetime, fields: dict[str, str]) -> None:
        self.now, self.fields = now, fields
        self.entry: Entry | None = None
        self.error: Exception | None = None

    @property
    def over(self) -> bool:
        """Whether it was tried."""
        return self.entry is not None or self.error is not None


class AuditLog:
    """Writes one process's chains of an app. No other process writes to them, so that none waits for another.

    What several threads have to say at once becomes one block.
    """

    def __init__(self, container: ContainerClient, app: str) -> None:
        self._container, self._app = container, app
        self._process = uuid.uuid4().hex[:12]
        self._waiting: list[_Act] = []
        self._queue, self._writing = Lock(), Lock()
        self._open: _Open | None = None
        self._before: Tail | None = None  # where this process's segment before the open one ended
        self._anchored = ""  # the last hour of which this process knows the anchor to exist

    def add(
        self,
        now: datetime,
        *,
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
        """Appends an entry and returns it. An act that cannot be audited must not happen: faults are raised."""
        who = {"actor": actor, "name": name, "role": role}
        about = {"token": token, "handle": handle, "clinic": clinic}
        this = _Act(now, {**who, **about, "act": act, "outcome": outcome, "reason": reason})
        with self._queue:
            self._waiting.append(this)
        with self._writing:  # whoever comes in first writes what all the others wait for
            while not this.over:
                with self._queue:
                    batch, self._waiting = self._waiting[:_MOST_AT_ONCE], self._waiting[_MOST_AT_ONCE:]
                if not batch:  # whoever took it was stopped half-way
                    raise OSError("the act could not be audited")
                self._write(batch)
        if this.entry is None:
            raise this.error or OSError("the act could not be audited")
        return this.entry

    def _write(self, batch: list[_Act]) -> None:
        try:
            entries = self._append(batch)
        except Exception as error:
            if self._open:
                self._open.doubtful = True
            for one in batch:
                one.error = error
            return
        for one, entry in zip(batch, entries, strict=True):
            one.entry = entry
        self._anchor(max(one.now for one in batch))

    def _append(self, batch: list[_Act]) -> list[Entry]:
        from azure.core.exceptions import HttpResponseError

        hour = hour_of(max(one.now for one in batch))
        for _ in range(_TRIES):
            place = self._place(hour)
            entries = self._chained(place.tail, batch)
            last = Tail(entries[-1].number, entries[-1].hash)
            block = b"".join(entry.line() for entry in entries)
            try:
                done = place.blob.append_block(block, appendpos_condition=place.length)
            except HttpResponseError as error:
                if blobs.code_of(error) == _FULL:
                    place.blocks = _MOST_BLOCKS
                elif error.status_code == 412:  # an earlier try was carried out: of this request, or of an act before
                    place.look()
                else:
                    raise
                if place.tail != last:
                    continue
            else:
                place.blocks = int(done.get("blob_committed_block_count") or place.blocks + 1)
                place.length, place.tail = place.length + len(block), last
            return entries
        raise OSError("the audit chain could not be appended to")

    def _chained(self, tail: Tail, batch: list[_Act]) -> list[Entry]:
        entries = []
        for one in batch:
            entry = audit_chain.entry(tail, at=one.now.isoformat(), app=self._app, **one.fields)
            tail = Tail(entry.number, entry.hash)
            entries.append(entry)
        return entries

    def _place(self, hour: str) -> _Open:
        """The segment to write to: another one when the hour is over, and before the blob is full."""
        place = self._open
        if place and place.doubtful:
            place.look()
        if place and place.blocks < _MOST_BLOCKS and place.segment.hour >= hour:
            return place
        if place:  # an act of the hour before, that comes late, goes where the chain is
            hour = max(hour, place.segment.hour)
        number = place.segment.number + 1 if place and place.segment.hour == hour else 1
        segment = Segment(hour, self._process, number)
        before = place.tail if place and place.tail.number else self._before
        start = audit_chain.genesis(self._app, segment.name, before)
        blob = self._container.get_blob_client(segment.name)
        _create(blob)
        self._open, self._before = _Open(segment, blob, start, start), before
        return self._open

    def _anchor(self, now: datetime) -> None:
        """Has the hours that are over anchored, where nobody has done that, by a thread that no act waits for."""
        over = hour_of(now - _SETTLED - timedelta(hours=1))
        if self._anchored >= over:
            return
        self._anchored = over

        def work() -> None:
            try:
                anchor_until(self._container, self._app, over)
            except Exception as error:
                self._anchored = ""  # the next act tries again
                logging.warning("the audit log is not anchored: %s", type(error).__name__)

        Thread(target=work, name="audit-anchor", daemon=True).start()


def hour_of(moment: datetime) -> str:
    """The hour of a moment, as segments are named."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d/%H")


def _create(blob: BlobClient) -> None:
    """Creates a segment. One that is there was made by an earlier try of this request: its name is this process's."""
    from azure.core import MatchConditions
    from azure.core.exceptions import HttpResponseError

    try:
        blob.create_append_blob(match_condition=MatchConditions.IfMissing)
    except HttpResponseError as error:
        if blobs.code_of(error) != "BlobAlreadyExists":
            raise


def _end_of(blob: BlobClient, length: int) -> Tail | None:
    """The last entry of a blob of that length; None for an empty one."""
    if length == 0:
        return None
    start = max(0, length - _LAST_LINE)
    last = bytes(blob.download_blob(start, length - start).readall()).rstrip(b"\n").rsplit(b"\n", 1)[-1]
    found = Entry.model_validate_json(last)
    return Tail(found.number, found.hash)


def anchor_until(container: ContainerClient, app: str, hour: str) -> int:
    """Anchors every hour up to that one that has segments and no anchor, in order. Returns how many it anchored."""
    names = list(container.list_blob_names())
    anchors = {name for name in names if name.startswith(ANCHORS)}
    segments = [s for s in map(Segment.parse, names) if s and s.hour <= hour]
    made = 0
    for one in sorted({s.hour for s in segments if audit_chain.anchor_name(s.hour) not in anchors}):
        heads = {s.name for s in segments if s.hour == one}
        if not anchors:  # the first one: the chains of version 1.0 end here
            heads |= {name_of(day) for day in _old_days(names)[-1:]}
        before = max((name for name in anchors if name < audit_chain.anchor_name(one)), default="")
        anchor = Anchor(
            app=app,
            hour=one,
            heads={name: (tail.number, tail.hash) for name in sorted(heads) if (tail := _head(container, name))},
            previous=_anchor_at(container, before).hash if before else "",
        ).sealed()
        made += blobs.put_once(container, anchor.name, anchor.model_dump_json().encode())
        anchors.add(anchor.name)
    return made


def _head(container: ContainerClient, name: str) -> Tail | None:
    blob = container.get_blob_client(name)
    return _end_of(blob, int(blob.get_blob_properties().size))


def _anchor_at(container: ContainerClient, name: str) -> Anchor:
    return Anchor.model_validate_json(blobs.read(container, name) or b"{}")


def name_of(day: str) -> str:
    """The blob of a day's chain as version 1.0 wrote it."""
    return f"{day}.jsonl"


def _old_days(names: list[str]) -> list[str]:
    return sorted(n.removesuffix(".jsonl") for n in names if "/" not in n and n.endswith(".jsonl"))


def days(container: ContainerClient) -> list[str]:
    """The days that have entries, in order."""
    names = list(container.list_blob_names())
    return sorted({*_old_days(names), *(s.day for s in map(Segment.parse, names) if s)})


def lines(container: ContainerClient, day: str) -> list[bytes]:
    """A day's entries as they lie in the blobs, in the order of their times; none where there is no such day."""
    names = [name_of(day), *(n for n in container.list_blob_names(name_starts_with=f"{day}/") if Segment.parse(n))]
    with ThreadPoolExecutor(_PARALLEL) as pool:
        found = [line for part in pool.map(lambda name: _lines(container, name), names) for line in part]
    return sorted(found, key=_moment)


def _moment(line: bytes) -> str:
    return next((entry.at for entry in _readable([line])), "")


def _lines(container: ContainerClient, name: str) -> list[bytes]:
    return (blobs.read(container, name) or b"").splitlines()


def verify(container: ContainerClient, app: str, latest: int | None = None) -> Iterator[tuple[str, int, int | None]]:
    """For each day: the day, how many entries, and the number of the first broken one in its chain (None: whole).

    `latest` looks at so many days only; what came before them is taken as it is.
    """
    names = list(container.list_blob_names())
    check = _Check(container, app, names)
    anchored = {name[len(ANCHORS) :].partition("T")[0] for name in names if name.startswith(ANCHORS)}
    every = sorted({*_old_days(names), *(s.day for s in check.segments), *anchored})
    for day in every[-latest:] if latest else every:
        yield check.day(day)


class _Check:
    """Verifies the chains of a container, day by day."""

    def __init__(self, container: ContainerClient, app: str, names: list[str]) -> None:
        self._container, self._app = container, app
        self._old = _old_days(names)
        self.segments = sorted(s for s in map(Segment.parse, names) if s)
        self._anchors = sorted(name for name in names if name.startswith(ANCHORS))

    def day(self, day: str) -> tuple[str, int, int | None]:
        """The day, how many entries it has, and where it is broken."""
        own = [s for s in self.segments if s.day == day]
        names = [s.name for s in own] + ([name_of(day)] if day in self._old else [])
        with ThreadPoolExecutor(_PARALLEL) as pool:
            found = dict(zip(names, pool.map(lambda name: _lines(self._container, name), names), strict=True))
        faults = [_broken(found[s.name], self._starts(s, found)) for s in own]
        if day in self._old:
            faults.append(_broken(found[name_of(day)], self._old_starts(day)))
        faults += self._anchor_faults(day, found)
        count = sum(len(part) for part in found.values())
        return day, count, min((fault for fault in faults if fault is not None), default=None)

    def _starts(self, segment: Segment, found: dict[str, list[bytes]]) -> set[str]:
        """What the first entry of a segment may follow from: any entry of the process's last segment with entries.

        Any, because a write that was in doubt when the hour ended may have been carried out after all.
        """
        before: list[Tail | None] = []
        for one in reversed([s for s in self.segments if s.process == segment.process and s < segment]):
            there = found.get(one.name) or _lines(self._container, one.name)
            before = [Tail(e.number, e.hash) for e in _readable(there)]
            if before:
                break
        return {audit_chain.genesis(self._app, segment.name, end).hash for end in before or [None]}

    def _old_starts(self, day: str) -> set[str]:
        before: list[Tail | None] = []  # every end of the day before: an entry written after midnight is no break
        for earlier in reversed([d for d in self._old if d < day]):
            before += [Tail(e.number, e.hash) for e in _readable(_lines(self._container, name_of(earlier)))]
            if before:
                break
        return {audit_chain.genesis(self._app, day, end).hash for end in before or [None]}

    def _anchor_faults(self, day: str, found: dict[str, list[bytes]]) -> Iterator[int]:
        """Entries that an anchor of the day names and that are not there; 1 for an anchor that was itself changed."""
        for at, name in enumerate(self._anchors):
            if not name.startswith(f"{ANCHORS}{day}T"):
                continue
            try:
                anchor = _anchor_at(self._container, name)
                previous = _anchor_at(self._container, self._anchors[at - 1]).hash if at else ""
            except ValueError:
                yield 1
                continue
            if not (anchor.follows(previous) and anchor.name == name and anchor.app == self._app):
                yield 1
            for blob, (number, digest) in anchor.heads.items():
                there = found[blob] if blob in found else _lines(self._container, blob)
                entry = next(_readable(there[number - 1 : number]), None)
                if entry is None or entry.hash != digest:
                    yield number


def _broken(found: list[bytes], starts: set[str]) -> int | None:
    first = next(_readable(found[:1]), None)
    if found and (first is None or first.previous not in starts):
        return 1
    return audit_chain.broken_at(Tail(0, first.previous), found) if first else None


def _readable(found: list[bytes]) -> Iterator[Entry]:
    for line in found:
        try:
            yield Entry.model_validate_json(line)
        except ValueError:
            return
