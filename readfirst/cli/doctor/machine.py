"""`readfirst doctor`: looks at this machine and says what to install."""

from __future__ import annotations

import importlib.metadata
import logging
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer
from packaging.requirements import Requirement

from readfirst.cli.doctor.findings import Seen as Finding
from readfirst.cli.session import DEFAULT_STATE, State, attach
from readfirst.local.ports import Ports

PROJECT = Path(__file__).resolve().parents[3]
_GIB = 1 << 30
_NEEDED_DISK = 3 * _GIB
_NEEDED_NODE = (20, 0)
_OLDEST_PYTHON, _NEWEST_PYTHON = (3, 11), (3, 13)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(
    azure: Annotated[str, typer.Option(help="Look at this resource group in Azure instead.")] = "",
    subscription: Annotated[str, typer.Option(help="Its subscription.", envvar="AZURE_SUBSCRIPTION_ID")] = "",
    canary: Annotated[str, typer.Option(help="Send an invented study as this clinic, and follow it.")] = "",
    state: State = DEFAULT_STATE,
) -> None:
    """Check this machine (or a deployment): what is needed is there, or how to get it."""
    if azure:
        _deployment(azure, subscription, canary)
    elif canary:
        _local_canary(canary, state)
    else:
        _show((finding for check in CHECKS for finding in check()), "the local stack")


def _deployment(group: str, subscription: str, canary: str) -> None:
    from readfirst.cli.doctor import azure as doctor_azure

    if not subscription:
        typer.echo("Which subscription? Give --subscription or set AZURE_SUBSCRIPTION_ID.", err=True)
        raise typer.Exit(2)
    logging.getLogger("azure.identity").setLevel(logging.CRITICAL)  # the finding says it in a line
    _show(doctor_azure.check(subscription, group, canary), group)


def _local_canary(clinic: str, state: Path) -> None:
    attach(state)
    from readfirst.adapters.studies import parked
    from readfirst.adapters.uploads.clinic_urls import clinic_urls
    from readfirst.cli.doctor import canary as doctor_canary

    try:
        urls = clinic_urls(clinic, doctor_canary.LIFETIME)
    except KeyError as error:
        typer.echo(error.args[0], err=True)
        raise typer.Exit(2) from None
    lies = (_parked(queue, count) for queue, count in parked.counts().items())
    _show(chain(lies, doctor_canary.fly(urls.inbox, urls.results, every=1)), f"clinic {clinic}")


def _parked(queue: str, count: int) -> Finding:
    return Finding(
        f"messages of {queue}", "missing", f"{count} parked", f"see the runbook, then `readfirst parked {queue}`"
    )


def _show(findings: Iterable[Finding], needs: str) -> None:
    """Prints each finding as it comes: a canary takes minutes."""
    from rich.markup import escape

    from readfirst.cli.printing import Terminal

    marks = {"ok": "[green]✓[/]", "optional": "[yellow]○[/]", "missing": "[red]✗[/]"}
    console = Terminal()
    missing = False
    for finding in findings:
        missing |= finding.verdict == "missing"
        remedy = f"  [dim]→ {escape(finding.remedy)}[/]" if finding.remedy else ""
        console.print(f" {marks[finding.verdict]} {escape(f'{finding.what:<32} {finding.seen}')}{remedy}")
    if missing:
        console.print(f"Some things that {needs} needs are missing (✗).")
        raise typer.Exit(1)
    console.print(f"Everything that {needs} needs is there.")


def python() -> Iterator[Finding]:
    """Python 3.11 to 3.13: the versions that the pins have wheels for."""
    seen = ".".join(map(str, sys.version_info[:3]))
    good = _OLDEST_PYTHON <= sys.version_info[:2] <= _NEWEST_PYTHON
    remedy = "" if good else "install Python 3.11, 3.12 or 3.13, then `make env`"
    yield Finding("Python", "ok" if good else "missing", seen, remedy)


def node() -> Iterator[Finding]:
    """Node and npm: Azurite, the Cosmos-compatible server and the OpenID provider run on it."""
    seen = _version("node")
    good = seen is not None and tuple(map(int, seen.split(".")[:2])) >= _NEEDED_NODE
    yield Finding("Node", "ok" if good else "missing", seen or "not found", "" if good else "install Node 20 or newer")
    npm = _version("npm")
    yield Finding("npm", "ok" if npm else "missing", npm or "not found", "" if npm else "it comes with Node")


def python_packages() -> Iterator[Finding]:
    """The pinned packages, each in exactly its version."""
    wrong = [f"{name} {wanted} (found {found or 'none'})" for name, wanted, found in _pins() if wanted != found]
    seen = f"{len(wrong)} differ: {', '.join(wrong[:3])}" if wrong else "as pinned"
    yield Finding("Python packages", "missing" if wrong else "ok", seen, "`make env`" if wrong else "")


def node_packages() -> Iterator[Finding]:
    """The local stack's servers."""
    folder = PROJECT / "readfirst/local/node/node_modules"
    absent = [name for name in ("azurite", "@vercel/cosmosdb-server", "oidc-provider") if not (folder / name).exists()]
    seen = f"not installed: {', '.join(absent)}" if absent else "installed"
    yield Finding("Local servers (npm)", "missing" if absent else "ok", seen, "`make env`" if absent else "")


def disk() -> Iterator[Finding]:
    """Room for the packages and some studies."""
    free = shutil.disk_usage(Path.cwd()).free
    good = free >= _NEEDED_DISK
    remedy = "" if good else f"make room: {_NEEDED_DISK // _GIB} GiB"
    yield Finding("Free disk", "ok" if good else "missing", f"{free / _GIB:.1f} GiB", remedy)


def ports(defaults: Ports = Ports()) -> Iterator[Finding]:
    """The default ports; a stack can also run on others."""
    taken = [f"{getattr(defaults, name)} ({name})" for name in defaults.taken(asdict(defaults))]
    seen = f"in use: {', '.join(taken)}" if taken else "free"
    remedy = "`readfirst up --ports auto`, or stop what holds them" if taken else ""
    yield Finding("Default ports", "optional" if taken else "ok", seen, remedy)


def extras() -> Iterator[Finding]:
    """Programs that only some tests need."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    yield _extra("Chromium (browser tests)", chromium, "apt-get install chromium")
    yield _extra("dciodvfy (DICOM conformance tests)", shutil.which("dciodvfy"), "apt-get install dicom3tools")


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    python,
    node,
    python_packages,
    node_packages,
    disk,
    ports,
    extras,
)


def _extra(what: str, found: str | None, remedy: str) -> Finding:
    return Finding(what, "ok", found) if found else Finding(what, "optional", "not found", remedy)


def _version(program: str) -> str | None:
    if not shutil.which(program):
        return None
    text = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30).stdout
    found = re.search(r"\d+(\.\d+)+", text)
    return found.group() if found else None


def _pins() -> Iterator[tuple[str, str, str | None]]:
    for file in ("requirements.txt", "requirements-dev.txt", "model_container/requirements.txt"):
        for line in (PROJECT / file).read_text().splitlines():
            text = line.partition("#")[0].strip()
            if not text or text.startswith("-"):
                continue
            pin = Requirement(text)  # with its marker: some pins are for some versions of Python only
            if pin.marker is None or pin.marker.evaluate():
                yield pin.name, str(pin.specifier).removeprefix("=="), _installed(pin.name)


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
