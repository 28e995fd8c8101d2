"""Report: the study's record, which alerts are due, and everybody else who is told.

Each activity writes to one service, so that each can wait for its own: the record's blob (the truth) first, then the
alerts, then the rest side by side, each from the record. While the AI works, the index alone lists the study
(`announce`).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import azure.durable_functions as df

from orchestrations.alert import raise_alert, still_due
from orchestrations.blueprint import TELLING, blueprint
from readfirst import __version__
from readfirst.adapters import clients
from readfirst.adapters.clock import now
from readfirst.adapters.settings import settings
from readfirst.adapters.studies import receipts
from readfirst.adapters.studies.receipts import Receipted
from readfirst.adapters.studies.study_index import Worklist
from readfirst.adapters.uploads import clinic_results, originals, persons
from readfirst.adapters.uploads.ledger import Ledger, ledger_of
from readfirst.domain import blob_paths, resource_names
from readfirst.domain.blob_paths import RefusedFile
from readfirst.domain.deid import TABLE_EDITION, engine_build
from readfirst.domain.intake.ledger import ArrivalNote, Seal
from readfirst.domain.intake.person import Person
from readfirst.domain.operations.stages import before_reading, seconds_between
from readfirst.domain.reading.build_record import Outcome, Study, lacks_result, record_of
from readfirst.domain.reading.study_record import Provenance, StudyRecord
from readfirst.domain.refusals import Reason
from readfirst.domain.routing.readings import STUDY, alerting, key_of
from readfirst.domain.workflow_messages import Alert, Report, Run
from readfirst.services import gather_readings, list_study, merge_patients
from readfirst.services.gather_readings import Gathered

CANCELLED = "cancelled: by an operator"
LATE = "late: the analysis has not ended yet; its result will replace this"


def tell(context: df.DurableOrchestrationContext, told: Report) -> Generator[Any, Any, None]:
    """Reports a study, for an orchestrator to `yield from`. Nobody waits for the alerts, and they for nobody else.

    The first steps are those of version 1.0, in its order: an instance that began with it goes on with this one.
    """
    for alert in (yield context.call_activity_with_retry(report, TELLING, told.dump())):
        yield context.call_activity_with_retry(raise_alert, TELLING, alert)
    others = (index_study, answer_clinic, request_return, release_originals)
    yield context.task_all([context.call_activity_with_retry(one, TELLING, told.run.dump()) for one in others])


@blueprint.activity_trigger(input_name="told")
def report(told: dict[str, Any]) -> list[dict[str, Any]]:
    """Writes the study's record. Returns the alerts that are due by the record that counts.

    That is another one where a result of the run, or a newer run, was reported before (`build_record.following`), or
    where an operator has called the run off meanwhile.
    """
    this = Report.model_validate(told)
    run = this.run
    ledger = ledger_of(run.token)
    if this.verdict.reason != CANCELLED and ledger.cancelled(run.n):
        there = list_study.read(run.token)
        return [alert.dump() for alert in alerts_of(there)] if there and there.run == run.n else []
    receipted = receipts.receipted(run.token, run.n)
    notes, seal = ledger.notes(), ledger.sealed(run.n)
    study = _study(run, ledger, receipted, notes, seal)
    if this.verdict.outcome == "quarantined":
        if not persons.asks(run.token, run.clinic, run.n):
            return []  # answered meanwhile: the replay that the answer started tells what came of it
        study = replace(study, refused=(*study.refused, *_kept_back(run, ledger, receipted)))
    at = now()
    from_outside = this.verdict.outcome == "failed" and this.verdict.reason != CANCELLED
    said = gather_readings.gather(this, ledger, receipted, ended_without=from_outside)
    record = record_of(
        study,
        Outcome(said.verdict.outcome, _reason(this, said), said.models, said.accounting, said.not_asked),
        _provenance(said, _seconds(this, notes, seal, at)),
        at,
    )
    counts = list_study.keep(merge_patients.linked(record))
    if record.state == "failed" and lacks_result(counts):
        # The alerts of bicep/modules/alerts.bicep look for these words.
        logging.warning("study failed: %s", record.reason.partition(":")[0])
    return [alert.dump() for alert in alerts_of(counts)] if counts.run == run.n else []


def _reason(told: Report, said: Gathered) -> str:
    """The verdict's reason; of a result that is late, what the watchdog has found wrong with the job, if anything."""
    trouble = receipts.trouble(told.run.token, told.run.n) if said.verdict.reason == LATE else ""
    return f"{trouble}:{LATE.partition(':')[2]}" if trouble else said.verdict.reason


def alerts_of(record: StudyRecord) -> list[Alert]:
    """The alerts that a record asks for: none for a study that waits for no one."""
    if not (record.high_risk and record.purpose == "current"):
        return []
    kinds = alerting(record.models) or sorted({finding.kind for finding in record.findings}) or [STUDY]
    return [Alert(token=record.id, clinic=record.clinic, handle=record.handle, finding=kind) for kind in kinds]


def alerts_not_sent() -> list[Alert]:
    """What should have gone out of the waiting studies' alerts; what the index did not know is brought up to date.

    Their orchestrations go on by themselves: this is for one that is gone, whatever took it. A study has an alert for
    each kind of finding, so that one which went out says nothing of the others, nor of its escalation.
    """
    worklist = Worklist(clients.cosmos_container())
    missing: list[Alert] = []
    for clinic in settings().clinics:
        for token, listed in worklist.urgent(clinic.id).items():
            record = list_study.read(token)
            if record is None:
                continue
            if record.alerted and not listed:
                list_study.index(record.clinic, token)
            missing += [due for alert in alerts_of(record) if (due := still_due(alert))]
    return missing


@blueprint.activity_trigger(input_name="run")
def index_study(run: dict[str, Any]) -> None:
    """Copies the study's record into Cosmos DB."""
    this = Run.model_validate(run)
    list_study.index(this.clinic, this.token)


@blueprint.activity_trigger(input_name="run")
def answer_clinic(run: dict[str, Any]) -> None:
    """Tells the sender how its study stands, from the record."""
    this = Run.model_validate(run)

    def stands() -> dict[str, Any] | None:
        record = list_study.read(this.token)
        return None if record is None else _answer(record)

    if (record := list_study.read(this.token)) is not None:
        clinic_results.say_study(record.clinic, record.handle, stands, ledger_of(record.id).own_names())


@blueprint.activity_trigger(input_name="run")
def request_return(run: dict[str, Any]) -> None:
    """Asks app `identity` to bring the results home."""
    record = list_study.read(Run.model_validate(run).token)
    if record is not None and record.goes_home:
        clients.queue(resource_names.RETURNS).send_message(record.id)


@blueprint.activity_trigger(input_name="run")
def release_originals(run: dict[str, Any]) -> None:
    """Tags the run's originals as done once it has a result: only tagged ones are deleted by age."""
    this = Run.model_validate(run)
    record = list_study.read(this.token)
    if record is None or record.run < this.n or lacks_result(record) or record.state == "quarantined":
        return
    ledger = ledger_of(this.token)
    # Of a study that was kept back, the originals of the runs before this one have waited with it.
    for n in range(1, this.n + 1) if ledger.rulings() else (this.n,):
        originals.tag_done(ledger, n)


def announce(run: Run, receipted: Receipted, run_key: str) -> None:
    """Puts a study on the list while it is analysed: it may be read as usual at once, and shows how far the AI is.

    An index that is away keeps no study from being analysed: this one is listed when it is reported.
    """
    from azure.core.exceptions import AzureError

    ledger = ledger_of(run.token)
    study = _study(run, ledger, receipted, ledger.notes(), ledger.sealed(run.n))
    record = record_of(study, Outcome("analysing"), None, now())
    listed = merge_patients.linked(record).model_copy(update={"analysing": run_key})
    try:
        Worklist(clients.cosmos_container()).begun(listed)
    except AzureError as error:
        logging.warning("a study under analysis is not listed: %s", type(error).__name__)


def _study(run: Run, ledger: Ledger, receipted: Receipted, notes: Sequence[ArrivalNote], seal: Seal) -> Study:
    person = persons.person_of_study(run.token, run.clinic, run.n)
    return Study(
        token=run.token,
        clinic=run.clinic,
        handle=ledger.handle(),
        patient=receipted.patient,
        run=run.n,
        instances=receipted.instances,
        refused=receipted.refused,
        short=seal.short,
        received=min(note.arrived for note in notes),
        complete=ledger.complete(),
        copies=receipted.copies,
        disagree=tuple(person.disagree) if isinstance(person, Person) else (),
        sent_as=min(note.modality for note in notes),
    )


def _kept_back(run: Run, ledger: Ledger, receipted: Receipted) -> list[RefusedFile]:
    """The files of a study that waits for a privacy officer: those of the runs without a receipt."""
    done = {blob_paths.run_of(name) for name in receipted.receipts}
    held = [a for n in range(1, run.n + 1) if n not in done for a in ledger.sealed(n).arrivals]
    return [RefusedFile(arrival=arrival, reason=Reason.SEVERAL_PERSONS.value) for arrival in held]


def _seconds(told: Report, notes: Sequence[ArrivalNote], seal: Seal, at: datetime) -> dict[str, float]:
    """The seconds of every stage up to the record, which is written at `at`."""
    taken = set(seal.arrivals)
    seconds = before_reading([note.arrived for note in notes if note.id in taken], seal.at) | told.seconds
    if told.analysed:
        seconds["report"] = seconds_between(datetime.fromisoformat(told.analysed), at)
    return seconds


def _provenance(said: Gathered, seconds: dict[str, float]) -> Provenance:
    """Of several models the job's seconds are those of all, and the first that gave a result is named."""
    job: Counter[str] = Counter()
    for one in said.models.readings:
        job.update({f"job.{stage}": seconds for stage, seconds in one.seconds.items()})
    refused = [one.model for one in said.models.readings if one.outcome == "out-of-scope"]
    return Provenance(
        readfirst=__version__,
        engine=engine_build(),
        table=TABLE_EDITION,
        profile=settings().profile,
        model=next(iter([one.model for one in said.models.analysed] or refused), None),
        run_key=key_of(one.run_key for one in said.models.analysed) or said.run_key,
        seconds={**seconds, **job},
    )


def _answer(record: StudyRecord) -> dict[str, Any]:
    """What the clinic is told, besides its own names of the study: counts, and no more of a result than its label."""
    answer: dict[str, Any] = {
        "state": record.state,
        "label": record.label,
        "images": record.instances,
        "partial": record.partial,
    }
    if record.part:
        answer["readInPart"] = record.part
    if record.accounting:
        answer["accounting"] = record.accounting.model_dump()
    if record.reason:
        answer["reason"] = record.reason
    if len(record.by_model) > 1:
        answer["models"] = record.by_model
    if record.refused:
        answer["refused"] = record.refused
    if record.copies:
        answer["identicalCopies"] = record.copies
    return answer
