"""`readfirst demo [STUDY…]`: starts the stack, runs a study from upload to alert, and shows the result."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from readfirst.cli.session import DEFAULT_STATE, State
from readfirst.cli.status import findings_table
from readfirst.domain.addresses import study_link

if TYPE_CHECKING:
    from readfirst.cli.printing import Terminal
    from readfirst.local.demo import Shown


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(demo)


def demo(
    studies: Annotated[list[Path] | None, typer.Argument(help="Folders of DICOM files; none: invented.")] = None,
    state: State = DEFAULT_STATE,
) -> None:
    """Run a study from upload to alert, and prove that no identifier left the uploads and the vault."""
    from rich.markup import escape

    from readfirst.cli.printing import Terminal
    from readfirst.local import demo as demonstration
    from readfirst.local.stack import Stack, running_stack

    console = Terminal()
    with ExitStack() as stack:
        running = running_stack(state)
        if running is None:
            console.print("[bold]Starting the embedded stack[/] (Azurite, Cosmos-compatible server, embedded host)")
            local = Stack(state, "auto", settings=demonstration.QUICK)
            stack.callback(local.stop)
            local.start(lambda line: console.print(f"  {line}", markup=False))
            environment = local.environment
        else:
            console.print(f"Using the stack that runs on {state}", markup=False)
            environment = running["environment"]
        failed = False
        wanted: list[Path | None] = [*studies] if studies else [None]
        for study in wanted:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="readfirst-demo-"))) / "study"
            what = f"a copy of {study} with invented identifiers" if study else "an invented chest CT (48 slices)"
            console.print(f"\n[bold]Study:[/] {escape(what)}")
            try:
                planted = demonstration.prepare(folder, study)
                shown = demonstration.run(
                    environment, state, folder, planted, lambda stage, at: console.print(f"  {at:6.1f} s  {stage}")
                )
            except TimeoutError as error:
                console.print(f"[bold red]{escape(str(error))}[/]\nThe logs are in {escape(str(state / 'logs'))}")
                raise typer.Exit(1) from None
            failed |= not _show(console, shown, environment["PORTAL_URL"] if running else "")
    raise typer.Exit(1 if failed else 0)


def _show(console: Terminal, shown: Shown, portal: str) -> bool:
    """Prints what happened, with the study's page where the portal stays up; returns whether the proof held."""
    from rich.table import Table

    console.print(findings_table(shown.record))
    provenance = shown.record.provenance
    stages = Table("stage", "seconds", title="Where the time went")
    for stage, seconds in (provenance.seconds if provenance else {}).items():
        stages.add_row(stage, f"{seconds:.2f}")
    console.print(stages)
    for overlay in shown.overlays:
        console.print(f"overlay  {overlay}", markup=False)
    console.print(f"e-mail   {shown.mail or 'none (the study is not high risk)'}", markup=False)
    if portal:
        console.print(f"portal   {study_link(portal, shown.record.handle)}", markup=False)
    proof = shown.scan
    looked = f"{proof.places} blobs, messages, documents and logs ({proof.bytes / 1e6:.0f} MB)"
    if proof.found:
        console.print(f"[bold red]LEAK[/]: of {shown.planted} planted identifiers, found in {looked}:")
        for place, what in proof.found[:20]:
            console.print(f"  {what} in {place}", markup=False)
        return False
    console.print(f"[bold green]proof[/]    none of {shown.planted} planted identifiers in {looked}")
    return True
