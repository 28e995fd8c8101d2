"""The demonstration: a study with invented identifiers goes from a clinic's upload to the radiologist's e-mail."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from readfirst.domain.reading.study_record import StudyRecord
from readfirst.local.phantom import plant_identifiers, write_phantom_study
from readfirst.local.scan import Scan, scan
from readfirst.local.watching import STAGES, Progress, token_of, wait_for

CLINIC = "lakeside"
PATIENCE = 150.0
_MAIL_PATIENCE = 20.0
_CHEST = 11  # the anatomy of the demonstration: one whose large nodule the default model finds
# A demonstration does not wait a minute for silence, nor half a minute to look after a job that was just ending.
QUICK = {"SETTLE_SECONDS": "2", "INFERENCE_LOOK_SECONDS": "4"}


@dataclass(frozen=True)
class Shown:
    """What the demonstration ended with. `mail` and `overlays` are files; `seconds` when each stage was reached."""

    record: StudyRecord
    seconds: dict[str, float]
    mail: Path | None
    overlays: tuple[Path, ...]
    scan: Scan
    planted: int


def prepare(folder: Path, study: Path | None) -> dict[str, str]:
    """Writes the study to upload: an invented chest CT, or a copy of yours with invented identifiers planted in it.

    Returns what was planted. Every call invents another person, so that a second demonstration is a second study.
    """
    seed = secrets.randbelow(1_000_000)
    if study is None:
        return write_phantom_study(folder, seed=seed, chest=_CHEST, slices=48)
    return plant_identifiers(study, folder, seed)


def run(
    environment: dict[str, str],
    state: Path,
    folder: Path,
    planted: dict[str, str],
    tell: Callable[[str, float], None],
) -> Shown:
    """Uploads the folder as a clinic would, follows its largest study, and proves that nothing planted leaked.

    `tell` hears of each stage with the seconds since the upload began. Raises TimeoutError with the stage that was
    not reached.
    """
    os.environ.update(environment)
    from readfirst.adapters.uploads.clinic_urls import clinic_urls
    from readfirst.upload_client import files_under, send

    began = time.monotonic()
    sent = send(clinic_urls(CLINIC, timedelta(hours=1)).inbox, list(files_under([folder])), priority="stat")
    tell("uploaded", time.monotonic() - began)
    largest = max(sent.studies, key=lambda uid: sent.studies[uid])
    token = token_of(CLINIC, largest)
    seconds: dict[str, float] = {}

    def seen(progress: Progress) -> None:
        for stage, reached in progress.reached().items():
            if reached and stage not in seconds:
                seconds[stage] = time.monotonic() - began
                tell(stage, seconds[stage])

    record = wait_for(token, lambda p: all(p.reached().values()), patience=PATIENCE, seen=seen).record
    assert record is not None, f"the last of {STAGES} is the record"  # noqa: S101
    mail = _mail(state, record)
    if mail:
        tell("e-mail sent", time.monotonic() - began)
    return Shown(record, seconds, mail, _overlays(state, record), scan(environment, state, planted), len(planted))


def _mail(state: Path, record: StudyRecord) -> Path | None:
    if not (record.high_risk and record.purpose == "current"):
        return None
    deadline = time.monotonic() + _MAIL_PATIENCE
    while time.monotonic() < deadline:
        for letter in (state / "outbox").glob("*.eml"):
            if record.handle in letter.read_text(errors="replace"):
                return letter
        time.sleep(0.3)
    raise TimeoutError("the study is high risk, and no e-mail went out")


def _overlays(state: Path, record: StudyRecord) -> tuple[Path, ...]:
    from readfirst.adapters import blobs, clients
    from readfirst.domain import resource_names

    folder = state / "demo" / record.handle
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for finding in record.findings:
        picture = blobs.read(clients.container(resource_names.STUDIES, resource_names.ANALYSIS), finding.overlay)
        if picture:
            file = folder / f"finding-{finding.key}.png"
            file.write_bytes(picture)
            written.append(file)
    return tuple(written)
