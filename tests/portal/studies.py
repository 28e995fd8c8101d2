"""Studies for the portal's tests: records as the pipeline writes them, and clean images where a test looks at them."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from readfirst.adapters import clients
from readfirst.domain import blob_paths, resource_names
from readfirst.domain.analysis.findings import Box, Code, Finding, ModelIdentity
from readfirst.domain.analysis.messages import Progress
from readfirst.domain.operations.stages import STAGES
from readfirst.domain.pseudonyms import handle_of
from readfirst.domain.reading import due_times
from readfirst.domain.reading.study_record import FLAGGED, NOT_ANALYSED, NOT_FLAGGED, Provenance, Series, StudyRecord
from readfirst.domain.routing.readings import ModelReading

CLINIC_NAMES = {"north": "North <b>Clinic</b>", "south": "South Clinic"}
SECONDS = {"receive": 8.4, "settle": 61.0, "deidentify": 4.2, "analyse": 12.5, "report": 0.4, "alert": 1.5}
MODEL = ModelIdentity(name="chest-nodule", version="1.0.0", digest="ab" * 32, intended_use="triage")


def finding(key: str = "1", *, series: str = "2.25.11", sop: str = "2.25.111", slice_: int = 4) -> Finding:
    return Finding(
        key=key,
        kind="lung-nodule",
        concept=Code(value="427359005", scheme="SCT", meaning="Solitary nodule of lung"),
        category=2,
        probability=0.93,
        diameter_mm=14.2,
        volume_mm3=1500.0,
        centre=(60.0, -20.0, -100.0),
        site="left lung",
        series_uid=series,
        sop_uid=sop,
        slice=slice_,
        box=Box(left=300, top=200, right=330, bottom=232),
    )


def record(number: int, clinic: str = "north", **changes: object) -> StudyRecord:
    """An invented study. `number` makes its names; `risk` above 0.5 makes it flagged."""
    token = hashlib.sha256(f"{clinic}/{number}".encode()).hexdigest()[:32]
    received = datetime.now(UTC) - timedelta(minutes=5 * (number % 40))
    high = bool(changes.pop("high_risk", False))
    label = changes.pop("label", FLAGGED if high else NOT_FLAGGED)
    analysed = label != NOT_ANALYSED
    base = StudyRecord(
        id=token,
        clinic=clinic,
        handle=handle_of(token),
        patient=hashlib.sha256(f"patient {clinic}/{number}".encode()).hexdigest()[:32],
        study_uid=f"2.25.{int(token[:16], 16)}",
        run=1,
        state="reported",
        label=label,
        instances=16,
        modality="CT",
        body_part="CHEST",
        received=received.isoformat(timespec="seconds"),
        due=due_times.due(received, priority="routine", high_risk=high).isoformat(timespec="seconds"),
        updated=received.isoformat(timespec="seconds"),
        risk=0.93 if high else 0.04,
        high_risk=high,
        why="A solid nodule of 14 mm: category 2." if high else "",
        findings=(finding(),) if high else (),
        series=(Series(series_uid="2.25.11", modality="CT", number=3, instances=16, analysed=analysed),),
        provenance=Provenance(
            readfirst="0.1.0",
            engine="1",
            table="2024e",
            profile="triage-default",
            model=MODEL if analysed else None,
            run_key=hashlib.sha256(token.encode()).hexdigest(),
            seconds={stage: SECONDS[stage] for stage in STAGES if stage in SECONDS and (high or stage != "alert")},
        ),
    )
    return base.model_copy(update=changes)


def by_several(study: StudyRecord) -> StudyRecord:
    """The study read by three models: the first has found what the record shows, one has failed, one is at work."""
    routed = "by route chest-ct"
    other, third = (MODEL.model_copy(update={"name": name, "version": "2.1"}) for name in ("rib-fracture", "airways"))
    kinds = tuple(found.kind for found in study.findings)
    models = (
        ModelReading(model=MODEL, run_key="d" * 32, outcome="analysed", routed=routed, risk=study.risk,
                     high_risk=study.high_risk, why=study.why, kinds=kinds),
        ModelReading(model=other, run_key="e" * 32, outcome="failed", routed=routed,
                     reason="model-failed: its weights are of another network"),
        ModelReading(model=third, run_key="f" * 32, outcome="waiting", routed=routed,
                     reason="waiting: The model has not answered yet."),
    )  # fmt: skip
    update = {
        "models": models,
        "found_by": {found.key: MODEL.name for found in study.findings},
        "not_asked": {"spleen 0.5.9": "its gate: body-part-out-of-scope: The model reads abdomen studies only."},
        "part": "rib-fracture: no result; airways: no result yet",
        "reason": "model-failed: rib-fracture: its weights are of another network",
        "partial": True,
    }
    return study.model_copy(update=update)


def index(*records: StudyRecord) -> None:
    """Writes the records to Cosmos."""
    for one in records:
        clients.cosmos_container().upsert_item(one.model_dump(mode="json"))


def analysed_now(study: StudyRecord, key: str = "c" * 64) -> StudyRecord:
    """The study as the index lists it while the job works on it for the first time."""
    nothing = {"label": NOT_ANALYSED, "provenance": None, "risk": 0.0, "high_risk": False, "why": "", "findings": ()}
    return study.model_copy(update={"state": "analysing", "analysing": key, **nothing})


def progress_of(study: StudyRecord, share: float, stage: str = "infer", *, age: int = 0) -> tuple[str, bytes]:
    """Name and content of the blob that says how far the job is, written `age` seconds ago."""
    at = (datetime.now(UTC) - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%SZ")
    written = Progress.model_validate({"stage": stage, "share": share, "at": at})
    return blob_paths.progress_path(study.id, study.analysing), written.model_dump_json().encode()


def put_instance(token: str, ds: object, data: bytes) -> None:
    """Puts a clean instance where the pipeline puts it."""
    name = f"{token}/instances/{ds.SeriesInstanceUID}/{ds.SOPInstanceUID}.dcm"
    clients.container(resource_names.STUDIES, resource_names.CLEAN).upload_blob(name, data, overwrite=True)
