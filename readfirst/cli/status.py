"""`readfirst status [STUDY]`: which studies there are and how they stand."""

from __future__ import annotations

from typing import Annotated

import typer

from readfirst.cli.session import DEFAULT_STATE, State, attach
from readfirst.domain.addresses import study_link, study_named
from readfirst.domain.counted import counted
from readfirst.domain.reading.study_record import StudyRecord


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(status)


def status(
    study: Annotated[str, typer.Argument(help="A study's handle or token; without it, all.")] = "",
    state: State = DEFAULT_STATE,
) -> None:
    """Show the studies, or one of them with its findings."""
    from rich.table import Table

    from readfirst.cli.printing import Terminal

    attach(state)
    from readfirst.adapters.settings import settings
    from readfirst.domain.operations import statistics
    from readfirst.services import list_study

    records = sorted(list_study.every(), key=lambda record: record.received, reverse=True)
    console = Terminal()
    if study:
        named = study_named(study)
        found = next((r for r in records if named in ({"id": r.id}, {"handle": r.handle})), None)
        if found is None:
            typer.echo("No such study.", err=True)
            raise typer.Exit(1)
        console.print(findings_table(found))
        if portal := settings().portal_url:
            console.print(f"portal   {study_link(portal, found.handle)}", markup=False)
        return
    title = counted(len(records), "study", "studies")
    table = Table("study", "clinic", "received", "state", "label", "risk", "images", title=title)
    for r in records:
        notes = [r.reason, "alert not sent yet" if statistics.alert_missing(r.model_dump()) else ""]
        said = "; ".join(note for note in notes if note)
        label = f"{r.label} ({said})" if said else r.label
        table.add_row(r.handle, r.clinic, r.received, r.state, label, f"{r.risk:.2f}", str(r.instances))
    console.print(table)


def findings_table(record: StudyRecord) -> object:
    """A study's findings as a table, with the label and the model's disclaimer."""
    from rich.table import Table

    model = record.provenance.model if record.provenance else None
    models = [f"{one.model.name} {one.model.version} ({one.says}): {one.model.disclaimer}" for one in record.models]
    table = Table(
        "finding", "model", "size", "place", "probability", "slice", "urgency",
        title=f"Study {record.handle}: {record.label}" + (f" ({record.reason})" if record.reason else ""),
        caption=f"risk {record.risk:.2f} {'HIGH' if record.high_risk else ''} {record.why}\n"
        + ("\n".join(models) or (f"{model.name} {model.version}: {model.disclaimer}" if model else "")),
    )  # fmt: skip
    if not record.findings:
        table.add_row("none")
    for f in record.findings:
        table.add_row(
            f.concept.meaning,
            record.found_by.get(f.key, ""),
            f"{f.diameter_mm:.0f} mm" if f.diameter_mm else "",
            f.site + (f" ({', '.join(f'{c:.0f}' for c in f.centre)})" if f.centre else ""),
            f"{f.probability:.2f}",
            str(f.slice + 1),
            f"category {f.category}",
        )
    return table
