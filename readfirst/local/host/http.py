"""The HTTP side: triggers by route, the durable API, a few admin routes. On 127.0.0.1 only, and without keys."""

from __future__ import annotations

import asyncio
import json
import logging
import platform
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import azure.functions as func
from aiohttp import web
from azure.functions.meta import Datum
from multidict import CIMultiDict

from readfirst.local.host.bindings import decode_trigger, text, top_level_scalars
from readfirst.local.host.durable.api import RPC, WEBHOOK, DurableApi
from readfirst.local.host.invoke import Invoker
from readfirst.local.host.loading import Function
from readfirst.local.host.routes import Route, parse_route
from readfirst.local.host.settings import CannotRun

VERSION = "4.embedded"
_DURABLE = [prefix.strip("/").split("/") for prefix in (WEBHOOK, RPC)]
_NOT_FOR_BROWSERS = [["admin"], *_DURABLE]
_MAX_BODY = 100 * 1024 * 1024  # the real host's limit
_log = logging.getLogger("readfirst.host.http")

InvokeNow = Callable[[str | None], Awaitable[None]]


@dataclass(frozen=True)
class HttpFunction:
    function: Function
    route: Route
    template: str
    methods: frozenset[str]  # empty: all

    def accepts(self, method: str) -> bool:
        return not self.methods or method in self.methods


def http_functions(functions: Sequence[Function], prefix: str) -> list[HttpFunction]:
    """In the order in which they are tried. Raises CannotRun for routes that Azure refuses or this host cannot read."""
    found = []
    for function in functions:
        if function.trigger.type != "httpTrigger":
            continue
        own = str(function.trigger.raw.get("route") or function.name).strip("/")
        if own.lower().split("/")[0] == "admin" or (not prefix and own.lower().split("/")[0] == "runtime"):
            raise CannotRun(f"function {function.name}: a route must not begin with admin or runtime")
        template = "/".join(part for part in (prefix, own) if part)
        methods = frozenset(str(method).upper() for method in function.trigger.raw.get("methods") or ())
        found.append(HttpFunction(function, parse_route(template), template, methods))
    return sorted(found, key=lambda item: item.route.rank)


class HttpServer:
    def __init__(
        self,
        functions: Sequence[HttpFunction],
        names: Sequence[str],
        invoker: Invoker,
        durable: DurableApi,
        by_hand: Mapping[str, InvokeNow],
        origins: Sequence[str],
    ) -> None:
        """`by_hand`: what POST /admin/functions/NAME runs, by lower-case name. `origins`: whom CORS lets in."""
        self._functions = functions
        self._names = names
        self._invoker = invoker
        self._durable = durable
        self._by_hand = by_hand
        self._origins = origins
        self._started = time.monotonic()
        self._background: set[asyncio.Task[None]] = set()
        self._runner: web.AppRunner | None = None

    async def start(self, port: int) -> None:
        """Raises CannotRun when the port is taken."""
        app = web.Application(client_max_size=_MAX_BODY)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, "127.0.0.1", port).start()
        except OSError as problem:
            raise CannotRun(f"port {port} is taken: {problem.strerror or problem}") from problem

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        origin = request.headers.get("Origin", "")
        allowed = origin if origin in self._origins or "*" in self._origins else None
        if allowed and request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            return _preflight(request, allowed)
        segments = _segments(request.rel_url.raw_path)
        if origin and not allowed and any(_begins(segments, prefix) for prefix in _NOT_FOR_BROWSERS):
            return web.Response(status=403)  # a page that somebody has open shall not start orchestrations
        response = await self._dispatch(request, segments)
        if allowed:
            response.headers["Access-Control-Allow-Origin"] = allowed
            response.headers["Vary"] = "Origin"
        return response

    async def _dispatch(self, request: web.Request, segments: list[str]) -> web.StreamResponse:
        """By the same segments that the refusal of foreign pages has looked at: two readings of a path are a gap."""
        for prefix in _DURABLE:
            if _begins(segments, prefix):
                raw = _parts(request.rel_url.raw_path)[len(prefix) :]
                return await self._durable.handle(request, [unquote(part) for part in raw])
        if not segments:
            return web.Response(text="Readfirst's embedded host is up and running.\n")
        if segments[0].lower() == "admin":
            return await self._admin(request, [segment.lower() for segment in segments[1:]])
        for item in self._functions:
            parameters = item.route.match(segments)
            if parameters is not None and item.accepts(request.method):
                return await self._call(item.function, request, parameters)
        return web.Response(status=404)

    # --- HTTP triggers

    async def _call(self, function: Function, request: web.Request, parameters: Mapping[str, str]) -> web.Response:
        body = await request.read()
        query = {key: ",".join(request.query.getall(key)) for key in request.query}
        metadata = {
            **top_level_scalars(body.decode("utf-8", "replace")),
            **{key: text(value) for key, value in query.items()},
            **{key: text(value) for key, value in parameters.items()},
        }
        value = decode_trigger(function, _request_datum(request, body, query, parameters), metadata)
        try:
            result = await self._invoker.run(function, value, metadata)
            return _response(result)
        except Exception:
            _log.debug("Function %s gave no HTTP response", function.name, exc_info=True)
            return web.Response(status=500)

    # --- admin

    async def _admin(self, request: web.Request, path: list[str]) -> web.Response:
        match (request.method, *path):
            case ("GET", "host", "status"):
                return web.json_response(self._status())
            case ("GET" | "POST", "host", "ping"):
                return web.Response()
            case ("GET", "functions"):
                return web.json_response([{"name": name} for name in self._names])
            case ("POST", "functions", name) if name in self._by_hand:
                try:
                    given = json.loads(await request.text() or "{}").get("input")
                except (ValueError, AttributeError, RecursionError):
                    return web.Response(status=400)
                self._run_by_hand(self._by_hand[name], given if given is None else str(given))
                return web.Response(status=202)
        return web.Response(status=404)

    def _run_by_hand(self, invoke: InvokeNow, given: str | None) -> None:
        async def run() -> None:
            try:
                await invoke(given)
            except Exception:
                _log.debug("A function that was run by hand failed", exc_info=True)

        task = asyncio.create_task(run())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _status(self) -> dict[str, Any]:
        return {
            "id": "readfirst-embedded-host",
            "state": "Running",
            "version": VERSION,
            "versionDetails": "Readfirst embedded host (not the Azure Functions host)",
            "embeddedHost": True,
            "platformVersion": f"Python {platform.python_version()}",
            "processUptime": int((time.monotonic() - self._started) * 1000),
            "functions": list(self._names),
            "runningInvocations": self._invoker.running,
        }


def _segments(raw_path: str) -> list[str]:
    """The parts of a path, decoded once; empty ones count for nothing."""
    return [_decoded(part) for part in _parts(raw_path)]


def _parts(raw_path: str) -> list[str]:
    return [part for part in raw_path.split("/") if part]


def _begins(segments: Sequence[str], prefix: Sequence[str]) -> bool:
    return [segment.lower() for segment in segments[: len(prefix)]] == list(prefix)


def _decoded(part: str) -> str:
    """Percent-decoding that leaves an encoded slash as it is."""
    return "%2F".join(unquote(piece) for piece in part.replace("%2f", "%2F").split("%2F"))


def _request_datum(request: web.Request, body: bytes, query: Mapping[str, str], parameters: Mapping[str, str]) -> Datum:
    headers = {name.lower(): ", ".join(request.headers.getall(name)) for name in request.headers}
    return Datum(
        {
            "method": text(request.method),
            "url": text(f"http://{_authority(request)}{request.raw_path}"),
            "headers": {name: text(value) for name, value in headers.items()},
            "query": {key: text(value) for key, value in query.items() if value},
            "params": {key: text(value) for key, value in parameters.items()},
            "body": Datum(body, "bytes"),
        },
        "http",
    )


def _authority(request: web.Request) -> str:
    """Name and port that the caller used. Some clients leave the port out of the Host header; it is then ours."""
    if re.search(r":\d+$", request.host) or request.transport is None:
        return request.host
    port = request.transport.get_extra_info("sockname")[1]
    return request.host if port == 80 else f"{request.host}:{port}"


def _response(result: Any) -> web.Response:
    """Raises when the function returned something that is no response (None, say)."""
    datum = func.get_binding_registry().get("http").encode(result, expected_type=None)
    if datum.type == "string":
        return web.Response(text=datum.value)
    headers: CIMultiDict[str] = CIMultiDict((name, item.value) for name, item in datum.value["headers"].items())
    for cookie in datum.value["cookies"] or ():
        for morsel in cookie.values():
            headers.add("Set-Cookie", morsel.OutputString())
    return web.Response(status=int(datum.value["status_code"].value), headers=headers, body=datum.value["body"].value)


def _preflight(request: web.Request, origin: str) -> web.Response:
    headers = {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": request.headers["Access-Control-Request-Method"],
        "Access-Control-Allow-Headers": request.headers.get("Access-Control-Request-Headers", ""),
        "Access-Control-Max-Age": "600",
        "Vary": "Origin",
    }
    return web.Response(status=204, headers=headers)
