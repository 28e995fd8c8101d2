"""Serves the portal's functions over HTTP, without the rest of the stack: routes as the Functions host reads them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qsl, urlsplit

import azure.functions as func


def _routes(blueprints: list[func.Blueprint]) -> list[tuple[str, re.Pattern[str], Callable]]:
    app = func.FunctionApp()
    for blueprint in blueprints:
        app.register_functions(blueprint)
    found = []
    for function in app.get_functions():
        trigger = function.get_trigger()
        if trigger.type != "httpTrigger":
            continue
        pattern = re.sub(r"\\?{(\w+)\\?}", r"(?P<\1>[^/]+)", trigger.route)
        for method in trigger.methods:
            found.append(
                (getattr(method, "value", method), re.compile(f"/api/{pattern}"), function.get_user_function())
            )
    return found


@contextmanager
def served(*blueprints: func.Blueprint) -> Iterator[str]:
    """The address of a server that answers for the blueprints' HTTP functions."""
    routes = _routes(list(blueprints))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _run(self) -> None:
            address = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            for method, pattern, function in routes:
                match = pattern.fullmatch(address.path)
                if match and method == self.command:
                    request = func.HttpRequest(
                        method=method,
                        url=self.path,
                        headers=dict(self.headers),
                        params=dict(parse_qsl(address.query, keep_blank_values=True)),
                        route_params=match.groupdict(),
                        body=body,
                    )
                    return self._answer(function(request))
            return self._answer(func.HttpResponse("no such route", status_code=404))

        def _answer(self, response: func.HttpResponse) -> None:
            data = response.get_body()
            self.send_response(response.status_code)
            for name, value in response.headers.items():
                self.send_header(name, value)
            if response.mimetype and not response.headers.get("Content-Type"):
                self.send_header("Content-Type", f"{response.mimetype}")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _run

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
