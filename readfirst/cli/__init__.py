"""The `readfirst` command. Each command is a module of this package with `register(app)`; this file lists them."""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from readfirst.command import group

# In a clone, the only place where the command line is, the apps, the job and the benchmarks lie beside this package.
_CLONE = str(Path(__file__).resolve().parents[2])
if _CLONE not in sys.path:
    sys.path.append(_CLONE)

# One line per module; it is named after its (first) command, so that only the module asked for is imported.
COMMANDS = (
    "demo",
    "up",
    "upload",
    "status",
    "failures",
    "parked",
    "sas",
    "token",
    "reindex",
    "vault",
    "bench",
    "audit",
    "doctor",
    "cost",
    "analyse",
    "deidentify",
    "model",
    "gateway",
)


def build(wanted: tuple[str, ...] = COMMANDS) -> typer.Typer:
    """The command line with those modules' commands."""
    app = group()
    app.callback()(_readfirst)  # with a callback, even a lone command keeps its name
    for name in wanted:
        import_module(f"readfirst.cli.{name}").register(app)
    return app


def main() -> None:
    """Run the command that the process was called with."""
    # Nothing is to be cleaned up before a command runs: until then Ctrl-C ends the process at once. As an exception
    # it could be swallowed by whatever is just being imported.
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interruptible:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Before numpy is imported: our products of matrices are small, and OpenBLAS's idle threads would spin between them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    named = tuple(name for name in sys.argv[1:2] if name in COMMANDS)
    app = build(named or COMMANDS)
    if interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    app()


def _say_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(version("readfirst"))
        raise typer.Exit


def _readfirst(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Readfirst: medical images from a clinic to an AI to a radiologist, on Azure. NOT FOR DIAGNOSIS."""
