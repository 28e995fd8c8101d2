"""`readfirst upload CLINIC PATH…`: uploads a study through the clinic's SAS, as a clinic would."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydicom.dataset import Dataset

from readfirst.cli.session import DEFAULT_STATE, State, attach
from readfirst.domain.deid import read_header
from readfirst.domain.ledger import Complete

_PARALLEL = 8


@dataclass(frozen=True)
class Sent:
    """What was uploaded: files, bytes, and how many images each study had (by its Study Instance UID)."""

    files: int
    bytes: int
    studies: dict[str, int]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(upload)


def upload(
    clinic: Annotated[str, typer.Argument(help="The clinic's id, or the SAS URL of its inbox.")],
    paths: Annotated[list[Path], typer.Argument(help="DICOM files, folders of them, or zip archives.", exists=True)],
    stat: Annotated[bool, typer.Option("--stat", help="Asks for reading within the hour.")] = False,
    prior: Annotated[bool, typer.Option("--prior", help="An earlier study for comparison: never alerts.")] = False,
    complete: Annotated[bool, typer.Option(help="Says at the end how many images each study has.")] = True,
    state: State = DEFAULT_STATE,
) -> None:
    """Upload a study to a clinic's inbox."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    url = clinic if clinic.startswith(("http://", "https://")) else _inbox_url(clinic, state)
    files = list(files_under(paths))
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns) as progress:
        task = progress.add_task(f"{len(files)} files", total=sum(f.stat().st_size for f, _ in files))
        sent = send(
            url,
            files,
            announce=complete,
            priority="stat" if stat else "routine",
            purpose="prior" if prior else "current",
            advance=lambda count: progress.advance(task, count),
        )
    typer.echo(f"{sent.files} files uploaded ({sent.bytes / 1e6:.1f} MB), {len(sent.studies)} studies announced.")


def _inbox_url(clinic: str, state: Path) -> str:
    attach(state)
    from readfirst.adapters.sas import doors

    return doors(clinic, timedelta(hours=1)).inbox


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
            inbox.upload_blob(f"{folder}/{name}", data, overwrite=False)
        advance(path.stat().st_size)
        return str(header.StudyInstanceUID) if isinstance(header, Dataset) else None

    with ThreadPoolExecutor(_PARALLEL) as pool:
        found = Counter(uid for uid in pool.map(put, files) if uid)
    for uid, count in found.items() if announce else ():
        message = Complete(studyInstanceUid=uid, expected=count, priority=priority, purpose=purpose)
        inbox.upload_blob(f"{folder}/{uuid.uuid4().hex[:8]}/complete.json", message.model_dump_json(by_alias=True))
    return Sent(len(files), sum(path.stat().st_size for path, _ in files), dict(found))
