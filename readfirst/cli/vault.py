"""`readfirst vault verify`: proves that every clean study can be brought back to its patient."""

from __future__ import annotations

import typer

from readfirst.cli.session import DEFAULT_STATE, State, attach


def register(app: typer.Typer) -> None:
    """Adds the command group."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The vault of identities.")
    group.callback()(_vault)
    group.command()(verify)
    app.add_typer(group, name="vault")


def _vault() -> None:
    """The vault of identities."""


def verify(state: State = DEFAULT_STATE) -> None:
    """Open every identity and take every clean study on the way home and back; exit 1 where one cannot go."""
    from rich.progress import track

    attach(state)
    from readfirst.services import list_study, return_results

    bad = 0
    studies = [record.id for record in list_study.every()]
    for token in track(studies, "Bringing studies home"):
        problems = return_results.verify(token)
        bad += bool(problems)
        for problem in problems:
            typer.echo(f"{token}: {problem}", err=True)
    typer.echo(f"{len(studies) - bad} of {len(studies)} studies can be brought back to their patients.")
    raise typer.Exit(1 if bad else 0)
