"""Studies for specifications of what is done with a record: made by the code that makes real ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from readfirst.domain.analysis.findings import Analysis, Box, Finding
from readfirst.domain.analysis.models import default_model
from readfirst.domain.blob_paths import RefusedFile
from readfirst.domain.intake.ledger import Complete
from readfirst.domain.reading.accounting import Accounting
from readfirst.domain.reading.build_record import Outcome, Study, record_of
from readfirst.domain.reading.reviews import Event, What, fold, summary
from readfirst.domain.reading.study_record import Provenance, StudyRecord
from readfirst.domain.routing.readings import Together, reading_of, together
from tests.spec.test_series import slices

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def finding(key: str = "1") -> Finding:
    """A finding of the default model's first kind."""
    target = default_model().targets[0]
    return Finding(
        key=key, kind=target.kind, concept=target.concept, category=2, probability=0.9, diameter_mm=14.0,
        volume_mm3=1400.0, centre=(1.0, 2.0, 3.0), site="left lung", series_uid="1.2.3", sop_uid="1.2.3.4.1", slice=4,
        box=Box(left=10, top=20, right=30, bottom=40),
    )  # fmt: skip


def studied(
    token: str = "t" * 32,
    *,
    received: datetime = NOW,
    findings: tuple[Finding, ...] = (),
    high_risk: bool = False,
    kind: str = "analysed",
    reason: str = "",
    seconds: dict[str, float] | None = None,
    refused: tuple[RefusedFile, ...] = (),
    purpose: Literal["current", "prior"] = "current",
) -> StudyRecord:
    """The record of a chest CT of 14 files, as the report stage writes it an hour after it came."""
    analysis = Analysis(
        token=token, run_key="k", outcome="analysed", model=default_model().identity, series_uid="1.2.3",
        risk=0.9 if high_risk else 0.1, high_risk=high_risk, findings=findings,
    )  # fmt: skip
    complete = Complete(studyInstanceUid="1.2", purpose=purpose)
    study = Study(token, "north", "ABCD1234", "p", 1, slices(14), refused, False, received, complete)
    provenance = Provenance(
        readfirst="1", engine="1", table="2024e", profile="triage-default",
        model=analysis.model if kind == "analysed" else None, run_key="k", seconds=seconds or {},
    )  # fmt: skip
    models = one_model(analysis) if kind == "analysed" else Together()
    return record_of(study, Outcome(kind, reason, models), provenance, received + timedelta(hours=1))


def one_model(analysis: Analysis, books: Accounting | None = None) -> Together:
    """What a study's only model says."""
    return together([reading_of(analysis, accounting=books)], {analysis.run_key: analysis.findings})


def said(*what: What, run_key: str = "k", at: datetime = NOW + timedelta(hours=2)) -> list[Event]:
    """The events of a review, a minute apart."""
    return [
        Event(
            number=n, at=(at + timedelta(minutes=n)).isoformat(timespec="seconds"), by="r1", by_name="Rona",
            run_key=run_key, what=one,
        )
        for n, one in enumerate(what, start=1)
    ]  # fmt: skip


def indexed(record: StudyRecord, *events: Event) -> dict[str, Any]:
    """The record as the index holds it, with what its review comes to."""
    reviewed = record.model_copy(update=summary(fold(events, "k"))) if events else record
    return reviewed.model_dump(mode="json")
