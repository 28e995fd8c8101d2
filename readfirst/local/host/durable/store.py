"""Everything that the host must remember, in one SQLite file: orchestrations, work in progress, receipts, schedules.

One process writes (a lock on the state folder sees to it), each step in one transaction. WAL with synchronous=NORMAL
survives a kill at any point; after a power cut the last moments may be missing, but the file is sound.
"""

from __future__ import annotations

import fcntl
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from readfirst.local.host.durable.events import Event
from readfirst.local.host.settings import CannotRun

FINISHED = ("Completed", "Failed", "Terminated")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS instances (
    id TEXT PRIMARY KEY, execution_id TEXT NOT NULL, name TEXT NOT NULL, version TEXT, status TEXT NOT NULL,
    input TEXT, output TEXT, custom_status TEXT, created TEXT NOT NULL, updated TEXT NOT NULL, parent TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS history (
    instance_id TEXT NOT NULL, seq INTEGER NOT NULL, event TEXT NOT NULL, PRIMARY KEY (instance_id, seq)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, instance_id TEXT NOT NULL, execution_id TEXT, due TEXT, event TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS messages_by_instance ON messages (instance_id);
CREATE TABLE IF NOT EXISTS activities (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, instance_id TEXT NOT NULL, execution_id TEXT NOT NULL,
    task_id INTEGER NOT NULL, name TEXT NOT NULL, input TEXT
);
CREATE INDEX IF NOT EXISTS activities_by_instance ON activities (instance_id);
CREATE TABLE IF NOT EXISTS receipts (
    function TEXT NOT NULL, blob TEXT NOT NULL, etag TEXT NOT NULL, attempts INTEGER NOT NULL, done INTEGER NOT NULL,
    PRIMARY KEY (function, blob)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS taken (
    function TEXT NOT NULL, message TEXT NOT NULL, pop_receipt TEXT NOT NULL, PRIMARY KEY (function, message)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS schedules (function TEXT PRIMARY KEY, last TEXT NOT NULL, next TEXT NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Instance:
    id: str
    execution_id: str
    name: str
    version: str | None
    status: str
    input: str | None  # JSON text, as ExecutionStarted carries it
    output: str | None  # JSON text
    custom_status: str | None  # JSON text
    created: str
    updated: str
    parent: Event | None = None

    @property
    def finished(self) -> bool:
        return self.status in FINISHED


@dataclass(frozen=True)
class Message:
    """Something for an orchestration's next turn. `due` None: now. `execution_id` None: any generation may take it."""

    instance_id: str
    execution_id: str | None
    event: Event
    due: str | None = None
    seq: int = 0


@dataclass(frozen=True)
class Activity:
    instance_id: str
    execution_id: str
    task_id: int
    name: str
    input: str | None
    seq: int = 0


@dataclass(frozen=True)
class Receipt:
    blob: str  # a digest of its name
    etag: str
    attempts: int
    done: bool


@dataclass(frozen=True)
class Turn:
    """All that one turn of an orchestration changes, written at once."""

    instance: Instance
    consumed: Sequence[int]
    history: Sequence[Event]
    history_from: int  # sequence number of the first event in `history`; 0 replaces all
    messages: Sequence[Message] = ()
    activities: Sequence[Activity] = ()
    children: Sequence[Instance] = field(default_factory=tuple)


class Store:
    def __init__(self, folder: Path) -> None:
        """Raises CannotRun when another host uses the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(folder / "host.lock")
        self._db = sqlite3.connect(folder / "host.db", isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()
        self._lock.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # --- orchestrations

    def instance(self, instance_id: str) -> Instance | None:
        row = self._db.execute("SELECT * FROM instances WHERE id = ?", (instance_id,)).fetchone()
        return None if row is None else _instance(row)

    def instances(self, start: str = "", prefix: str = "") -> Iterator[Instance]:
        """In the order of their ids, from `start` on."""
        rows = self._db.execute("SELECT * FROM instances WHERE id >= ? ORDER BY id", (max(start, prefix),)).fetchall()
        for row in rows:
            if row[0].startswith(prefix):
                yield _instance(row)

    def history(self, instance_id: str) -> list[Event]:
        rows = self._db.execute("SELECT event FROM history WHERE instance_id = ? ORDER BY seq", (instance_id,))
        return [json.loads(text) for (text,) in rows]

    def replace_instance(self, instance: Instance, first: Message) -> int:
        """Starts an orchestration; what an earlier one of this id has left is removed. Returns the message's number."""
        with self._transaction() as db:
            _forget(db, instance.id)
            _put_instance(db, instance)
            return _put_message(db, first)

    def update_instance(self, instance: Instance) -> None:
        with self._transaction() as db:
            _put_instance(db, instance)

    def add_message(self, message: Message) -> int:
        with self._transaction() as db:
            return _put_message(db, message)

    def pending_messages(self) -> list[Message]:
        rows = self._db.execute("SELECT instance_id, execution_id, event, due, seq FROM messages ORDER BY seq")
        return [Message(i, x, json.loads(event), due, seq) for i, x, event, due, seq in rows]

    def pending_activities(self) -> list[Activity]:
        rows = self._db.execute(
            "SELECT instance_id, execution_id, task_id, name, input, seq FROM activities ORDER BY seq"
        )
        return [Activity(*row) for row in rows]

    def drop_messages(self, numbers: Sequence[int]) -> None:
        with self._transaction() as db:
            db.executemany("DELETE FROM messages WHERE seq = ?", [(number,) for number in numbers])

    def commit_turn(self, turn: Turn) -> tuple[list[Message], list[Activity]]:
        """Returns the messages and the activities with the numbers that they got."""
        with self._transaction() as db:
            db.executemany("DELETE FROM messages WHERE seq = ?", [(number,) for number in turn.consumed])
            if turn.history_from == 0:
                db.execute("DELETE FROM history WHERE instance_id = ?", (turn.instance.id,))
            _drop_stale_messages(db, turn.instance)
            rows = [
                (turn.instance.id, turn.history_from + offset, json.dumps(event, separators=(",", ":")))
                for offset, event in enumerate(turn.history)
            ]
            db.executemany("INSERT INTO history VALUES (?, ?, ?)", rows)
            _put_instance(db, turn.instance)
            for child in turn.children:
                _forget(db, child.id)
                _put_instance(db, child)
            messages = [_numbered(message, _put_message(db, message)) for message in turn.messages]
            activities = [_numbered(activity, _put_activity(db, activity)) for activity in turn.activities]
        return messages, activities

    def finish_activity(self, activity: Activity, answer: Message) -> int | None:
        """Replaces the work by its answer; None when the work is gone (its orchestration was purged or replaced)."""
        with self._transaction() as db:
            if db.execute("DELETE FROM activities WHERE seq = ?", (activity.seq,)).rowcount == 0:
                return None
            return _put_message(db, answer)

    def forget(self, instance_id: str) -> None:
        with self._transaction() as db:
            _forget(db, instance_id)

    # --- blob receipts

    def receipts(self, function: str) -> dict[str, Receipt]:
        rows = self._db.execute("SELECT blob, etag, attempts, done FROM receipts WHERE function = ?", (function,))
        return {blob: Receipt(blob, etag, attempts, bool(done)) for blob, etag, attempts, done in rows}

    def put_receipt(self, function: str, receipt: Receipt) -> None:
        values = (function, receipt.blob, receipt.etag, receipt.attempts, int(receipt.done))
        self._db.execute("INSERT OR REPLACE INTO receipts VALUES (?, ?, ?, ?, ?)", values)

    def drop_receipts(self, function: str, blobs: Sequence[str]) -> None:
        with self._transaction() as db:
            db.executemany("DELETE FROM receipts WHERE function = ? AND blob = ?", [(function, blob) for blob in blobs])

    # --- queue messages that are being worked on

    def taken(self, function: str) -> list[tuple[str, str]]:
        """Id and pop receipt of each message that was being worked on."""
        return self._db.execute("SELECT message, pop_receipt FROM taken WHERE function = ?", (function,)).fetchall()

    def put_taken(self, function: str, messages: Sequence[tuple[str, str]]) -> None:
        rows = [(function, message, pop_receipt) for message, pop_receipt in messages]
        with self._transaction() as db:
            db.executemany("INSERT OR REPLACE INTO taken VALUES (?, ?, ?)", rows)

    def drop_taken(self, function: str, message: str) -> None:
        self._db.execute("DELETE FROM taken WHERE function = ? AND message = ?", (function, message))

    # --- timer triggers

    def schedule(self, function: str) -> tuple[str, str] | None:
        """When the timer last ran, and when it was to run next."""
        row = self._db.execute("SELECT last, next FROM schedules WHERE function = ?", (function,)).fetchone()
        return None if row is None else (row[0], row[1])

    def put_schedule(self, function: str, last: str, following: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO schedules VALUES (?, ?, ?)", (function, last, following))


def _lock(path: Path) -> IO[str]:
    handle = path.open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        handle.close()
        raise CannotRun(
            f"another embedded host uses {path.parent}: stop it, or give this one its own --state"
        ) from problem
    return handle


def _instance(row: tuple[Any, ...]) -> Instance:
    values = [*row[:10], json.loads(row[10]) if row[10] else None]
    return Instance(*values)


def _put_instance(db: sqlite3.Connection, item: Instance) -> None:
    parent = json.dumps(item.parent) if item.parent else None
    values = (
        item.id,
        item.execution_id,
        item.name,
        item.version,
        item.status,
        item.input,
        item.output,
        item.custom_status,
        item.created,
        item.updated,
        parent,
    )
    db.execute("INSERT OR REPLACE INTO instances VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)


def _put_message(db: sqlite3.Connection, item: Message) -> int:
    values = (item.instance_id, item.execution_id, item.due, json.dumps(item.event, separators=(",", ":")))
    return int(
        db.execute("INSERT INTO messages (instance_id, execution_id, due, event) VALUES (?, ?, ?, ?)", values).lastrowid
        or 0
    )


def _put_activity(db: sqlite3.Connection, item: Activity) -> int:
    values = (item.instance_id, item.execution_id, item.task_id, item.name, item.input)
    statement = "INSERT INTO activities (instance_id, execution_id, task_id, name, input) VALUES (?, ?, ?, ?, ?)"
    return int(db.execute(statement, values).lastrowid or 0)


def _drop_stale_messages(db: sqlite3.Connection, after: Instance) -> None:
    """What nobody will take any more: all of a finished orchestration, cancelled timers of an earlier generation."""
    if after.finished:
        db.execute("DELETE FROM messages WHERE instance_id = ?", (after.id,))
    else:
        db.execute(
            "DELETE FROM messages WHERE instance_id = ? AND execution_id IS NOT NULL AND execution_id != ?",
            (after.id, after.execution_id),
        )


def _numbered(item: Any, number: int) -> Any:
    return type(item)(**{**item.__dict__, "seq": number})


def _forget(db: sqlite3.Connection, instance_id: str) -> None:
    for table, column in (("history", "instance_id"), ("messages", "instance_id"), ("activities", "instance_id")):
        db.execute(f"DELETE FROM {table} WHERE {column} = ?", (instance_id,))  # noqa: S608 - names from the line above
    db.execute("DELETE FROM instances WHERE id = ?", (instance_id,))
