"""The gateway's own page, for the machine that it runs on: how much waits, since when, and what stands in the way.

It listens on the loopback only, and holds counts, times and words of ours: no name, UID, address or title of a peer.
"""

from __future__ import annotations

import html
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_LOOPBACK = "127.0.0.1"
_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="10">
<title>Readfirst gateway</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; width: 100%; }} th, td {{ text-align: left; padding: .3rem .6rem; border-top: 1px solid #8886; vertical-align: top; }}
th {{ width: 16rem; font-weight: 600; }} .trouble {{ color: #b00020; font-weight: 600; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #16181c; color: #eee; }} .trouble {{ color: #ff8a80; }} }}
</style></head><body><h1>Readfirst gateway</h1><table>{rows}</table></body></html>
"""  # noqa: E501


class StatusPage:
    """Serves what `look` gives: a table of counts and short texts. Under "trouble" is what needs somebody."""

    def __init__(self, port: int, look: Callable[[], dict[str, Any]]) -> None:
        self._server = ThreadingHTTPServer((_LOOPBACK, port), _handler(look))
        self.port = int(self._server.server_address[1])

    def start(self) -> None:
        """Serves, in threads of its own."""
        threading.Thread(target=self._server.serve_forever, name="gateway-status", daemon=True).start()

    def stop(self) -> None:
        """Ends."""
        self._server.shutdown()
        self._server.server_close()


def _handler(look: Callable[[], dict[str, Any]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # A page of another site that resolves its own name to this address reads nothing.
            if self.headers.get("Host", "").rsplit(":", 1)[0] not in (_LOOPBACK, "localhost"):
                self.send_error(403)
            elif self.path == "/status.json":
                self._answer("application/json", json.dumps(look(), indent=1))
            elif self.path == "/":
                self._answer("text/html; charset=utf-8", page(look()))
            else:
                self.send_error(404)

        def _answer(self, kind: str, text: str) -> None:
            data = text.encode()
            self.send_response(200)
            for name, value in (
                ("Content-Type", kind),
                ("Content-Length", str(len(data))),
                ("Cache-Control", "no-store"),
                ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
            ):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody's visits are logged."""

    return Handler


def page(seen: dict[str, Any]) -> str:
    """The page in HTML."""
    rows = []
    for name, value in seen.items():
        kind = ' class="trouble"' if name == "trouble" and value else ""
        rows.append(f"<tr><th>{html.escape(name)}</th><td{kind}>{_cell(value)}</td></tr>")
    return _PAGE.format(rows="".join(rows))


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        value = [f"{name}: {one}" for name, one in value.items()]
    if isinstance(value, list):
        return "<br>".join(html.escape(str(one)) for one in value) or "none"
    return html.escape(str(value))


def ago(moment: float | None) -> str:
    """How long ago a time (seconds since 1970) was."""
    return "never" if moment is None else f"{span(time.time() - moment)} ago"


def span(seconds: float) -> str:
    """A length of time for people."""
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{max(0.0, seconds):.0f} s"
