"""`readfirst parked [QUEUE]`: the messages that were set aside, and putting them back."""

from __future__ import annotations

from typing import Annotated

import typer

from readfirst.cli.session import DEFAULT_STATE, State, attach


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(parked)


def parked(
    queue: Annotated[str, typer.Argument(help="Put this queue's parked messages back; without it, list them.")] = "",
    state: State = DEFAULT_STATE,
) -> None:
    """Show which queue messages failed for good, or put a queue's messages back once their cause is gone."""
    attach(state)
    from readfirst.adapters.studies import parked
    from readfirst.domain import resource_names

    if queue:
        if queue not in resource_names.WAKING_QUEUES:
            typer.echo(f"No such queue. There are: {', '.join(resource_names.WAKING_QUEUES)}.", err=True)
            raise typer.Exit(2)
        typer.echo(f"{parked.again(queue)} messages are back in {queue}")
        return
    found = parked.counts()
    for name, count in found.items():
        typer.echo(f"{name}: {count} parked; runbook, poison messages")
    if not found:
        typer.echo("No message is parked.")
