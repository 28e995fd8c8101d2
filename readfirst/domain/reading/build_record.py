"""What is reported about a study: its record, built from what the stages left behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from readfirst.domain.analysis.findings import Analysis
from readfirst.domain.blob_paths import RefusedFile
from readfirst.domain.instance_facts import InstanceFacts
from readfirst.domain.intake.ledger import Complete
from readfirst.domain.reading import due_times, study_record
from readfirst.domain.reading.accounting import Accounting
from readfirst.domain.reading.study_record import Provenance, StudyRecord


@dataclass(frozen=True)
class Outcome:
    """How the analysis ended: `analysis` is there only when the job gave a result."""

    kind: str  # analysed | out-of-scope | failed | quarantined; analysing: it has not ended
    reason: str = ""
    analysis: Analysis | None = None
    accounting: Accounting | None = None


@dataclass(frozen=True)
class Study:
    """What is known of a study when it is reported. `short`: the sender announced more files."""

    token: str
    clinic: str
    handle: str
    patient: str
    run: int
    instances: Sequence[InstanceFacts]
    refused: Sequence[RefusedFile]
    short: bool
    received: datetime
    complete: Complete | None
    copies: int = 0
    disagree: tuple[str, ...] = ()
    sent_as: str = ""  # the modality by the files' headers, for a study of which nothing could be read


_STATES: dict[str, study_record.State] = {kind: kind for kind in ("failed", "analysing", "quarantined")}


def record_of(study: Study, outcome: Outcome, provenance: Provenance | None, now: datetime) -> StudyRecord:
    """The study's record. A study without a result is NOT ANALYSED, with the reason; never normal."""
    analysis = outcome.analysis if outcome.kind == "analysed" else None
    words = study.complete
    priority = words.priority if words else "routine"
    high_risk = analysis is not None and analysis.high_risk
    main = _main(study.instances, analysis)
    part = outcome.accounting.part if analysis and outcome.accounting else ""
    return StudyRecord(
        id=study.token,
        clinic=study.clinic,
        handle=study.handle,
        patient=study.patient,
        study_uid=main.study_uid if main else "",
        run=study.run,
        state=_STATES.get(outcome.kind, "reported"),
        label=_label(analysis, part),
        reason="" if analysis else _reason(study, outcome),
        partial=study.short or bool(study.refused) or bool(part),
        part=part,
        accounting=outcome.accounting,
        instances=len(study.instances),
        refused=dict(Counter(refused.reason for refused in study.refused)),
        copies=study.copies,
        disagree=study.disagree,
        modality=main.modality if main else study.sent_as,
        body_part=main.body_part if main else "",
        priority=priority,
        purpose=words.purpose if words else "current",
        received=study.received.isoformat(timespec="seconds"),
        due=due_times.due(study.received, priority=priority, high_risk=high_risk).isoformat(timespec="seconds"),
        updated=now.isoformat(timespec="seconds"),
        risk=analysis.risk if analysis else 0.0,
        high_risk=high_risk,
        why=analysis.why if analysis else "",
        findings=analysis.findings if analysis else (),
        series=_series(study.instances, analysis.series_uid if analysis else ""),
        outputs=analysis.outputs if analysis else {},
        provenance=provenance,
    )


def following(there: StudyRecord, new: StudyRecord) -> StudyRecord | None:
    """The record that takes the place of `there` when `new` is reported; None: `there` stays as it is.

    An older run never overwrites a newer one, and a failure never takes a result away: not of the same run, and of
    an earlier run not one that is flagged. That one goes on, marked as partial and with the reason why the files that
    came later were not analysed.
    """
    if there.run > new.run:
        return None
    if new.state != "failed" or there.state != "reported":
        return new
    if there.run == new.run:
        return None
    if there.label != study_record.FLAGGED:
        return new
    update = {"run": new.run, "partial": True, "reason": new.reason, "updated": new.updated}
    return there.model_copy(update=update)


def lacks_result(record: StudyRecord) -> bool:
    """Whether the record's last run has failed: a result of it that comes late has to be reported."""
    return record.state == "failed" or (record.label == study_record.FLAGGED and bool(record.reason))


def _label(analysis: Analysis | None, part: str) -> study_record.Label:
    """What was found is told however much was read; that nothing was found, only where nothing was left out."""
    if analysis is None:
        return study_record.NOT_ANALYSED
    if analysis.high_risk or analysis.findings:
        return study_record.FLAGGED
    return study_record.READ_IN_PART if part else study_record.NOT_FLAGGED


def _reason(study: Study, outcome: Outcome) -> str:
    if outcome.kind != "quarantined" and not study.instances and study.refused:
        codes = sorted({refused.reason for refused in study.refused})
        return f"every file was refused: {', '.join(codes)}"
    return outcome.reason


def _main(instances: Sequence[InstanceFacts], analysis: Analysis | None) -> InstanceFacts | None:
    analysed = [i for i in instances if analysis and i.series_uid == analysis.series_uid]
    return next(iter(analysed or instances), None)


def _series(instances: Iterable[InstanceFacts], analysed: str) -> tuple[study_record.Series, ...]:
    groups: dict[str, list[InstanceFacts]] = {}
    for instance in instances:
        groups.setdefault(instance.series_uid, []).append(instance)
    return tuple(
        study_record.Series(
            series_uid=uid,
            modality=group[0].modality,
            number=group[0].series_number,
            instances=len(group),
            analysed=uid == analysed,
        )
        for uid, group in sorted(groups.items(), key=lambda item: (item[1][0].series_number or 0, item[0]))
    )
