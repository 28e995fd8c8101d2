"""Sending a study to a clinic's inbox through its SAS, as a clinic's own software would."""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydicom.dataset import Dataset

from readfirst.adapters import blobs
from readfirst.domain.deid import read_header
from readfirst.domain.intake.ledger import STUDY_UID, Complete

_PARALLEL = 8


@dataclass(frozen=True)
class Sent:
    """What was uploaded: files, bytes, and how many images each study had (by its Study Instance UID)."""

    files: int
    bytes: int
    studies: dict[str, int]
    unannounced: int = 0  # studies whose UID is none, so that no message can name them


def files_under(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Every file of the paths, with the blob name that it gets: its place under the path that was given."""
    for path in paths:
        if path.is_file():
            yield path, path.name
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            yield file, f"{path.resolve().name}/{file.relative_to(path)}"


def send(
    url: str,
    files: Sequence[tuple[Path, str]],
    *,
    folder: str = "",
    announce: bool = True,
    priority: Literal["stat", "routine"] = "routine",
    purpose: Literal["current", "prior"] = "current",
    advance: Callable[[int], None] = lambda _: None,
) -> Sent:
    """Uploads files to an inbox by its SAS URL, under a folder (else one of their own), then announces what was sent.

    A file that is there already is left as it is: an upload that broke off can be repeated.
    """
    from azure.storage.blob import ContainerClient

    inbox = ContainerClient.from_container_url(url)
    folder = folder or uuid.uuid4().hex[:12]  # no two uploads share names: SAS may create, never overwrite

    def put(item: tuple[Path, str]) -> str | None:
        path, name = item
        with path.open("rb") as data:
            header = read_header(data)
            data.seek(0)
            blobs.create_once(inbox, f"{folder}/{name}", data, path.stat().st_size)  # there: sent before
        advance(path.stat().st_size)
        return str(header.StudyInstanceUID) if isinstance(header, Dataset) else None

    with ThreadPoolExecutor(_PARALLEL) as pool:
        found = Counter(uid for uid in pool.map(put, files) if uid)
    named = {uid: count for uid, count in found.items() if re.fullmatch(STUDY_UID, uid)}
    for uid, count in named.items() if announce else ():
        message = Complete(studyInstanceUid=uid, expected=count, priority=priority, purpose=purpose)
        said = message.model_dump_json(by_alias=True).encode()
        blobs.create_once(inbox, f"{folder}/{uuid.uuid4().hex[:8]}/complete.json", said, len(said))
    return Sent(len(files), sum(path.stat().st_size for path, _ in files), dict(found), len(found) - len(named))
