"""Measures the embedded host beside the figures that were recorded of the real one on the same kind of machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from azure.storage.blob import ContainerClient
from rich.console import Console
from rich.table import Table

from readfirst.local import ports

_HERE = Path(__file__).parent
_NODE = _HERE.parent / "node"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # Azurite's own
_IDLE_SECONDS = 20


@dataclass(frozen=True)
class Figure:
    what: str
    unit: str
    measured: float
    real_host: float | None  # recorded with Functions 4.1037.0 and Durable 3.14.1 on 2 cores; None: not recorded
    note: str = ""


def bench() -> list[Figure]:
    """Starts Azurite and a host in a temporary folder, measures, and stops both. About a minute."""
    with (
        tempfile.TemporaryDirectory() as folder,
        _azurite(Path(folder)) as storage,
        _host(Path(folder), storage) as host,
    ):
        figures = [Figure("start, until it answers", "s", host.start_seconds, None)]
        host.run("chain", 1)  # warm
        figures += [
            Figure("a chain of 20 activities, each", "ms", host.run("chain", 20) * 1000 / 20, 41),
            Figure("a fan-out of 200 activities, each", "ms", host.run("fan", 200) * 1000 / 200, 10),
            Figure("100 chains of 4 at once", "s", _hundred_chains(host), 7.4),
            Figure("300 blobs in a burst, until all seen", "s", _burst(host, storage, 300), 8, "real: all within 8 s"),
            Figure("memory after that (resident)", "MB", host.memory_mb(), 315, "real: host 256 + worker 59"),
            Figure(f"processor, idle for {_IDLE_SECONDS} s", "%", host.idle_percent(), None, "5 storage listeners"),
            Figure("memory, idle beside 5,000 blobs", "MB", *_crowded(host, storage)),
        ]
    return figures


def show(figures: list[Figure], console: Console) -> None:
    table = Table(title="Embedded host beside the real Functions host")
    table.add_column("what")
    table.add_column("embedded", justify="right")
    table.add_column("real", justify="right")
    table.add_column("", style="dim")
    for figure in figures:
        slower = figure.real_host is not None and figure.measured > figure.real_host
        measured = f"{figure.measured:.1f} {figure.unit}"
        real = "" if figure.real_host is None else f"{figure.real_host:g} {figure.unit}"
        table.add_row(figure.what, f"[red]{measured}[/red]" if slower else measured, real, figure.note)
    console.print(table)


@dataclass
class _Host:
    port: int
    process: psutil.Process
    seen: Path
    start_seconds: float

    def _ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/runtime/webhooks/durabletask/{path}", data)
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=120) as response:  # noqa: S310 - our own address
            return json.load(response)

    def run(self, orchestrator: str, size: int) -> float:
        """Seconds from the request to the answer that it has finished."""
        started = time.perf_counter()
        status = self._ask(f"orchestrators/{orchestrator}?timeout=120", str(size))
        assert status["runtimeStatus"] == "Completed", status  # noqa: S101 - a bench of failures would mean nothing
        return time.perf_counter() - started

    def memory_mb(self) -> float:
        return float(self.process.memory_info().rss) / 1e6

    def idle_percent(self) -> float:
        time.sleep(25)  # until the listeners slow down
        before = self.process.cpu_times()
        time.sleep(_IDLE_SECONDS)
        after = self.process.cpu_times()
        return float((after.user + after.system - before.user - before.system) * 100 / _IDLE_SECONDS)


def _hundred_chains(host: _Host) -> float:
    with ThreadPoolExecutor(max_workers=100) as pool:
        started = time.perf_counter()
        list(pool.map(lambda _: host.run("chain", 4), range(100)))
        return time.perf_counter() - started


def _upload(storage: str, container: str, count: int) -> None:
    client = ContainerClient.from_connection_string(storage, container)
    if not client.exists():
        client.create_container()
    with ThreadPoolExecutor(max_workers=16) as pool:
        list(pool.map(lambda number: client.upload_blob(f"{time.time_ns()}-{number}", b"x"), range(count)))


def _burst(host: _Host, storage: str, count: int) -> float:
    started = time.perf_counter()
    _upload(storage, "bench-inbox-a", count)
    _wait(lambda: host.seen.exists() and len(host.seen.read_text().splitlines()) >= count)
    return time.perf_counter() - started


def _crowded(host: _Host, storage: str) -> tuple[float, None, str]:
    _upload(storage, "bench-inbox-a", 5000)
    _wait(lambda: len(host.seen.read_text().splitlines()) >= 5300)
    percent = host.idle_percent()
    return host.memory_mb(), None, f"processor {percent:.1f} % meanwhile"


@contextmanager
def _azurite(folder: Path) -> Iterator[str]:
    chosen = ports.choose("auto", {"blob", "queue", "table"})
    numbers = [chosen.blob, chosen.queue, chosen.table]
    names = ("blob", "queue", "table")
    options = [text for name, port in zip(names, numbers, strict=True) for text in (f"--{name}Port", str(port))]
    command = [str(_NODE / "node_modules/.bin/azurite"), "--silent", "--location", str(folder / "azurite"), *options]
    with subprocess.Popen(
        [*command, "--disableTelemetry", "--skipApiVersionCheck"], stdout=subprocess.DEVNULL
    ) as server:
        try:
            for port in numbers:
                _wait(lambda port=port: _listens(port))  # type: ignore[misc]
            endpoints = [
                f"{name.title()}Endpoint=http://127.0.0.1:{port}/devstoreaccount1"
                for name, port in zip(names, numbers, strict=True)
            ]
            account = f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={_KEY}"
            yield ";".join([account, *endpoints])
        finally:
            server.kill()


@contextmanager
def _host(folder: Path, storage: str) -> Iterator[_Host]:
    port, seen = ports.choose("auto", {"host"}).host, folder / "seen"
    environment = {**os.environ, "AzureWebJobsStorage": storage, "BENCH_SEEN": str(seen)}
    command = [sys.executable, "-m", "readfirst.local.host", "--app-dir", str(_HERE / "host_app")]
    command += ["--state", str(folder / "state"), "--port", str(port)]
    started = time.perf_counter()
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            _wait(lambda: _listens(port))
            yield _Host(port, psutil.Process(process.pid), seen, time.perf_counter() - started)
        finally:
            process.kill()


def _wait(until: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not until():
        if time.monotonic() > deadline:
            raise TimeoutError("the bench waited in vain")
        time.sleep(0.02)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    show(bench(), Console())
