"""How far a study is, read from what the stages leave behind: for the demo, the tests and the benchmarks."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from readfirst.domain.reading.study_record import StudyRecord

if TYPE_CHECKING:
    from readfirst.local.stack import Stack

STAGES = ("received", "settled", "de-identified", "analysed", "reported")


@dataclass(frozen=True)
class Progress:
    """One study's stages with what each has left, and its record once a run has reported."""

    token: str
    arrived: int
    sealed: int
    receipts: int
    results: int
    record: StudyRecord | None

    def reached(self) -> dict[str, bool]:
        """Which stages are behind the study. Of several models, one may be told while another works."""
        told = self.record is not None and "waiting" not in self.record.by_model.values()
        return {
            "received": self.arrived > 0,
            "settled": self.sealed > 0,
            "de-identified": self.receipts > 0,
            "analysed": self.results > 0 or self.record is not None,
            "reported": told,
        }


def token_of(clinic: str, study_uid: str) -> str:
    """A study's token, as the pipeline makes it."""
    from readfirst.adapters import secrets

    return secrets.pseudonyms(clinic).study_token(study_uid)


def look(token: str) -> Progress:
    """Looks at a study's papers once."""
    from readfirst.adapters import blobs, clients
    from readfirst.adapters.uploads.ledger import ledger_of
    from readfirst.domain import resource_names
    from readfirst.services import list_study

    clean = clients.container(resource_names.STUDIES, resource_names.CLEAN)
    analysis = clients.container(resource_names.STUDIES, resource_names.ANALYSIS)
    ledger = ledger_of(token)
    return Progress(
        token=token,
        arrived=len(ledger.notes()),
        sealed=ledger.runs(),
        receipts=sum(1 for _ in blobs.names(clean, f"{token}/receipts/")),
        results=sum(1 for name in blobs.names(analysis, f"{token}/") if name.endswith("/result.json")),
        record=list_study.read(token),
    )


def wait_for(
    token: str,
    done: Callable[[Progress], bool],
    *,
    patience: float,
    seen: Callable[[Progress], None] = lambda _: None,
    every: float = 0.5,
) -> Progress:
    """Looks until `done`, telling `seen` of each look. Raises TimeoutError after `patience` seconds without a change:
    how long all of it takes depends on the machine and on the study."""
    before, deadline = None, 0.0
    while True:
        progress = look(token)
        seen(progress)
        if done(progress):
            return progress
        if progress != before:
            before, deadline = progress, time.monotonic() + patience
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing has happened to the study for {patience:.0f} s: {progress.reached()}")
        time.sleep(every)


def at_work(stack: Stack) -> dict[str, int]:
    """Orchestrations that have not ended, by the orchestrator's name, as the embedded host knows them."""
    (file,) = stack.folders.host.glob("*.db")
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
        query = "SELECT name, COUNT(*) FROM instances WHERE status IN ('Pending', 'Running') GROUP BY name"
        return {str(name): int(count) for name, count in db.execute(query)}


def longest_history(stack: Stack, token: str) -> int:
    """Events of the longest history among a study's orchestrations, raw, as the embedded host replays them."""
    (file,) = stack.folders.host.glob("*.db")
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as db:
        query = "SELECT COUNT(*) FROM history WHERE instance_id LIKE ? GROUP BY instance_id"
        return max(int(count) for (count,) in db.execute(query, (f"{token}%",)))
