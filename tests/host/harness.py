"""The embedded host as a process, Azurite beside it, and small ways to ask them things."""

from __future__ import annotations

import http.client
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from tests.waiting import PATIENCE, eventually

ROOT = Path(__file__).parents[2]
APP = Path(__file__).parent / "app"
_AZURITE = ROOT / "readfirst/local/node/node_modules/.bin/azurite"
OF_THE_STACK = ("node", str(ROOT / "readfirst/local/node/azurite.cjs"))  # with what the local stack adds to it
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # Azurite's own
DURABLE = "/runtime/webhooks/durabletask"


def free_port() -> int:
    """Below the ephemeral range, so that no outgoing connection takes it between choice and use."""
    while True:
        port = random.randrange(20_000, 32_000)
        if not _listens(port):
            return port


class Azurite:
    """Azurite on free ports, with its data in a folder of its own."""

    def __init__(self, folder: Path, program: Sequence[str] = (str(_AZURITE),)) -> None:
        self._ports = [free_port(), free_port(), free_port()]
        names = ("blob", "queue", "table")
        arguments = [text for n, p in zip(names, self._ports, strict=True) for text in (f"--{n}Port", str(p))]
        fixed = ["--silent", "--location", str(folder), "--disableTelemetry", "--skipApiVersionCheck"]
        self._process = subprocess.Popen([*program, *arguments, *fixed], stdout=subprocess.DEVNULL)
        for port in self._ports:
            eventually(lambda port=port: _listens(port))

    @property
    def connection_string(self) -> str:
        parts = [f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={_KEY}"]
        for name, port in zip(("Blob", "Queue", "Table"), self._ports, strict=True):
            parts.append(f"{name}Endpoint=http://127.0.0.1:{port}/devstoreaccount1")
        return ";".join(parts)

    def clear(self) -> None:
        with BlobServiceClient.from_connection_string(self.connection_string) as blobs:
            for container in blobs.list_containers():
                blobs.delete_container(container.name)
        with QueueServiceClient.from_connection_string(self.connection_string) as queues:
            for queue in queues.list_queues():
                queues.delete_queue(queue.name)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class HostProcess:
    """One embedded host: start it, kill it, start it again with the same state."""

    folder: Path  # state, notes and log of this host
    storage: str  # connection string
    app: Path = APP
    settings: Mapping[str, str] = field(default_factory=dict)
    arguments: Sequence[str] = ()
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self, ready: bool = True) -> HostProcess:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "notes").mkdir(exist_ok=True)
        environment = {
            **os.environ,
            "AzureWebJobsStorage": self.storage,
            "TEST_NOTES": str(self.folder / "notes"),
            "PYTHONUNBUFFERED": "1",
            **self.settings,
        }
        command = [sys.executable, "-m", "readfirst.local.host", "--app-dir", str(self.app)]
        command += ["--state", str(self.folder / "state"), "--port", str(self.port), *self.arguments]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
        if ready:
            eventually(self._is_ready)
        return self

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        return _listens(self.port)

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=PATIENCE)

    def __enter__(self) -> HostProcess:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def notes(self, kind: str) -> list[str]:
        path = self.folder / "notes" / kind
        return path.read_text().splitlines() if path.exists() else []

    def mend(self, name: str) -> None:
        (self.folder / "notes" / f"{name}-mended").touch()

    def forget_to_run(self, function: str) -> None:
        """As if the host had been away when the timer function was due."""
        with sqlite3.connect(self.folder / "state/host.db") as db:
            changed = db.execute(
                "UPDATE schedules SET next = '2026-01-01T03:00:00+00:00' WHERE function = ?", (function,)
            ).rowcount
        assert changed == 1

    def remembers_its_run(self, function: str) -> bool:
        """Whether the run that `forget_to_run` made due is kept as done."""
        with sqlite3.connect(self.folder / "state/host.db") as db:
            (following,) = db.execute("SELECT next FROM schedules WHERE function = ?", (function,)).fetchone()
        return following > "2026-01-01T03:00:00+00:00"

    def with_host_json(self, content: Mapping[str, Any]) -> Path:
        """A copy of the app with another host.json."""
        copy = self.folder / "app"
        shutil.copytree(self.app, copy)
        (copy / "host.json").write_text(json.dumps({"version": "2.0", **content}))
        return copy

    # --- HTTP

    def ask(
        self, method: str, path: str, body: str | bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        data = body.encode() if isinstance(body, str) else body
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data, dict(headers or {}), method=method
        )
        try:
            with _opener.open(request, timeout=PATIENCE) as response:
                return Answer(response.status, dict(response.headers), response.read())
        except urllib.error.HTTPError as refused:
            return Answer(refused.code, dict(refused.headers), refused.read())

    def ask_without_type(self, method: str, path: str) -> Answer:
        """An empty body without the content type that urllib adds."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.putrequest(method, path, skip_accept_encoding=True)
        connection.putheader("Content-Length", "0")
        connection.endheaders()
        with connection.getresponse() as response:
            return Answer(response.status, dict(response.headers), response.read())

    def wait_until_running(self, instance: str) -> None:
        eventually(lambda: (self.status(instance) or {}).get("runtimeStatus") not in (None, "Pending"))

    def begin(self, orchestrator: str, instance: str, given: Any = None) -> None:
        """Starts an orchestration through the app's own HTTP function, thus through the SDK's client."""
        body = None if given is None else json.dumps(given)
        answer = self.ask("POST", f"/api/start/{orchestrator}/{instance}", body or b"")
        assert answer.status == 202, answer

    def status(self, instance: str, query: str = "") -> Any:
        answer = self.ask("GET", f"{DURABLE}/instances/{instance}{query}")
        return answer.json if answer.status != 404 else None

    def end_of(self, instance: str) -> Any:
        """The instance's status, once it has finished."""

        def finished() -> Any:
            status = self.status(instance)
            return status if status and status["runtimeStatus"] in ("Completed", "Failed", "Terminated") else None

        return eventually(finished)

    def events(self, instance: str) -> list[dict[str, Any]]:
        history: list[dict[str, Any]] = self.status(instance, "?showHistory=true&showHistoryOutput=true")[
            "historyEvents"
        ]
        return history


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
