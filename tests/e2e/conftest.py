"""One whole stack for the end-to-end tests, with short waits; each test brings studies of its own."""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from readfirst.domain.reading.study_record import StudyRecord
from readfirst.local.environment import settings_of
from readfirst.local.phantom import write_phantom_study
from readfirst.local.stack import Stack
from readfirst.local.watching import Progress, token_of, wait_for
from tests.waiting import PATIENCE

QUICK = {
    "SETTLE_SECONDS": "4",  # a machine under load leaves gaps between files; announced studies do not wait for it
    "INFERENCE_LOOK_SECONDS": "4",
    "RECONCILE_SCHEDULE": "*/5 * * * * *",
    "RECONCILE_AGE_SECONDS": "5",
}
HIGH_RISK = 11  # a chest whose large nodule the default model finds; the people are new in every run
_seeds = itertools.count(int.from_bytes(os.urandom(3), "big"))


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("state"), "auto", settings=QUICK) as stack, settings_of(stack.environment):
        yield stack


@dataclass(frozen=True)
class Study:
    """An invented study on disk, and what is planted in it."""

    folder: Path
    planted: dict[str, str]

    @property
    def files(self) -> list[Path]:
        return sorted(p for p in self.folder.rglob("*") if p.is_file())

    @property
    def token(self) -> str:
        return token_of("lakeside", self.planted["study uid"])


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A chest CT with a large nodule: high risk for the default model."""
    return invent(tmp_path / "study")


def invent(folder: Path, **options: Any) -> Study:
    options = {"seed": next(_seeds), "chest": HIGH_RISK, "slices": 24, "size": 320, **options}
    return Study(folder, write_phantom_study(folder, **options))


def upload(files: list[Path], clinic: str = "lakeside", **options: Any) -> None:
    """Uploads files as a clinic would: by its SAS."""
    from readfirst.adapters.uploads.clinic_urls import clinic_urls
    from readfirst.upload_client import send

    send(clinic_urls(clinic, timedelta(hours=1)).inbox, [(f, f.name) for f in files], **options)


def announce(study: Study, clinic: str = "lakeside", **options: Any) -> None:
    """Says before the first file how many will come: however slowly they do, one run takes them all."""
    from azure.storage.blob import ContainerClient

    from readfirst.adapters.uploads.clinic_urls import clinic_urls
    from readfirst.domain.intake.ledger import Complete

    message = Complete(studyInstanceUid=study.planted["study uid"], expected=len(study.files), **options)
    inbox = ContainerClient.from_container_url(clinic_urls(clinic, timedelta(hours=1)).inbox)
    inbox.upload_blob(f"{uuid.uuid4().hex}/complete.json", message.model_dump_json(by_alias=True))


def reported(token: str, run: int = 1, patience: float = 2 * PATIENCE) -> Progress:
    """Waits until that run of the study, or a later one, has reported."""
    return wait_for(token, lambda p: p.record is not None and p.record.run >= run, patience=patience)


def whole(study: Study, patience: float = 2 * PATIENCE) -> StudyRecord:
    """Waits for the report of all the study's files: where the machine left a gap, a second run has the rest."""
    count = len(study.files)
    record = wait_for(study.token, lambda p: p.record is not None and p.record.instances == count, patience=patience)
    assert record.record is not None
    return record.record


def letters(stack: Stack, handle: str) -> list[str]:
    """The e-mails about a study."""
    outbox = stack.folders.state / "outbox"
    texts = [file.read_text(errors="replace") for file in outbox.glob("*.eml")]
    return [text for text in texts if handle in text]
