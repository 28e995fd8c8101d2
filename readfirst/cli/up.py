"""`readfirst up`: starts the local stack and keeps it running until Ctrl-C."""

from __future__ import annotations

import json
import os
import shlex
import signal
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Annotated, Literal

import typer
from rich.markup import escape
from rich.table import Table

from readfirst.cli.printing import Terminal, Whole
from readfirst.local import people
from readfirst.local.certificates import write_private
from readfirst.local.processes import StackError, tail
from readfirst.local.stack import Stack
from readfirst.local.weather.forecast import read

_LOOK_SECONDS = 0.5
_RESTARTS = 3  # of one server; a server that ends again and again needs a person


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(up)


def up(
    state: Annotated[Path, typer.Option(help="Where blobs, keys, mails and logs are kept.")] = Path(".readfirst"),
    port_offset: Annotated[int, typer.Option(help="Move every port by this much (for a second stack).")] = 0,
    ports: Annotated[Literal["default", "auto"], typer.Option(help="auto: any ports that are free.")] = "default",
    without_host: Annotated[bool, typer.Option(help="No embedded host, for those who run `func start`.")] = False,
    weather: Annotated[
        Path | None,
        typer.Option(help="Let the services behave as on a bad day: a TOML file (docs/reference/weather.md)."),
    ] = None,
) -> None:
    """Start the local stack and leave it running; Ctrl-C stops it."""
    console = Terminal()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)  # a closed terminal or `kill` stops the stack as Ctrl-C does
    forecast = read(weather) if weather else None
    stack = Stack(state, port_offset or ports, with_host=not without_host, forecast=forecast)
    try:
        with console.status("Starting the local stack…"):
            stack.start(lambda done: console.print(f"[green]✓[/] {escape(done)}"))
        _show(stack, console, without_host)
        _watch(stack, console)
    except KeyboardInterrupt:
        _next_time_at_once()  # before it is said: who reads it may ask again
        _show_weather(stack, console)
        console.print("Stopping…")
    finally:
        _next_time_at_once()
        stack.stop()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _next_time_at_once() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _at_once)


def _at_once(number: int, frame: FrameType | None) -> None:
    os._exit(130)  # asked a second time: the servers die with this process


def _show(stack: Stack, console: Terminal, without_host: bool) -> None:
    table = Table(title="Readfirst runs on this machine", show_header=False, title_justify="left")
    for what, where in stack.addresses().items():
        table.add_row(what, Whole(where))
    console.print(table)
    console.print(_people(stack))
    if without_host:
        file = stack.folders.state / "local.settings.json"
        content = json.dumps({"IsEncrypted": False, "Values": stack.environment}, indent=2)
        write_private(file, content.encode())
        portal = stack.environment["PORTAL_URL"]
        console.print(f"Settings for the Functions host: {file}", markup=False)
        console.print(
            f"    cp {shlex.quote(str(file))} local.settings.json && func start --cors {portal}", markup=False
        )
    console.print("Ctrl-C stops everything; the state stays.")


def _people(stack: Stack) -> Table:
    """Who can sign in, by the clinic that they see."""
    clinics = json.loads(stack.environment["CLINICS"])
    everybody = list(people.everybody(tuple(clinics)))
    table = Table("clinic", "users", title="Who can sign in (for the API: readfirst token USER)", title_justify="left")
    for group, name in (
        (people.EVERY_CLINIC, "every clinic"),
        *((f"clinic-{clinic['id']}", f"{clinic['name']} ({clinic['id']})") for clinic in clinics),
    ):
        table.add_row(escape(name), ", ".join(one.user for one in everybody if one.groups == (group,)))
    return table


def _show_weather(stack: Stack, console: Terminal) -> None:
    if stack.weather:
        table = Table("service", "weather", "requests that met it", title="Weather", title_justify="left")
        for (service, behaviour), times in sorted(stack.weather.sky.met.items()):
            table.add_row(service, behaviour, str(times))
        console.print(table)


def _watch(stack: Stack, console: Terminal) -> None:
    """Start a server again that ended by itself; raises StackError when one does so too often."""
    restarts: Counter[str] = Counter()
    while True:
        time.sleep(_LOOK_SECONDS)
        for name in stack.ended():
            restarts[name] += 1
            log = stack.folders.logs / f"{name}.log"
            if restarts[name] > _RESTARTS:
                raise StackError(f"{name} ended {restarts[name]} times.{tail(log)}")
            console.print(f"[yellow]![/] {name} ended by itself; starting it again (log: {escape(str(log))})")
            stack.restart(name)
