"""Where a command works: the settings of the environment, or of the local stack that runs on a state folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from readfirst.local.stack import running_stack

State = Annotated[Path, typer.Option("--state", help="The local stack's state folder.")]
DEFAULT_STATE = Path(".readfirst")


def attach(state: Path) -> None:
    """Makes the app settings those of the local stack, unless the environment brings its own (Azure)."""
    if "CLINICS" in os.environ:
        return
    stack = running_stack(state)
    if stack is None:
        typer.echo(f"No stack runs on {state}. Start one with `readfirst up`, or set the app settings.", err=True)
        raise typer.Exit(2)
    os.environ.update(stack["environment"])
