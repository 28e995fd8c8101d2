"""`readfirst upload CLINIC PATH…`: uploads a study through the clinic's SAS, as a clinic would."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from readfirst.cli.session import DEFAULT_STATE, State, attach
from readfirst.domain.counted import counted


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(upload)


def upload(
    clinic: Annotated[str, typer.Argument(help="The clinic's id, or the SAS URL of its inbox.")],
    paths: Annotated[
        list[Path], typer.Argument(help="DICOM files, folders, or zip, tar or tar.gz archives.", exists=True)
    ],
    stat: Annotated[bool, typer.Option("--stat", help="Asks for reading within the hour.")] = False,
    prior: Annotated[bool, typer.Option("--prior", help="An earlier study for comparison: never alerts.")] = False,
    complete: Annotated[bool, typer.Option(help="Says at the end how many images each study has.")] = True,
    state: State = DEFAULT_STATE,
) -> None:
    """Upload a study to a clinic's inbox."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from readfirst.upload_client import files_under, send

    url = clinic if clinic.startswith(("http://", "https://")) else _inbox_url(clinic, state)
    files = list(files_under(paths))
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns) as progress:
        task = progress.add_task(counted(len(files), "file"), total=sum(f.stat().st_size for f, _ in files))
        sent = send(
            url,
            files,
            announce=complete,
            priority="stat" if stat else "routine",
            purpose="prior" if prior else "current",
            advance=lambda count: progress.advance(task, count),
        )
    announced = len(sent.studies) - sent.unannounced if complete else 0
    size, studies = f"{sent.bytes / 1e6:.1f} MB", counted(announced, "study", "studies")
    typer.echo(f"{counted(sent.files, 'file')} uploaded ({size}), {studies} announced.")
    if complete and sent.unannounced:
        why = "their Study Instance UID is not made of digits and dots; they are taken when nothing more arrives"
        typer.echo(f"{counted(sent.unannounced, 'study', 'studies')} could not be announced: {why}.", err=True)


def _inbox_url(clinic: str, state: Path) -> str:
    attach(state)
    from readfirst.adapters.uploads.clinic_urls import clinic_urls

    return clinic_urls(clinic, timedelta(hours=1)).inbox
