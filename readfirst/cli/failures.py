"""`readfirst failures`, `replay` and `cancel`: what went wrong, and running or calling it off again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from readfirst.cli.session import DEFAULT_STATE, State, attach
from readfirst.domain.addresses import study_named

if TYPE_CHECKING:
    from readfirst.domain.reading.study_record import StudyRecord

Study = Annotated[str, typer.Argument(help="A study's handle or token.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(failures)
    app.command()(replay)
    app.command()(cancel)


def failures(state: State = DEFAULT_STATE) -> None:
    """List what went wrong and is not over, with what to do: studies, alerts, parked messages."""
    from rich.table import Table

    from readfirst.cli.printing import Terminal

    attach(state)
    from readfirst.adapters.studies import parked
    from readfirst.domain.operations.failures import failures as listed
    from readfirst.services import list_study

    found = listed(record.model_dump(mode="json") for record in list_study.every())
    messages = parked.counts()
    if found:
        table = Table("study", "clinic", "since", "stage", "cause", "what to do", title=f"{len(found)} studies")
        for one in found:
            table.add_row(one.handle, one.clinic, one.since, one.stage, one.cause, one.remedy)
        Terminal().print(table)
    for queue, count in messages.items():
        typer.echo(f"{queue}: {count} messages parked; when the cause is gone: readfirst parked {queue}")
    if not found and not messages:
        typer.echo("Nothing failed.")


def replay(
    study: Annotated[str, typer.Argument(help="A study's handle or token.")] = "",
    all_failed: Annotated[bool, typer.Option("--all-failed", help="Every study that a replay can help.")] = False,
    state: State = DEFAULT_STATE,
) -> None:
    """Run a failed study again: what is done already is found and costs nothing."""
    if bool(study) == all_failed:
        typer.echo("Name one study, or say --all-failed.", err=True)
        raise typer.Exit(2)
    attach(state)
    from readfirst.domain.operations.failures import failures as listed

    records = _records()
    if all_failed:
        helped = {one.token for one in listed(r.model_dump(mode="json") for r in records) if one.replay}
        chosen = [record for record in records if record.id in helped]
    else:
        chosen = [_named(study, records)]
    for record in chosen:
        _command("replay", record)
    typer.echo(f"{len(chosen)} replayed: {', '.join(r.handle for r in chosen)}" if chosen else "No study to replay.")


def cancel(study: Study, state: State = DEFAULT_STATE) -> None:
    """Call off what a study is doing; what was reported before stays."""
    attach(state)
    record = _named(study, _records())
    _command("cancel", record)
    typer.echo(f"{record.handle} is called off; a replay, or new files, begin again.")


def _records() -> list[StudyRecord]:
    from readfirst.services import list_study

    return list(list_study.every())


def _named(study: str, records: list[StudyRecord]) -> StudyRecord:
    wanted = study_named(study)
    found = next((r for r in records if wanted in ({"id": r.id}, {"handle": r.handle})), None)
    if found is None:
        typer.echo("No such study.", err=True)
        raise typer.Exit(1)
    return found


def _command(kind: str, record: StudyRecord) -> None:
    from readfirst.adapters import clients
    from readfirst.adapters.clock import now
    from readfirst.domain import resource_names
    from readfirst.domain.analysis.messages import Command

    detail = {"clinic": record.clinic, "run": str(record.run)}
    command = Command.model_validate(
        {"kind": kind, "token": record.id, "by": "command line", "at": now().isoformat(), "detail": detail}
    )
    clients.queue(resource_names.COMMANDS).send_message(command.model_dump_json())
