"""Settle: look at the ledger until the study is quiet, then seal what this run takes."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from functools import partial
from typing import Any

import azure.durable_functions as df

from orchestrations.blueprint import blueprint
from orchestrations.runs import ensure
from readfirst.adapters.clock import now
from readfirst.adapters.settings import settings
from readfirst.adapters.uploads import clinic_results
from readfirst.adapters.uploads.ledger import Ledger, ledger_of
from readfirst.domain.deid import KnownIdentifiers
from readfirst.domain.intake.ledger import Learned, Seal
from readfirst.domain.intake.person import Stated
from readfirst.domain.intake.settling import Wait, settle
from readfirst.domain.workflow_messages import Look, Run
from readfirst.services import list_study


@blueprint.activity_trigger(input_name="run")
def look_and_seal(run: dict[str, Any]) -> dict[str, Any]:
    """Seals the run's files if the study is quiet; says how long to wait otherwise. A sealed run stays sealed."""
    this = Run.model_validate(run)
    ledger = ledger_of(this.token)
    if ledger.cancelled(this.n):
        return Look(files=0).dump()  # its files are sealed, and nobody wants them read
    if ledger.runs() >= this.n:
        seal = ledger.sealed(this.n)
    else:
        unsealed, sealed = ledger.unsealed()
        at = now()
        verdict = settle(unsealed, sealed=sealed, complete=ledger.complete(), now=at, quiet=settings().settle_seconds)
        if isinstance(verdict, Wait):
            return Look(wait=verdict.seconds).dump()
        seal = ledger.seal(Seal(run=this.n, arrivals=verdict.arrivals, short=verdict.short, at=at))
    _learn(ledger, seal)
    if seal.arrivals:
        begun = partial(_in_progress, this, len(seal.arrivals))
        clinic_results.say_study(this.clinic, ledger.handle(), begun, ledger.own_names())
    deadline = now() + timedelta(minutes=settings().inference_deadline_minutes)
    return Look(files=len(seal.arrivals), deadline=deadline.isoformat()).dump()


def _in_progress(run: Run, images: int) -> dict[str, Any] | None:
    """From here on the sender sees its study by its handle. What was reported of the run, or a later one, counts."""
    record = list_study.read(run.token)
    return None if record is not None and record.run >= run.n else {"state": "in progress", "images": images}


def seal_rest(ledger: Ledger) -> int:
    """Seals every file that no run has taken, as the next run's. Returns how many runs have sealed then."""
    while left := ledger.unsealed()[0]:
        ledger.seal(Seal(run=ledger.runs() + 1, arrivals=tuple(note.id for note in left), at=now()))
    runs = ledger.runs()
    for run in range(1, runs + 1):
        if not ledger.has_learned(run):
            _learn(ledger, ledger.sealed(run))
    return runs


def _learn(ledger: Ledger, seal: Seal) -> None:
    """Learns from the headers of all the run's files, before any file is cleaned."""
    known = KnownIdentifiers()
    last: dict[tuple[str, str], str] = {}
    stated: Counter[Stated] = Counter()
    arrivals = sorted(ledger.arrivals(seal.arrivals), key=lambda a: (a.note.arrived, a.note.id))
    for arrival in arrivals:
        known = known | KnownIdentifiers.from_json(arrival.known)
        last[arrival.note.series, arrival.instance] = arrival.note.id
        if arrival.stated is not None:
            stated[arrival.stated] += 1
    superseded = tuple(sorted(set(seal.arrivals) - set(last.values())))
    complete = stated.total() == len(arrivals)
    said = tuple(sorted(stated.items(), key=lambda item: item[0].order)) if complete else None
    ledger.keep_learned(seal.run, Learned(known=known.to_json(), superseded=superseded, stated=said))


@blueprint.activity_trigger(input_name="run")
@blueprint.durable_client_input(client_name="client")
async def start_next(run: dict[str, Any], client: df.DurableOrchestrationClient) -> bool:
    """After sealing, looks once more: files that came meanwhile get the next run. Returns whether there were any."""
    this = Run.model_validate(run)
    unsealed, _ = ledger_of(this.token).unsealed()
    if unsealed:
        await ensure(client, this.next)
    return bool(unsealed)
