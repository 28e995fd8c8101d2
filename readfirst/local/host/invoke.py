"""Runs functions: synchronous ones in a thread pool, asynchronous ones in an event loop of their own, with a timeout.

Logs one line per invocation, and never content: exceptions are named by type, and by message only at debug level.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import azure.functions as func

from readfirst.local.host.bindings import Metadata, Out, read_blob_input, write_output
from readfirst.local.host.loading import Function
from readfirst.local.host.settings import HostOptions
from readfirst.local.host.storage import Storage

_log = logging.getLogger("readfirst.host.invocations")


class FunctionTimeout(Exception):
    """The function ran longer than host.json's functionTimeout."""


class _Context(func.Context):  # type: ignore[misc]  # azure-functions ships no types
    def __init__(self, function: Function, invocation_id: str) -> None:
        self._function = function
        self._invocation_id = invocation_id
        self._local = threading.local()
        self._local.invocation_id = invocation_id

    @property
    def invocation_id(self) -> str:
        return self._invocation_id

    @property
    def thread_local_storage(self) -> Any:
        return self._local

    @property
    def function_name(self) -> str:
        return self._function.name

    @property
    def function_directory(self) -> str:
        return self._function.directory

    @property
    def trace_context(self) -> Any:
        return None

    @property
    def retry_context(self) -> Any:
        return None


class Invoker:
    """Everything that runs user code goes through here."""

    def __init__(self, options: HostOptions, storage: Storage) -> None:
        self._options = options
        self._storage = storage
        self._threads = int(os.environ.get("PYTHON_THREADPOOL_THREAD_COUNT") or 32)
        self._pool = self._new_pool()
        # A user's coroutine that blocks shall not stall the host, so it gets a loop (and a thread) of its own.
        self._loop = asyncio.new_event_loop()
        self._loop_thread = threading.Thread(target=self._loop.run_forever, name="functions-loop", daemon=True)
        self.durable_client = ""  # the JSON that a durableClient binding receives
        self.running = 0
        self.last_run = time.monotonic()

    def start(self) -> None:
        self._loop_thread.start()

    def _new_pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max_workers=self._threads, thread_name_prefix="function")

    async def run(self, function: Function, value: Any, metadata: Metadata, invocation_id: str | None = None) -> Any:
        """Calls the function with its trigger's value; sends its outputs; returns what it returned.

        Raises what the function raised, or FunctionTimeout.
        """
        invocation_id = invocation_id or str(uuid.uuid4())
        started = time.perf_counter()
        outcome = "Failed"
        self.running += 1
        try:
            arguments, outs = await self._arguments(function, value, metadata, invocation_id)
            result = await self._call(function, arguments)
            await self._send_outputs(function, result, outs, metadata)
            outcome = "Succeeded"
            return result
        except Exception as problem:
            outcome = f"Failed: {type(problem).__name__}"
            _log.debug("Function %s raised", function.name, exc_info=True)
            _log.info("  at %s", frames(problem))
            raise
        finally:
            self.running -= 1
            self.last_run = time.monotonic()
            milliseconds = (time.perf_counter() - started) * 1000
            _log.info("Executed '%s' (%s, Id=%s, Duration=%.0fms)", function.name, outcome, invocation_id, milliseconds)

    async def _arguments(
        self, function: Function, value: Any, metadata: Metadata, invocation_id: str
    ) -> tuple[dict[str, Any], dict[str, Out]]:
        arguments: dict[str, Any] = {function.trigger.name: value}
        for binding in function.inputs:
            if binding.type == "durableClient":
                arguments[binding.name] = self.durable_client
            else:
                arguments[binding.name] = await read_blob_input(function, binding, metadata, self._storage)
        outs = {binding.name: Out() for binding in function.outputs if binding.name != "$return"}
        arguments.update(outs)
        if function.wants_context:
            arguments["context"] = _Context(function, invocation_id)
        return arguments, outs

    async def _call(self, function: Function, arguments: Mapping[str, Any]) -> Any:
        call = partial(guarded, function.call, **arguments)
        timeout = self._options.function_timeout
        if function.is_async:
            future = asyncio.run_coroutine_threadsafe(_guarded_async(function, arguments), self._loop)
            waiting = asyncio.wrap_future(future)
        else:
            waiting = asyncio.get_running_loop().run_in_executor(self._pool, call)
        try:
            return await asyncio.wait_for(waiting, timeout.total_seconds() if timeout else None)
        except TimeoutError:
            if not waiting.cancelled():
                raise  # the function's own TimeoutError
            if not function.is_async:
                # A thread cannot be killed. The pool is replaced, so that lost threads do not eat up its places.
                old, self._pool = self._pool, self._new_pool()
                old.shutdown(wait=False)
            raise FunctionTimeout(
                f"Timeout value of {timeout} was exceeded by function: Functions.{function.name}"
            ) from None

    async def _send_outputs(self, function: Function, result: Any, outs: dict[str, Out], metadata: Metadata) -> None:
        for binding in function.outputs:
            if binding.type == "http":
                continue
            value = result if binding.name == "$return" else outs[binding.name].get()
            await write_output(binding, value, metadata, self._storage, self._options.queues.base64)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._loop_thread.join(timeout=1)
        self._pool.shutdown(wait=False, cancel_futures=True)


def guarded(call: Callable[..., Any], /, *positional: Any, **named: Any) -> Any:
    """A function that calls sys.exit fails; it does not take the host with it."""
    try:
        return call(*positional, **named)
    except SystemExit as problem:
        raise RuntimeError(f"the function called sys.exit({problem.code!r})") from problem


async def _guarded_async(function: Function, arguments: Mapping[str, Any]) -> Any:
    try:
        return await function.call(**arguments)
    except SystemExit as problem:
        raise RuntimeError(f"the function called sys.exit({problem.code!r})") from problem


def frames(problem: BaseException) -> str:
    """Where an exception came from, innermost last: files, lines and functions, no values."""
    stack = traceback.extract_tb(problem.__traceback__)
    return " > ".join(f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in stack[-6:])
