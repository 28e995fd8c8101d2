"""`python -m readfirst.local.host`: starts the embedded host, says what it runs, stops cleanly on SIGTERM or Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from readfirst.adapters import quiet
from readfirst.local.host.durable.api import DurableApi
from readfirst.local.host.durable.engine import Engine
from readfirst.local.host.durable.store import Store
from readfirst.local.host.http import HttpFunction, HttpServer, InvokeNow, http_functions
from readfirst.local.host.invoke import Invoker
from readfirst.local.host.loading import Function, load_functions
from readfirst.local.host.settings import CannotRun, HostOptions, load_app_settings, read_options
from readfirst.local.host.storage import Storage
from readfirst.local.host.triggers.blobs import BlobTrigger
from readfirst.local.host.triggers.endings import GRACE
from readfirst.local.host.triggers.pace import Pace
from readfirst.local.host.triggers.queues import QueueTrigger
from readfirst.local.host.triggers.timers import TimerTrigger

_LEVELS = {"trace": 5, "debug": 10, "information": 20, "warning": 30, "error": 40, "critical": 50, "none": 60}
_log = logging.getLogger("readfirst.host")

Trigger = BlobTrigger | QueueTrigger | TimerTrigger


class Host:
    """One app on one port with one state folder."""

    def __init__(self, app_dir: Path, state: Path, port: int, origins: Sequence[str] = ()) -> None:
        """Raises CannotRun before anything has started."""
        load_app_settings(app_dir)
        self.options = read_options(app_dir)
        self.functions = load_functions(app_dir)
        self.http = http_functions(self.functions, self.options.route_prefix)
        self._port = port
        self._storage = Storage()
        self._store = Store(state)
        self._invoker = Invoker(self.options, self._storage)
        self._engine = Engine(self._store, self._invoker, self.functions, self.options.durable)
        durable = DurableApi(self._engine, self._store, self.options.durable, port)
        self._invoker.durable_client = durable.client_binding()
        self._triggers = self._make_triggers()
        by_hand: dict[str, InvokeNow] = {t.function.name.lower(): t.invoke_now for t in self._triggers}
        names = [function.name for function in self.functions]
        self._server = HttpServer(self.http, names, self._invoker, durable, by_hand, origins)
        self._listeners: list[asyncio.Task[None]] = []

    def _make_triggers(self) -> list[Trigger]:
        places = asyncio.Semaphore(self.options.blobs.parallel)
        pace = Pace(self._invoker, sum(f.trigger.type in ("blobTrigger", "queueTrigger") for f in self.functions))
        triggers: list[Trigger] = []
        for function in self.functions:
            if function.trigger.type == "blobTrigger":
                triggers.append(
                    BlobTrigger(function, self._store, self._storage, self._invoker, self.options.blobs, places, pace)
                )
            elif function.trigger.type == "queueTrigger":
                triggers.append(
                    QueueTrigger(function, self._store, self._storage, self._invoker, self.options.queues, pace)
                )
            elif function.trigger.type == "timerTrigger":
                triggers.append(TimerTrigger(function, self._store, self._invoker))
        return triggers

    async def start(self) -> None:
        await self._server.start(self._port)
        self._invoker.start()
        self._engine.start()
        self._listeners = [asyncio.create_task(self._listen(trigger)) for trigger in self._triggers]

    async def _listen(self, trigger: Trigger) -> None:
        """A listener that fails by a mistake of ours shall not fall silent: it says so, and goes on."""
        while True:
            try:
                await trigger.run()
            except Exception:
                _log.exception("The listener of function %s failed: it starts again", trigger.function.name)
                await asyncio.sleep(2)

    async def stop(self) -> None:
        for listener in self._listeners:
            listener.cancel()
        await asyncio.gather(self._engine.stop(GRACE), *self._listeners, return_exceptions=True)
        await self._server.stop()
        self._invoker.stop()
        await self._storage.close()
        self._store.close()


def main(arguments: Sequence[str] | None = None) -> None:
    options = _parse(arguments)
    _set_up_logging(None)
    sys.exit(_run(options))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m readfirst.local.host", description="Readfirst's embedded host for Azure Functions apps."
    )
    parser.add_argument("--port", type=int, default=7071)
    parser.add_argument("--state", type=Path, default=Path(".readfirst/host"), help="folder of the host's memory")
    parser.add_argument("--app-dir", type=Path, default=Path(), help="folder that holds host.json")
    parser.add_argument("--cors", default="", help="origins, separated by commas, that browsers may call from")
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace) -> int:
    code = asyncio.run(_serve(options))
    sys.stdout.flush()
    if code == 0:
        # A function that still runs in a thread would hold up the interpreter's exit; its work is done again anyway.
        os._exit(0)
    return code


async def _serve(options: argparse.Namespace) -> int:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    began = time.perf_counter()
    try:
        origins = [origin.strip() for origin in options.cors.split(",") if origin.strip()]
        host = Host(options.app_dir.resolve(), options.state, options.port, origins)
        _set_up_logging(host.options)
        await host.start()
    except CannotRun as problem:
        print(f"The embedded host cannot run this app:\n{problem}", file=sys.stderr, flush=True)
        return 2
    _say_what_runs(host.functions, host.http, host.options, options, time.perf_counter() - began)
    await stopping.wait()
    print("Stopping the embedded host…", flush=True)
    await host.stop()
    return 0


def _say_what_runs(
    functions: Sequence[Function],
    http: Sequence[HttpFunction],
    options: HostOptions,
    arguments: argparse.Namespace,
    seconds: float,
) -> None:
    print(f"\nReadfirst embedded host (a local stand-in for the Azure Functions host), pid {os.getpid()}")
    if options.ignored:
        print(f"Warning: host.json keys that the embedded host ignores: {', '.join(options.ignored)}")
    print("\nFunctions:\n")
    for item in sorted(http, key=lambda item: item.function.name):
        methods = ",".join(sorted(item.methods)) or "all methods"
        print(f"        {item.function.name}: [{methods}] http://localhost:{arguments.port}/{item.template}")
    for function in sorted(functions, key=lambda function: function.name):
        if function.trigger.type != "httpTrigger":
            print(f"        {function.name}: {function.trigger.type}")
    print(f"\nEmbedded host ready on http://127.0.0.1:{arguments.port} after {seconds:.1f} s", flush=True)


def _set_up_logging(options: HostOptions | None) -> None:
    host = _LEVELS.get(options.log_level.lower(), logging.INFO) if options else logging.INFO
    functions = _LEVELS.get(options.function_log_level.lower(), logging.INFO) if options else logging.INFO
    logging.basicConfig(
        level=functions, format="[%(asctime)s] %(levelname)s %(message)s", stream=sys.stdout, force=options is not None
    )
    logging.getLogger("readfirst.host").setLevel(host)
    logging.getLogger("readfirst.host.invocations").setLevel(functions)
    quiet.hush()
