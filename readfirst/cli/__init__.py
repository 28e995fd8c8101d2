"""The `readfirst` command. Each command is a module of this package with `register(app)`; this file lists them."""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from readfirst.domain.faults import Fault

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


class _Commands(TyperGroup):
    """The one place that turns a fault into words and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Fault as fault:
            typer.echo(str(fault), err=True)
            raise typer.Exit(fault.exit_code) from None


def build(wanted: tuple[str, ...] = COMMANDS) -> typer.Typer:
    """The command line with those modules' commands."""
    # Not Rich's messages: they come in boxes, which break a path or a command at the terminal's width.
    app = typer.Typer(
        cls=_Commands,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
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
