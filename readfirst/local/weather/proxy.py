"""A server between clients and one of the local servers: passes requests on, unless the weather has it otherwise."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from readfirst.local.ports import HOST
from readfirst.local.weather.catalogue import Service
from readfirst.local.weather.exchange import Answer, Request, State, refusal
from readfirst.local.weather.sky import Sky

_REFUSALS = ("throttled", "unavailable", "error", "conflict", "precondition")
# Of one connection, not of the message; bodies are passed on as one piece.
_OF_THE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length", "te", "upgrade", "expect"}
_LARGEST = 5 << 30


@dataclass(frozen=True)
class Front:
    """One port before one server: where it listens, where the server is, and which service a path belongs to."""

    port: int  # 0: any that is free
    server: str  # scheme://host:port
    service: Callable[[str], Service | None]  # None: passed on, whatever the weather
    tls: ssl.SSLContext | None = None

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"{'https' if self.tls else 'http'}://{HOST}:{self.port}"


class Proxy:
    """Serves one front."""

    def __init__(self, front: Front, sky: Sky, states: Sequence[State], session: aiohttp.ClientSession) -> None:
        self.front, self._sky, self._states, self._session = front, sky, states, session

    async def start(self) -> web.AppRunner:
        """Listens from now on."""
        application = web.Application(client_max_size=_LARGEST)
        application.router.add_route("*", "/{tail:.*}", self._handle)
        runner = web.AppRunner(application, access_log=None, handler_cancellation=True, auto_decompress=False)
        await runner.setup()
        await web.TCPSite(runner, HOST, self.front.port, ssl_context=self.front.tls).start()
        self.front = replace(self.front, port=runner.addresses[0][1])
        return runner

    async def _handle(self, asked: web.Request) -> web.StreamResponse:
        service = self.front.service(asked.path)
        if service is None:
            made = Request("tokens", asked.method, asked.raw_path, _headers(asked), await asked.read())
            return await self._send(asked, await self._pass_on(made))
        self._sky.passed[service] += 1
        request = Request(service, asked.method, asked.raw_path, _headers(asked), await asked.read())
        try:
            return await self._weathered(asked, request)
        except aiohttp.ClientError:  # the server is gone: what its own client would see
            return _closed(asked)

    async def _weathered(self, asked: web.Request, request: Request) -> web.StreamResponse:
        if (refused := self._refused(request)) is not None:
            return await self._send(asked, refused)
        for state in self._states:
            if (instead := await state.before(request)) is not None:
                return await self._send(asked, instead)
        if spell := self._sky.strikes(request.service, "timeout", request.line):
            await asyncio.sleep(spell.wait)
            return _closed(asked)
        answer = await self._pass_on(request)
        for state in self._states:
            await state.after(request, answer)
        if spell := self._sky.strikes(request.service, "slow", request.line):
            await asyncio.sleep(spell.wait)
        if self._sky.strikes(request.service, "unanswered", request.line):
            return _closed(asked)
        half = self._sky.strikes(request.service, "half_closed", request.line) is not None
        return await self._send(asked, answer, half=half)

    def _refused(self, request: Request) -> Answer | None:
        for behaviour in _REFUSALS:
            if not _applies(behaviour, request):
                continue
            if spell := self._sky.strikes(request.service, behaviour, request.line):
                return refusal(spell.row, spell.wait, head=request.method == "HEAD")
        return None

    async def _pass_on(self, request: Request) -> Answer:
        async with self._session.request(
            request.method,
            URL(self.front.server + request.target, encoded=True),
            headers=request.headers,
            data=request.body or None,
            allow_redirects=False,
            ssl=False,  # the local server's own certificate, on this machine
        ) as said:
            headers = CIMultiDict(
                (name, value) for name, value in said.headers.items() if name.lower() not in _OF_THE_CONNECTION
            )
            length = said.content_length if request.method == "HEAD" else None
            body = await said.read()
            if request.service == "cosmos":  # the account's document names the server itself, past the weather
                body = body.replace(self.front.server.encode(), self.front.address.encode())
            return Answer(said.status, headers, body, length)

    @staticmethod
    async def _send(asked: web.Request, answer: Answer, *, half: bool = False) -> web.StreamResponse:
        if asked.method == "HEAD":
            if half:  # nothing follows the headers that could be cut off: they are
                return _closed(asked)
            told = web.StreamResponse(status=answer.status, headers=answer.headers)
            told.content_length = answer.length or 0
            await told.prepare(asked)
            await told.write_eof()
            return told
        if not half:
            return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
        broken = web.StreamResponse(status=answer.status, headers=answer.headers)
        broken.content_length = max(len(answer.body), 1)
        await broken.prepare(asked)
        await broken.write(answer.body[: len(answer.body) // 2])
        return _closed(asked)


def _applies(behaviour: str, request: Request) -> bool:
    """Whether the service could answer that to such a request."""
    if behaviour == "precondition":
        return request.writes and "If-Match" in request.headers
    if behaviour == "conflict":
        creates = request.service != "cosmos" or (
            request.method == "POST" and request.headers.get("x-ms-documentdb-is-upsert", "").lower() != "true"
        )
        return request.writes and creates
    return True


def _headers(asked: web.Request) -> CIMultiDict[str]:
    return CIMultiDict((n, v) for n, v in asked.headers.items() if n.lower() not in _OF_THE_CONNECTION)


def _closed(asked: web.Request) -> web.Response:
    """Ends the connection; what is returned reaches nobody."""
    if asked.transport:
        asked.transport.abort()
    return web.Response()
