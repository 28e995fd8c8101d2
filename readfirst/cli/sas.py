"""`readfirst sas CLINIC`: the two URLs that a clinic gets."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from readfirst.cli.session import DEFAULT_STATE, State, attach


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(sas)


def sas(
    clinic: Annotated[str, typer.Argument(help="The clinic's id.")],
    hours: Annotated[float, typer.Option(help="How long the URLs work; at most seven days.")] = 24.0,
    state: State = DEFAULT_STATE,
) -> None:
    """Print the URLs for uploading to a clinic's inbox and for reading its answers."""
    attach(state)
    from readfirst.adapters.uploads.clinic_urls import clinic_urls

    try:
        urls = clinic_urls(clinic, timedelta(hours=hours))
    except (KeyError, ValueError) as error:
        typer.echo(error.args[0], err=True)
        raise typer.Exit(2) from None
    typer.echo(f"inbox    {urls.inbox}\nresults  {urls.results}\nuntil    {urls.until}")
