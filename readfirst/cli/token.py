"""`readfirst token`: an access token of one of the local stack's people, for trying the API."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from readfirst.cli.session import DEFAULT_STATE, State


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(token)


def token(
    user: Annotated[str, typer.Argument(help="Who signs in, as `readfirst up` lists them: radiologist.lakeside, …")],
    state: State = DEFAULT_STATE,
) -> None:
    """Print an access token for the local API: curl -H "Authorization: Bearer $(readfirst token radiologist)" …"""
    from readfirst.local import people
    from readfirst.local.stack import running_stack

    stack = running_stack(state)
    if stack is None:
        typer.echo(f"No stack runs on {state}. Start one with `readfirst up`.", err=True)
        raise typer.Exit(2)
    settings = stack["environment"]
    known = [somebody.user for somebody in people.everybody(tuple(json.loads(settings["CLINICS"])))]
    if user not in known:
        typer.echo(f"Nobody is called {user} here. There are: {', '.join(known)}.", err=True)
        raise typer.Exit(2)
    typer.echo(people.access_token(settings, user, stack["password"]))
