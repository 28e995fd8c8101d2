"""`readfirst reindex`: rebuilds the Cosmos index from the blobs. The product's disaster recovery."""

from __future__ import annotations

import typer

from readfirst.cli.session import DEFAULT_STATE, State, attach
from readfirst.domain.counted import counted


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(reindex)


def reindex(state: State = DEFAULT_STATE) -> None:
    """Rebuild the index of studies from the blobs, which are the truth."""
    attach(state)
    from readfirst.services import list_study

    typer.echo(f"{counted(list_study.reindex(), 'study', 'studies')} indexed")
