"""The audit chain in append blobs: `{day}.jsonl` in a container of each app, immutable in Azure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from threading import Lock
from typing import TYPE_CHECKING

from readfirst.domain.access import audit_chain
from readfirst.domain.access.audit_chain import Entry, Tail

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient, ContainerClient

_LAST_LINE = 64 << 10  # more than the longest entry
_TRIES = 50


class AuditLog:
    """Writes one app's chain. Several processes may write: each entry is appended where the chain was seen to end."""

    def __init__(self, container: ContainerClient, app: str) -> None:
        self._container, self._app = container, app
        self._lock = Lock()
        self._seen: tuple[str, int, Tail] | None = None  # day, length, tail: saves the read while we write alone

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
    ) -> Entry:
        """Appends an entry and returns it. An act that cannot be audited must not happen: faults are raised."""
        from azure.core.exceptions import HttpResponseError

        day = now.date().isoformat()
        blob = self._container.get_blob_client(name_of(day))
        with self._lock:
            for _ in range(_TRIES):
                length, tail = self._end(blob, day)
                written = audit_chain.entry(
                    tail,
                    at=now.isoformat(),
                    app=self._app,
                    actor=actor,
                    role=role,
                    act=act,
                    outcome=outcome,
                    token=token,
                    clinic=clinic,
                    reason=reason,
                )
                line = written.line()
                try:
                    blob.append_block(line, appendpos_condition=length)
                except HttpResponseError as error:
                    self._seen = None
                    if error.status_code not in (404, 412):
                        raise
                    continue
                self._seen = (day, length + len(line), Tail(written.number, written.hash))
                return written
        raise OSError("the audit chain could not be appended to")

    def _end(self, blob: BlobClient, day: str) -> tuple[int, Tail]:
        from azure.core import MatchConditions
        from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError

        if self._seen and self._seen[0] == day:
            return self._seen[1], self._seen[2]
        try:
            length = int(blob.get_blob_properties().size)
        except ResourceNotFoundError:
            try:
                blob.create_append_blob(match_condition=MatchConditions.IfMissing)
            except ResourceExistsError:
                return self._end(blob, day)
            length = 0
        if length == 0:
            return 0, audit_chain.genesis(self._app, day, end_before(self._container, day))
        start = max(0, length - _LAST_LINE)
        last = bytes(blob.download_blob(start, length - start).readall()).rstrip(b"\n").rsplit(b"\n", 1)[-1]
        found = Entry.model_validate_json(last)
        return length, Tail(found.number, found.hash)


def name_of(day: str) -> str:
    """The chain's blob."""
    return f"{day}.jsonl"


def days(container: ContainerClient) -> list[str]:
    """The days that have a chain, in order."""
    return sorted(name.removesuffix(".jsonl") for name in container.list_blob_names())


def lines(container: ContainerClient, day: str) -> list[bytes]:
    """A day's entries as they lie in the blob; none where there is no such day."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        return bytes(container.download_blob(name_of(day)).readall()).splitlines()
    except ResourceNotFoundError:
        return []


def end_before(container: ContainerClient, day: str) -> Tail | None:
    """Where the last chain before that day ended."""
    for earlier in reversed([d for d in days(container) if d < day]):
        if found := lines(container, earlier):
            last = Entry.model_validate_json(found[-1])
            return Tail(last.number, last.hash)
    return None


def verify(container: ContainerClient, app: str, latest: int | None = None) -> Iterator[tuple[str, int, int | None]]:
    """For each day: the day, how many entries, and the number of the first broken one (None: whole).

    `latest` looks at so many days only; the day before them is taken as it is.
    """
    every = days(container)
    first = max(0, len(every) - latest) if latest else 0
    before: list[Tail | None] = [
        None
    ]  # every end the day before had: an entry written late, after midnight, is no break
    if first:
        before = [Tail(e.number, e.hash) for e in _readable(lines(container, every[first - 1]))] or before
    for day in every[first:]:
        found = lines(container, day)
        starts = {audit_chain.genesis(app, day, end).hash for end in before}
        yield day, len(found), _broken(found, starts)
        before = [Tail(e.number, e.hash) for e in _readable(found)] or before


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
