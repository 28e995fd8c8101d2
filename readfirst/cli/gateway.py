"""`readfirst gateway FILE`: the gateway in the clinic, from scanner to inbox and from answers to PACS."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from readfirst.domain.faults import WrongCall

if TYPE_CHECKING:
    from readfirst.gateway.running import Gateway


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(gateway)


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
