"""The command `readfirst`: all of it in a clone; in the package that a clinic installs, the gateway alone."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from readfirst.domain.faults import Fault, WrongCall

if TYPE_CHECKING:
    from readfirst.gateway.running import Gateway


class Commands(TyperGroup):
    """The one place that turns a fault into words and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Fault as fault:
            typer.echo(str(fault), err=True)
            raise typer.Exit(fault.exit_code) from None


def group() -> typer.Typer:
    """A command line without commands yet."""
    # Not Rich's messages: they come in boxes, which break a path or a command at the terminal's width.
    return typer.Typer(cls=Commands, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)


def main() -> None:
    """Run the command that the process was called with."""
    try:
        from readfirst.cli import main as run
    except ModuleNotFoundError as error:
        if error.name != "readfirst.cli":
            raise
        run = _gateway_alone
    run()


def _gateway_alone() -> None:
    app = group()
    app.callback()(_in_the_clinic)  # with a callback, even a lone command keeps its name
    app.command()(gateway)
    app()


def _in_the_clinic() -> None:
    """Readfirst's gateway: from a clinic's scanners to its inbox, and from the answers to its PACS."""


def gateway(
    file: Annotated[Path, typer.Argument(help="The file of settings (TOML): docs/gateway.md.")],
    check: Annotated[
        bool, typer.Option("--check", help="Look at settings, spool, addresses and PACS; then end.")
    ] = False,
) -> None:
    """Take studies from the clinic's modalities and bring results back to its PACS."""
    try:
        from readfirst.gateway import running
        from readfirst.gateway.config import load
    except ModuleNotFoundError as error:
        raise WrongCall(f"{error.name} is not installed: pip install 'readfirst[gateway]'") from None
    settings = load(file)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    if check:
        _check(running.Gateway(settings))
    else:
        running.run(settings, _ready)


def _ready(started: Gateway) -> None:
    typer.echo(f"listening on port {started.port}; status at http://127.0.0.1:{started.status_port}")


def _check(looked: Gateway) -> None:
    from readfirst.gateway.addresses import NoAddress

    try:
        until = looked.addresses_until()
    except NoAddress as error:
        raise WrongCall(str(error)) from None
    if looked.pacs_answers() is False:
        raise WrongCall("the PACS does not answer: its title, host and port, and whether it knows the gateway's title")
    typer.echo(f"all is well; the addresses lapse {until}")
