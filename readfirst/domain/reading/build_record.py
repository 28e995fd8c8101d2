"""What is reported about a study: its record, built from what the stages left behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from readfirst.domain.blob_paths import RefusedFile
from readfirst.domain.instance_facts import InstanceFacts
from readfirst.domain.intake.ledger import Complete
from readfirst.domain.reading import due_times, study_record
from readfirst.domain.reading.accounting import Accounting
from readfirst.domain.reading.study_record import Provenance, StudyRecord
from readfirst.domain.routing.readings import Together


@dataclass(frozen=True)
class Outcome:
    """How the analysis ended: `models` says what each model did that was asked."""

    kind: str  # analysed: by one model at least | out-of-scope | failed | quarantined; analysing: it has not ended
    reason: str = ""
    models: Together = field(default_factory=Together)
    accounting: Accounting | None = None
    not_asked: Mapping[str, str] = field(default_factory=dict)  # model -> why


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
    models = outcome.models
    analysed = models.analysed if outcome.kind == "analysed" else ()
    words = study.complete
    priority = words.priority if words else "routine"
    high_risk = bool(analysed) and models.high_risk
    series = {one.series_uid for one in analysed}
    main = _main(study.instances, series)
    part = models.part if analysed else ""
    return StudyRecord(
        id=study.token,
        clinic=study.clinic,
        handle=study.handle,
        patient=study.patient,
        study_uid=main.study_uid if main else "",
        run=study.run,
        state=_STATES.get(outcome.kind, "reported"),
        label=_label(models, part) if analysed else study_record.NOT_ANALYSED,
        reason=models.reason if analysed else _reason(study, outcome),
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
        risk=models.risk if analysed else 0.0,
        high_risk=high_risk,
        why=models.why if analysed else "",
        findings=models.findings if analysed else (),
        found_by=models.found_by if analysed else {},
        series=_series(study.instances, series),
        outputs=models.outputs if analysed else {},
        models=models.readings,
        not_asked=dict(outcome.not_asked),
        provenance=provenance,
    )


def following(there: StudyRecord, new: StudyRecord) -> StudyRecord | None:
    """The record that takes the place of `there` when `new` is reported; None: `there` stays as it is.

    An older run never overwrites a newer one, and a failure never takes a result away: not of the same run, and of
    an earlier run not one that is flagged. That one goes on, marked as partial and with the reason why the files that
    came later were not analysed. Where several models read a run, a report that was made before one of them had
    answered never takes the place of one that was made after.
    """
    if there.run > new.run or _knows_less(new, there):
        return None
    if there.state != "reported" or not (new.state == "failed" or _loses_flag(there, new)):
        return new
    if there.run == new.run:
        return None
    if there.label != study_record.FLAGGED:
        return new
    update = {"run": new.run, "partial": True, "reason": new.reason, "updated": new.updated}
    return there.model_copy(update=update)


def _loses_flag(there: StudyRecord, new: StudyRecord) -> bool:
    """Whether `new` makes less of the study only because a model that had flagged it in an earlier run failed."""
    lacking = {one.model.name for one in new.models if one.lacks_result}
    flagged = any(one.says == "flagged" and one.model.name in lacking for one in there.models)
    urgency = [(record.high_risk, record.label == study_record.FLAGGED) for record in (there, new)]
    return there.run < new.run and flagged and urgency[1] < urgency[0]


def lacks_result(record: StudyRecord) -> bool:
    """Whether a result of the record's last run is missing, one model's too: if it comes late, it is to be told."""
    told = record.label != study_record.NOT_ANALYSED
    return record.state == "failed" or (record.state == "reported" and told and bool(record.reason))


def _knows_less(new: StudyRecord, there: StudyRecord) -> bool:
    """Whether fewer of the same models, in the same run, had given their results when `new` was made."""
    if (there.run, there.state) != (new.run, "reported") or set(there.by_model) != set(new.by_model):
        return False
    ended = [sum(not one.lacks_result for one in record.models) for record in (new, there)]
    return ended[0] < ended[1]


def _label(models: Together, part: str) -> study_record.Label:
    """What was found is told however much was read; that nothing was found, only where nothing was left out."""
    if models.high_risk or models.findings:
        return study_record.FLAGGED
    return study_record.READ_IN_PART if part else study_record.NOT_FLAGGED


def _reason(study: Study, outcome: Outcome) -> str:
    if outcome.kind != "quarantined" and not study.instances and study.refused:
        codes = sorted({refused.reason for refused in study.refused})
        return f"every file was refused: {', '.join(codes)}"
    return outcome.reason


def _main(instances: Sequence[InstanceFacts], analysed: Collection[str]) -> InstanceFacts | None:
    read = [i for i in instances if i.series_uid in analysed]
    return next(iter(read or instances), None)


def _series(instances: Iterable[InstanceFacts], analysed: Collection[str]) -> tuple[study_record.Series, ...]:
    groups: dict[str, list[InstanceFacts]] = {}
    for instance in instances:
        groups.setdefault(instance.series_uid, []).append(instance)
    return tuple(
        study_record.Series(
            series_uid=uid,
            modality=group[0].modality,
            number=group[0].series_number,
            instances=len(group),
            analysed=uid in analysed,
        )
        for uid, group in sorted(groups.items(), key=lambda item: (item[1][0].series_number or 0, item[0]))
    )
