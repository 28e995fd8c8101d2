"""A server between the app and one of its services, which can be told to be away."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

_OF_THE_CONNECTION = {
    "host",
    "content-length",
    "accept-encoding",
    "connection",
    "transfer-encoding",
    "content-encoding",
}


@dataclass
class Weather:
    """Passes requests on to the service, or answers 503 while it is `away`."""

    service: str  # its address
    away: threading.Event = field(default_factory=threading.Event)
    address: str = ""
    refused: int = 0

    @contextmanager
    def outage(self) -> Iterator[None]:
        """The service is away."""
        self.away.set()
        try:
            yield
        finally:
            self.away.clear()


@contextmanager
def weather(service: str) -> Iterator[Weather]:
    """Stands before the service at that address; the app's settings have to name `address` instead."""
    made = Weather(service.rstrip("/"))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in _OF_THE_CONNECTION:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _pass_on(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if made.away.is_set():
                made.refused += 1
                self._answer(503, {}, b'{"code": "ServiceUnavailable", "message": "Try again later."}')
                return
            headers = {n: v for n, v in self.headers.items() if n.lower() not in _OF_THE_CONNECTION}
            answer = requests.request(
                self.command, made.service + self.path, headers=headers, data=sent, verify=False, timeout=60
            )
            # The database's account document names its own address: clients would go there past the weather.
            body = answer.content.replace(made.service.encode(), made.address.encode())
            self._answer(answer.status_code, answer.headers, body)

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _pass_on

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.address = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield made
        finally:
            server.shutdown()
