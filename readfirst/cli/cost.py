"""`readfirst cost --studies N --profile clinic`: what a month in Azure would cost."""

from __future__ import annotations

from typing import Annotated

import typer

from readfirst.domain.operations.costs import PROFILES, Line, Profile, Study, as_of, estimate, prices, total


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(cost)


def cost(
    studies: Annotated[int, typer.Option(min=0, help="Studies a month; 0 shows what idling costs.")] = 1000,
    profile: Annotated[str, typer.Option(help="student, clinic or hospital.")] = "clinic",
    clinics: Annotated[int, typer.Option(min=1, help="Clinics that send.")] = 1,
    files: Annotated[int, typer.Option(min=1, help="Files of a study.")] = 300,
    megabytes: Annotated[float, typer.Option(min=0.001, help="Size of a study.")] = 150,
    sources: Annotated[bool, typer.Option(help="Show each price and where it comes from.")] = False,
) -> None:
    """Estimate a month's bill from dated list prices: fixed, while idle, and for the studies."""
    chosen = _known(profile)
    lines = estimate(chosen, studies, clinics=clinics, study=Study(files, megabytes))
    typer.echo(
        f"{chosen}, {studies} studies a month; list prices of {as_of()} in US dollars, an estimate and no quote\n"
    )
    for line in lines:
        typer.echo(_row(line))
    typer.echo("")
    typer.echo(f"  {'while idle (fixed and polling)':<66}{total(lines, 'fixed', 'idle'):>10.2f}")
    typer.echo(f"  {'for the studies':<66}{total(lines, 'studies'):>10.2f}")
    typer.echo(f"  {'a month':<66}{total(lines):>10.2f}")
    if studies:
        typer.echo(f"  {'a study, all in':<66}{total(lines) / studies:>10.4f}")
    if sources:
        typer.echo("\nPrices")
        for name in dict.fromkeys(line.price for line in lines):
            price = prices()[name]
            typer.echo(f"  {price.what}: {price.usd:.10g} per {price.per}, {price.free:g} free; {price.source}")


def _known(profile: str) -> Profile:
    for known in PROFILES:
        if profile == known:
            return known
    typer.echo(f"no such profile; choose one of: {', '.join(PROFILES)}", err=True)
    raise typer.Exit(2)


def _row(line: Line) -> str:
    return f"  {line.kind:<8}{line.what[:40]:<42}{line.quantity:>12,.0f} {line.per:<13}{line.usd:>9.2f}"
