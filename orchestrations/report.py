"""Report: the study's record (blob first, then Cosmos), the answer to the clinic, and which alerts are due.

Before that, while the AI works, the index alone lists the study (`announce`).
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from orchestrations.blueprint import blueprint
from orchestrations.messages import Alert, Report, Run
from readfirst import __version__
from readfirst.adapters import answers, blobs, clients, index, merging, papers, persons
from readfirst.adapters.ledger import Ledger, ledger_of, now
from readfirst.adapters.papers import Receipted
from readfirst.adapters.settings import settings
from readfirst.adapters.worklist import Worklist
from readfirst.domain import clean, names
from readfirst.domain.clean import RefusedFile
from readfirst.domain.deid import ENGINE_VERSION, TABLE_EDITION
from readfirst.domain.findings import Analysis
from readfirst.domain.person import Person
from readfirst.domain.records import Provenance, StudyRecord
from readfirst.domain.refusals import Reason
from readfirst.domain.reporting import Outcome, Study, record_of


@blueprint.activity_trigger(input_name="told")
def report(told: dict[str, Any]) -> list[dict[str, Any]]:
    """Writes what is known of the study. Returns the alerts that are due (none for a study that waits for no one)."""
    this = Report.model_validate(told)
    run = this.run
    ledger = ledger_of(run.token)
    analysis = papers.result(run.token, this.plan.run_key) if this.plan and this.plan.run_key else None
    receipted = papers.receipted(run.token, run.n)
    study = _study(run, ledger, receipted)
    if this.verdict.outcome == "quarantined":
        if not persons.asks(run.token, run.clinic, run.n):
            return []  # answered meanwhile: the replay that the answer started tells what came of it
        study = replace(study, refused=(*study.refused, *_kept_back(run, ledger, receipted)))
    record = record_of(
        study,
        Outcome(this.verdict.outcome, this.verdict.reason, analysis),
        _provenance(this, analysis),
        now(),
    )
    record = index.keep(merging.linked(record))
    answers.say_study(run.clinic, record.handle, _answer(record))
    if study.instances and record.state != "quarantined":
        clients.queue(names.RETURNS).send_message(run.token)
    if this.verdict.outcome == "failed":  # the alerts of bicep/modules/alerts.bicep look for these words
        logging.warning("study failed: %s", this.verdict.reason.partition(":")[0])
    elif record.state != "quarantined":
        # Of a study that was kept back, the originals of the runs before this one have waited with it.
        for n in range(1, run.n + 1) if ledger.rulings() else (run.n,):
            release_originals(ledger, n)
    if not (record.high_risk and record.purpose == "current" and record.run == run.n):
        return []
    kinds = sorted({finding.kind for finding in record.findings}) or ["study"]
    return [Alert(token=run.token, clinic=run.clinic, handle=record.handle, finding=kind).dump() for kind in kinds]


def announce(run: Run, receipted: Receipted, run_key: str) -> None:
    """Puts a study on the list while it is analysed: it may be read as usual at once, and shows how far the AI is."""
    study = _study(run, ledger_of(run.token), receipted)
    record = record_of(study, Outcome("analysing"), None, now())
    Worklist(clients.cosmos_container()).begun(merging.linked(record).model_copy(update={"analysing": run_key}))


def _study(run: Run, ledger: Ledger, receipted: Receipted) -> Study:
    notes = ledger.notes()
    person = persons.person_of_study(run.token, run.clinic, run.n)
    return Study(
        token=run.token,
        clinic=run.clinic,
        handle=ledger.handle(),
        patient=receipted.patient,
        run=run.n,
        instances=receipted.instances,
        refused=receipted.refused,
        short=ledger.sealed(run.n).short,
        received=min(note.arrived for note in notes),
        complete=ledger.complete(),
        copies=receipted.copies,
        disagree=tuple(person.disagree) if isinstance(person, Person) else (),
        sent_as=min(note.modality for note in notes),
    )


def _kept_back(run: Run, ledger: Ledger, receipted: Receipted) -> list[RefusedFile]:
    """The files of a study that waits for a privacy officer: those of the runs without a receipt."""
    done = {clean.run_of(name) for name in receipted.receipts}
    held = [a for n in range(1, run.n + 1) if n not in done for a in ledger.sealed(n).arrivals]
    return [RefusedFile(arrival=arrival, reason=Reason.SEVERAL_PERSONS.value) for arrival in held]


def _provenance(told: Report, analysis: Analysis | None) -> Provenance:
    job = {f"job.{stage}": seconds for stage, seconds in (analysis.seconds if analysis else {}).items()}
    return Provenance(
        readfirst=__version__,
        engine=ENGINE_VERSION,
        table=TABLE_EDITION,
        profile=settings().profile,
        model=analysis.model if analysis else None,
        run_key=told.plan.run_key if told.plan else "",
        seconds={**told.seconds, **job},
    )


def _answer(record: StudyRecord) -> dict[str, Any]:
    """What the clinic is told: its own handle and counts, the label, never more than the label of a result."""
    answer: dict[str, Any] = {
        "state": record.state,
        "label": record.label,
        "images": record.instances,
        "partial": record.partial,
    }
    if record.reason:
        answer["reason"] = record.reason
    if record.refused:
        answer["refused"] = record.refused
    if record.copies:
        answer["identicalCopies"] = record.copies
    return answer


def release_originals(ledger: Ledger, run: int) -> None:
    """Tags the run's originals as done: only tagged ones are deleted by age."""
    originals = clients.container(names.UPLOADS, names.ORIGINALS)
    for original in {arrival.original for arrival in ledger.arrivals(ledger.sealed(run).arrivals)}:
        blobs.tag(originals, original, names.DONE)
