"""Azure Resource Manager's jobs on the loopback, as documented where ours does not go: throttled, late, unanswered."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.mgmt.appcontainers import ContainerAppsAPIClient


class ArmService:
    """The service. `answers`: how the next starts go: "throttled", "unanswered", "broken", "gateway", or "started"
    (when none is left); all but the first are carried out."""

    def __init__(self) -> None:
        self.started: list[dict[str, Any]] = []
        self.listed = 0  # how many of them the listing shows
        self.lags = False
        self.answers: deque[str] = deque()
        self.at_listing: Callable[[], None] = lambda: None
        self.lock = threading.Lock()
        service = self

        class Handler(_Handler):
            owner = service

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def client(self) -> ContainerAppsAPIClient:
        """The SDK's client, without a sign-in: that needs TLS."""
        at = f"http://127.0.0.1:{self._server.server_port}"
        nobody: Any = object()
        return ContainerAppsAPIClient(nobody, "s", base_url=at, authentication_policy=SansIOHTTPPolicy())

    def close(self) -> None:
        """Stops serving."""
        self._server.shutdown()
        self._server.server_close()

    def end(self) -> None:
        """The executions are over, and listed."""
        with self.lock:
            for one in self.started:
                one["properties"]["status"] = "Succeeded"
            self.listed = len(self.started)

    def start(self) -> dict[str, Any]:
        """An execution begins."""
        name = f"j-{len(self.started)}"
        began = datetime.now(UTC).isoformat()
        self.started.append({"id": name, "name": name, "properties": {"status": "Running", "startTime": began}})
        if not self.lags:
            self.listed = len(self.started)
        return {"id": name, "name": name}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: ArmService

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        self.owner.at_listing()
        with self.owner.lock:
            self._answer(200, {"value": self.owner.started[: self.owner.listed]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.owner.lock:
            how = self.owner.answers.popleft() if self.owner.answers else "started"
            if how == "throttled":
                words = {"error": {"code": "TooManyRequests", "message": "later"}}
                return self._answer(429, words, {"Retry-After": "3000"})
            answer = self.owner.start()
        if how == "unanswered":
            self.close_connection = True
            return None
        if how == "gateway":
            return self._answer(504, {"error": {"code": "GatewayTimeout", "message": "no answer in time"}})
        if how == "broken":
            return self._send(202, b'{"id": "j-', {})
        return self._answer(200, answer)

    def _answer(self, status: int, what: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(what).encode(), headers or {})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
