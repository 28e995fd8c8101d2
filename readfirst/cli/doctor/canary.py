"""The canary: an invented study goes the whole way of a clinic's, by nothing but a clinic's two addresses.

It is sent as a `prior` study, so it never wakes anybody and stands in nobody's way on the worklist. Its patient is
called READFIRST^CANARY: who meets it knows what it is.
"""

from __future__ import annotations

import io
import json
import secrets
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from readfirst.cli.doctor.findings import Seen
from readfirst.domain.reading.study_record import FLAGGED, NOT_FLAGGED

if TYPE_CHECKING:
    from azure.storage.blob import BlobProperties, ContainerClient

LIFETIME = timedelta(hours=2)
PATIENCE_SECONDS = 1800.0  # a GPU's cold start in a busy region takes its time
_SLICES, _SIZE = 24, 320
_PATIENT = "READFIRST"
_CLOCKS_APART = timedelta(minutes=5)


@dataclass(frozen=True)
class Canary:
    """An invented study that was uploaded."""

    name: str  # the folder of its files
    study_uid: str
    patient_id: str
    files: int
    sent: datetime


def fly(inbox: str, results: str, *, patience: float = PATIENCE_SECONDS, every: float = 5.0) -> Iterator[Seen]:
    """Uploads the canary through the inbox's address and follows it by the clinic's answers."""
    from azure.storage.blob import ContainerClient

    canary = release(inbox)
    yield Seen("canary: upload", "ok", f"{canary.files} files")
    answers = ContainerClient.from_container_url(results)
    result = _answer(answers, canary, time.monotonic() + patience, every)
    if result is None:
        remedy = "docs/operator/runbook.md, failed studies and stuck jobs"
        yield Seen("canary: result", "missing", f"none within {patience:.0f} s", remedy)
    elif "label" not in result:
        yield Seen(
            "canary: result", "missing", f"refused: {result.get('reason', 'without a reason')}", "see its answer"
        )
    else:
        yield from _judged(answers, canary, result)
    left = sum(1 for b in ContainerClient.from_container_url(inbox).list_blobs(name_starts_with=f"{canary.name}/"))
    remedy = "" if not left else "the reconciler takes it within 15 minutes; else: runbook, poison messages"
    yield Seen("canary: inbox", "missing" if left else "ok", f"{left} files left", remedy)


def release(inbox: str) -> Canary:
    """Invents the study and uploads it. Every canary is another one."""
    from readfirst.local.phantom import write_phantom_study
    from readfirst.upload_client import files_under, send

    name = f"canary-{secrets.token_hex(4)}"
    person = {"surname": _PATIENT, "given name": "CANARY", "patient id": name.upper()}
    sent = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="readfirst-canary-") as place:
        folder = Path(place) / name
        seed = secrets.randbelow(1 << 24)
        planted = write_phantom_study(folder, seed=seed, slices=_SLICES, size=_SIZE, identifiers=person)
        files = list(files_under([folder]))
        send(inbox, files, folder=name, purpose="prior")
    return Canary(name, planted["study uid"], planted["patient id"], len(files), sent)


def _answer(answers: ContainerClient, canary: Canary, deadline: float, every: float) -> dict[str, Any] | None:
    """The canary's result, or what became of a file that was refused; None after the deadline."""
    while True:
        for blob in answers.list_blobs():
            if blob.last_modified < canary.sent - _CLOCKS_APART or not blob.name.endswith(".json"):
                continue
            if (said := _said(answers, canary, blob)) is not None:
                return said
        if time.monotonic() > deadline:
            return None
        time.sleep(every)


def _said(answers: ContainerClient, canary: Canary, blob: BlobProperties) -> dict[str, Any] | None:
    if not blob.name.endswith("/result.json") and not blob.name.startswith("uploads/"):
        return None
    told: dict[str, Any] = json.loads(answers.download_blob(blob.name).readall())
    refused = told.get("outcome") == "refused" and str(told.get("upload", "")).startswith(f"{canary.name}/")
    return told if refused or told.get("studyInstanceUid") == canary.study_uid else None


def _judged(answers: ContainerClient, canary: Canary, result: dict[str, Any]) -> Iterator[Seen]:
    """The label, and whether what came home is the canary's: the way back through the vault."""
    label, handle = str(result["label"]), str(result["handle"])
    known = label in (FLAGGED, NOT_FLAGGED)
    seen = label if known else f"{label} ({result.get('reason', '')})"
    remedy = "" if known else "docs/operator/runbook.md, failed studies"
    yield Seen("canary: label", "ok" if known else "missing", seen, remedy)
    home = [b.name for b in answers.list_blobs(name_starts_with=f"studies/{handle}/") if b.name.endswith(".dcm")]
    strangers = [name for name in home if not _belongs(answers.download_blob(name).readall(), canary)]
    good = bool(home) and not strangers
    remedy = "" if good else "docs/operator/runbook.md, failed studies; `readfirst vault verify`"
    told = (
        f"{len(home)} objects, all of the canary" if good else f"{len(strangers)} of {len(home)} are not the canary's"
    )
    yield Seen("canary: results at home", "ok" if good else "missing", told, remedy)
    yield Seen("canary: study", "ok", f"{handle}, patient {_PATIENT}^CANARY")


def _belongs(data: bytes, canary: Canary) -> bool:
    import pydicom

    ds = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
    return (ds.StudyInstanceUID, ds.PatientID) == (canary.study_uid, canary.patient_id)
