"""`readfirst bench [WHAT…]`: prints the performance tables, each measured now, in one run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(bench)


def bench(
    what: Annotated[list[str] | None, typer.Argument(help="Which tables; none: all.")] = None,
) -> None:
    """Measure this machine and print the tables."""
    for name in what or _TABLES:
        if name not in _TABLES:
            typer.echo(f"No such table: {name}. There are: {', '.join(_TABLES)}.", err=True)
            raise typer.Exit(2)
        _TABLES[name]()


def _pipeline() -> None:
    from rich.table import Table

    from benchmarks.pipeline import pipeline
    from readfirst.cli.printing import Terminal

    table = Table("load", "stage", "seconds", "files/s", title="The pipeline, upload to report (256x256 CT)")
    for result in pipeline():
        for stage, seconds in result.stages.items():
            table.add_row(result.what, stage, f"{seconds:.1f}", f"{result.files / seconds:.0f}")
        memory = ", ".join(f"{name} {peak:.0f} MB" for name, peak in result.memory.items())
        table.add_row(result.what, f"{result.megabytes:.0f} MB; peak memory: {memory}", f"history {result.history}", "")
        table.add_section()
    Terminal().print(table)


def _privacy() -> None:
    from benchmarks.deid_privacy import run

    run()


def _inference() -> None:
    from benchmarks.inference_speed import run

    run()


def _model() -> None:
    from benchmarks.model_accuracy import run

    run()


def _host() -> None:
    from benchmarks.host import bench as measured
    from benchmarks.host import show
    from readfirst.cli.printing import Terminal

    show(measured(), Terminal())


def _deid() -> None:
    from benchmarks.deid_speed import run

    run()


def _burned_in() -> None:
    from benchmarks.deid_burned_in import run

    for _ in run():
        pass


_TABLES: dict[str, Callable[[], None]] = {
    "pipeline": _pipeline,
    "privacy": _privacy,
    "burned-in": _burned_in,
    "deid": _deid,
    "inference": _inference,
    "model": _model,
    "host": _host,
}
