"""The tables of a day: what was injected, how long it took, what held."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from readfirst.local.weather.sky import Sky
from tools.chaos.day import Day

_WIDTH = 200  # a pipe has no width of its own, and the page takes the tables as they are


def print_day(day: Day, sky: Sky, verdict: Mapping[str, Sequence[str]]) -> None:
    """Prints them as Markdown, which a terminal shows as well as a page does."""
    console = Console(width=None if Console().is_terminal else _WIDTH, markup=False, highlight=False)
    console.print(f"\nSeed {day.seed}\n")
    for table in (_injected(day, sky), _times(day), _held(verdict)):
        console.print(table)
        console.print()


def _injected(day: Day, sky: Sky) -> Table:
    table = Table("Injected", "Times", box=box.MARKDOWN)
    kinds = Counter(study.due.kind for study in day.studies)
    table.add_row(f"studies: {', '.join(f'{count} {kind}' for kind, count in kinds.items())}", str(len(day.studies)))
    table.add_row("files sent", str(day.sent))
    table.add_row("uploads that broke off and were sent again", str(day.resent))
    for victim, count in sorted(day.kills.items()):
        table.add_row(f"kill -9 of the {victim}", str(count))
    by_service: dict[str, list[str]] = defaultdict(list)
    times = Counter[str]()
    for (service, behaviour), count in sorted(sky.met.items()):
        by_service[service].append(f"{behaviour} {count}")
        times[service] += count
    for service, met in by_service.items():
        asked = f" of {sky.passed[service]} requests" if sky.passed[service] else ""
        table.add_row(f"{service}{asked}: {', '.join(met)}", str(times[service]))
    return table


def _times(day: Day) -> Table:
    table = Table("Time", "Seconds", box=box.MARKDOWN)
    for what, seconds in day.seconds.items():
        table.add_row(what, f"{seconds:.0f}")
    return table


def _held(verdict: Mapping[str, Sequence[str]]) -> Table:
    table = Table("Invariant", "Holds", box=box.MARKDOWN)
    for name, broken in verdict.items():
        table.add_row(name, "yes" if not broken else f"NO ({len(broken)}): {'; '.join(broken[:10])}")
    return table
