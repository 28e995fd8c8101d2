"""`readfirst gateway FILE`: the gateway in the clinic, from scanner to inbox and from answers to PACS."""

from __future__ import annotations

import typer

from readfirst.command import gateway


def register(app: typer.Typer) -> None:
    """Adds the command, which the package that a clinic installs has as well."""
    app.command()(gateway)
