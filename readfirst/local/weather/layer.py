"""The weather of one stack: a proxy before each server, all in one thread of the stack's process."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from readfirst.local.certificates import Certificates
from readfirst.local.ports import HOST, Ports, Shelter
from readfirst.local.weather.catalogue import Service
from readfirst.local.weather.copies import Appends, Blob, Copies
from readfirst.local.weather.events import Events
from readfirst.local.weather.exchange import State
from readfirst.local.weather.executions import Executions
from readfirst.local.weather.forecast import Forecast
from readfirst.local.weather.limits import Limits
from readfirst.local.weather.messages import Messages
from readfirst.local.weather.proxy import Front, Proxy
from readfirst.local.weather.sky import Sky
from readfirst.local.weather.tokens import Tokens


class Weather:
    """The proxies of some fronts, and the sky over them. Calm until a forecast is given."""

    def __init__(self, fronts: Sequence[Front], accounts: Callable[[str], str] = lambda _: "") -> None:
        """`accounts` gives the connection string of a storage account's own server, past the weather."""
        self.sky = Sky()
        self._fronts = tuple(fronts)
        self._accounts = accounts
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="readfirst-weather", daemon=True)
        self._session: aiohttp.ClientSession | None = None
        self._proxies: list[Proxy] = []
        self._runners: list[web.AppRunner] = []

    def start(self) -> Self:
        """Listens; raises OSError where a port is taken."""
        self._thread.start()
        try:
            asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stops listening. Safe to call twice."""
        if not self._loop.is_running():
            return
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def addresses(self) -> list[str]:
        """Where clients find the services, in the order of the fronts."""
        return [proxy.front.address for proxy in self._proxies]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def begin(self, forecast: Forecast) -> None:
        """This forecast comes now."""
        self.sky.change(forecast)

    async def _serve(self) -> None:
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
            connector=aiohttp.TCPConnector(limit=0),
            trust_env=False,
        )
        states: list[State] = [
            Limits(self.sky),
            Tokens(self.sky),
            Copies(self.sky, self._empty),
            Appends(self.sky),
            Messages(self.sky, self._hide),
            Executions(self.sky),
            Events(self.sky),
        ]
        for front in self._fronts:
            proxy = Proxy(front, self.sky, _states_of(front, states), self._session)
            self._proxies.append(proxy)
            self._runners.append(await proxy.start())

    async def _close(self) -> None:
        for runner in self._runners:
            runner._shutdown_timeout = 0.5  # what hangs in bad weather is not waited for
            await runner.cleanup()
        if self._session:
            await self._session.close()

    def _empty(self, blob: Blob, marks: dict[str, str]) -> None:
        from azure.storage.blob import BlobClient

        account, container, name = blob
        client = BlobClient.from_connection_string(self._accounts(account), container, name)
        with client:
            client.upload_blob(b"", overwrite=True, metadata=marks or None)

    def _hide(self, account: str, queue: str, message: str, receipt: str, seconds: int) -> None:
        from azure.storage.queue import QueueClient

        with QueueClient.from_connection_string(self._accounts(account), queue) as client:
            client.update_message(message, receipt, visibility_timeout=seconds)


def _states_of(front: Front, states: Sequence[State]) -> list[State]:
    """Those of the services that a front can reach."""
    wanted = {
        "blob": (Limits, Copies, Appends, Events),
        "queue": (Limits, Messages),
        "table": (Limits,),
        "cosmos": (Limits,),
    }.get(str(front.service("/")), (Limits, Tokens, Executions))
    return [state for state in states if isinstance(state, wanted)]


def _always(service: Service) -> Callable[[str], Service | None]:
    return lambda path: service


def _of_azure(path: str) -> Service | None:
    first = path.strip("/").partition("/")[0]
    known: Mapping[str, Service] = {
        "keys": "vault", "secrets": "vault", "subscriptions": "arm", "emails": "email", "emails:send": "email",
    }  # fmt: skip
    return known.get(first)


def _of_desk(path: str) -> Service | None:
    return "tokens" if path.startswith("/msi/") else None


def fronts(ports: Ports, shelter: Shelter, tls: Certificates) -> list[Front]:
    """A front on each of the stack's ports, before the server that listens in its shelter."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tls.server, tls.server_key)
    services: Mapping[str, Callable[[str], Service | None]] = {
        "blob": _always("blob"), "queue": _always("queue"), "table": _always("table"), "cosmos": _always("cosmos"),
        "azure": _of_azure, "desk": _of_desk,
    }  # fmt: skip
    secure = {"cosmos", "azure"}
    return [
        Front(
            getattr(ports, name),
            f"{'https' if name in secure else 'http'}://{HOST}:{port}",
            services[name],
            context if name in secure else None,
        )
        for name, port in asdict(shelter).items()
    ]


def before(service: Service, address: str) -> Weather:
    """The weather of one service somewhere, over plain HTTP on any free port: for tests that need one service only."""
    parts = urlsplit(address)
    return Weather([Front(0, f"{parts.scheme}://{parts.netloc}", _always(service))])
