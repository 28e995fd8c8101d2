"""`readfirst audit verify`: whether every app's audit chain is whole."""

from __future__ import annotations

import typer

from readfirst.cli.session import DEFAULT_STATE, State, attach


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="The audit log.", no_args_is_help=True, rich_markup_mode=None)
    group.callback()(lambda: None)  # keeps `verify` a command of its own while it is the only one
    group.command()(verify)
    app.add_typer(group, name="audit")


def verify(state: State = DEFAULT_STATE) -> None:
    """Check every entry's hash, day by day. Exit status 1 where a chain is broken."""
    attach(state)
    from rich.table import Table

    from readfirst.adapters import audit_log, clients
    from readfirst.cli.printing import Terminal
    from readfirst.domain import resource_names

    table = Table("App", "Day", "Entries", "Chain")
    broken = False
    for name in ("intake", "api", "identity"):
        for day, entries, first in audit_log.verify(
            clients.container(resource_names.AUDIT, resource_names.audit(name)), name
        ):
            broken |= first is not None
            table.add_row(
                name, day, str(entries), "whole" if first is None else f"[red]broken at entry {first} of a chain[/]"
            )
    Terminal().print(table)
    if broken:
        raise typer.Exit(1)
