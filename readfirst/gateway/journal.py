"""What the gateway remembers: which instances went out, what modalities said of their steps, which results came home.

A small SQLite file in the spool. Files are the truth of what waits; the journal is written after the inbox confirmed
and before the file goes, so that a kill between them repeats an upload, which the cloud counts as an identical copy.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from readfirst.domain.gateway.completion import COMPLETED, Said

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sent (study TEXT, instance TEXT, at REAL, PRIMARY KEY (study, instance)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS steps (uid TEXT, study TEXT, source TEXT, state TEXT, instances TEXT, at REAL,
                                  PRIMARY KEY (uid, study)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS announced (study TEXT PRIMARY KEY, expected INTEGER, at REAL);
CREATE TABLE IF NOT EXISTS results (blob TEXT PRIMARY KEY, etag TEXT, study TEXT, series TEXT, instance TEXT,
                                    class TEXT, syntax TEXT, file TEXT, state TEXT, tries INTEGER, next REAL, said TEXT,
                                    at REAL);
CREATE INDEX IF NOT EXISTS results_instance ON results (instance);
CREATE TABLE IF NOT EXISTS commitments (uid TEXT PRIMARY KEY, instances TEXT, at REAL);
"""
# Of a result: to be sent, sent, proven to be in the PACS, or nothing that a PACS could take.
WAITING, SENT, THERE, UNREADABLE = "waiting", "sent", "there", "unreadable"


@dataclass(frozen=True)
class Result:
    """An object on its way to the PACS. `file`: its name in the spool; `said`: why it is not there yet."""

    blob: str
    etag: str
    study: str
    series: str
    instance: str
    sop_class: str
    syntax: str
    file: str
    state: str
    tries: int
    said: str


class Journal:
    """One per spool; several threads may use it."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        path.chmod(0o600)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _all(self, sql: str, *values: object) -> list[tuple[str, ...]]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    # ---------------------------------------------------------------- facts

    def fact(self, name: str) -> str:
        """A fact by its name; empty where none is known."""
        found = self._all("SELECT value FROM facts WHERE name = ?", name)
        return found[0][0] if found else ""

    def remember(self, name: str, value: str) -> None:
        """Keeps a fact."""
        with self._writing() as db:
            db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    # ---------------------------------------------------------------- what went out

    def sent(self, instances: Iterable[tuple[str, str]]) -> None:
        """Notes that instances (study, SOP Instance UID) reached the inbox."""
        now = time.time()
        with self._writing() as db:
            db.executemany("INSERT OR REPLACE INTO sent VALUES (?, ?, ?)", [(*one, now) for one in instances])

    def sent_of(self, study: str) -> frozenset[str]:
        """The SOP Instance UIDs of a study that reached the inbox."""
        return frozenset(one for (one,) in self._all("SELECT instance FROM sent WHERE study = ?", study))

    # ---------------------------------------------------------------- what modalities say

    def say(self, uid: str, source: str, state: str, instances: dict[str, list[str]]) -> None:
        """Keeps what a step or a notification says of each study."""
        now = time.time()
        with self._writing() as db:
            db.execute("DELETE FROM steps WHERE uid = ?", (uid,))
            db.executemany(
                "INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?)",
                [(uid, study, source, state, json.dumps(named), now) for study, named in instances.items()],
            )

    def step(self, uid: str) -> tuple[str, dict[str, list[str]]] | None:
        """A step's state, and its instances by study; None for one that nobody created."""
        found = self._all("SELECT state, study, instances FROM steps WHERE uid = ? AND source = 'step'", uid)
        return (found[0][0], {study: json.loads(named) for _, study, named in found}) if found else None

    def spoken_of(self) -> list[str]:
        """Studies of which a step or a notification is complete and that were not announced since."""
        return [
            study
            for (study,) in self._all(
                "SELECT DISTINCT s.study FROM steps s LEFT JOIN announced a ON a.study = s.study "
                "WHERE s.state = ? AND (a.at IS NULL OR a.at < s.at)",
                COMPLETED,
            )
        ]

    def said_of(self, study: str) -> list[Said]:
        """What all steps and notifications say of a study."""
        rows = self._all("SELECT source, state, instances FROM steps WHERE study = ?", study)
        return [
            Said("step" if source == "step" else "availability", state, frozenset(json.loads(named)))
            for source, state, named in rows
        ]

    def announced(self, study: str, expected: int) -> None:
        """Notes that a study's `complete.json` is in the inbox."""
        with self._writing() as db:
            db.execute("INSERT OR REPLACE INTO announced VALUES (?, ?, ?)", (study, expected, time.time()))

    # ---------------------------------------------------------------- what comes home

    def etag_of(self, blob: str) -> str:
        """The version of a result that is known; empty where none is."""
        found = self._all("SELECT etag FROM results WHERE blob = ?", blob)
        return found[0][0] if found else ""

    def file_of(self, blob: str) -> str:
        """The name in the spool of a result's file; empty where there is none."""
        found = self._all("SELECT file FROM results WHERE blob = ?", blob)
        return found[0][0] if found else ""

    def fetched(self, result: Result) -> None:
        """A result's file is in the spool."""
        values = (result.blob, result.etag, result.study, result.series, result.instance, result.sop_class)
        with self._writing() as db:
            db.execute(
                "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, '', ?)",
                (*values, result.syntax, result.file, result.state, time.time()),
            )

    def due(self, state: str, most: int = 100) -> list[Result]:
        """The results in a state whose time has come."""
        rows = self._all(
            "SELECT blob, etag, study, series, instance, class, syntax, file, state, tries, said FROM results "
            "WHERE state = ? AND next <= ? ORDER BY at LIMIT ?",
            state, time.time(), most,
        )  # fmt: skip
        return [Result(*row) for row in rows]  # type: ignore[arg-type]

    def move(self, result: Result, state: str, *, wait: float = 0.0, said: str = "", tried: int = 0) -> None:
        """Brings a result into a state; it is due again after `wait` seconds. Another version of it is left alone."""
        with self._writing() as db:
            db.execute(
                "UPDATE results SET state = ?, next = ?, said = ?, tries = tries + ? WHERE blob = ? AND etag = ?",
                (state, time.time() + wait, said, tried, result.blob, result.etag),
            )

    def is_result(self, instance: str) -> bool:
        """Whether an instance is one that Readfirst made and the gateway brought home."""
        return bool(instance) and bool(self._all("SELECT 1 FROM results WHERE instance = ? LIMIT 1", instance))

    def results(self) -> dict[str, int]:
        """How many results are in each state, and how many of those not there say why."""
        rows = self._all("SELECT CASE WHEN said = '' THEN state ELSE state || ': ' || said END, COUNT(*) FROM results GROUP BY 1")  # fmt: skip # noqa: E501
        return {str(state): int(count) for state, count in rows}

    # ---------------------------------------------------------------- storage commitment

    def asked(self, uid: str, instances: Iterable[str]) -> None:
        """A commitment was asked for, under that transaction UID."""
        with self._writing() as db:
            db.execute("INSERT INTO commitments VALUES (?, ?, ?)", (uid, json.dumps(list(instances)), time.time()))

    def committed(self, uid: str, there: Iterable[str]) -> bool:
        """The PACS answered: these instances of the transaction are safe. Returns whether it was ours to ask.

        What it names and nobody asked for under that transaction counts for nothing.
        """
        found = self._all("SELECT instances FROM commitments WHERE uid = ?", uid)
        if not found:
            return False
        safe = [one for one in there if one in set(json.loads(found[0][0]))]
        with self._writing() as db:
            db.executemany(
                "UPDATE results SET state = ?, said = '' WHERE instance = ? AND state = ?",
                [(THERE, one, SENT) for one in safe],
            )
            db.execute("DELETE FROM commitments WHERE uid = ?", (uid,))
        return True

    def done(self) -> list[Result]:
        """Results that are in the PACS and whose file is still in the spool."""
        rows = self._all(
            "SELECT blob, etag, study, series, instance, class, syntax, file, state, tries, said FROM results "
            "WHERE state = ? AND file != ''",
            THERE,
        )
        return [Result(*row) for row in rows]  # type: ignore[arg-type]

    def forgotten(self, result: Result) -> None:
        """A result's file has left the spool."""
        with self._writing() as db:
            db.execute("UPDATE results SET file = '' WHERE blob = ? AND etag = ?", (result.blob, result.etag))

    def prune(self, days: float) -> None:
        """Forgets what went out, and what was said, longer ago. Results stay: a PACS may send them back in years."""
        before = time.time() - days * 86400
        with self._writing() as db:
            for table in ("sent", "steps", "announced", "commitments"):
                db.execute(f"DELETE FROM {table} WHERE at < ?", (before,))  # noqa: S608 - names of our own
