"""Queue triggers: base64, dequeue counts, poison queues, and a short visibility that is renewed while it runs."""

from __future__ import annotations

import asyncio
import base64
import logging
from contextlib import suppress
from datetime import datetime
from typing import Any

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.functions.meta import Datum
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from readfirst.local.host.bindings import as_json, decode_trigger, text, top_level_scalars
from readfirst.local.host.durable.store import Store
from readfirst.local.host.invoke import Invoker
from readfirst.local.host.loading import Function
from readfirst.local.host.settings import HOST_CONNECTION, QueueOptions, connection_string, resolve
from readfirst.local.host.storage import Storage
from readfirst.local.host.triggers.endings import finish_or_cancel
from readfirst.local.host.triggers.pace import Pace

_log = logging.getLogger("readfirst.host.triggers")
# The real host hides a message for ten minutes at once; after a kill nobody wants to wait that long.
_VISIBILITY = 30
_RENEWAL = 10
_FIRST_PAUSE = 0.1


class QueueTrigger:
    def __init__(
        self, function: Function, store: Store, storage: Storage, invoker: Invoker, options: QueueOptions, pace: Pace
    ) -> None:
        """Raises CannotRun when the connection is not set."""
        self.function = function
        self._store = store
        self._storage = storage
        self._invoker = invoker
        self._options = options
        self._pace = pace
        self._queue_name = resolve(function.trigger.raw["queueName"])
        self._connection = function.trigger.raw.get("connection") or HOST_CONNECTION
        connection_string(self._connection)
        self._running: set[asyncio.Task[None]] = set()
        self._in_trouble = False

    async def run(self) -> None:
        queue = self._storage.queues(self._connection).get_queue_client(self._queue_name)
        pause = _FIRST_PAUSE
        await self._release(queue)
        try:
            while True:
                while len(self._running) > self._options.new_batch_threshold:
                    await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
                if await self._take(queue):
                    pause = _FIRST_PAUSE
                    continue
                await asyncio.sleep(self._pace.pause(pause))
                pause = min(pause * 1.6, self._options.max_polling_interval.total_seconds())
        finally:
            await finish_or_cancel(self._running)

    async def _release(self, queue: QueueClient) -> None:
        """Makes visible at once what an earlier process was working on when it ended."""
        for message_id, pop_receipt in self._store.taken(self.function.name):
            with suppress(AzureError):  # it becomes visible by itself, a little later
                await queue.update_message(message_id, pop_receipt=pop_receipt, visibility_timeout=0)
            self._store.drop_taken(self.function.name, message_id)

    async def _take(self, queue: QueueClient) -> bool:
        """Starts what is there; False when nothing is."""
        try:
            messages = [
                message
                async for message in queue.receive_messages(
                    max_messages=self._options.batch_size, visibility_timeout=_VISIBILITY
                )
            ]
            self._in_trouble = False
        except ResourceNotFoundError:
            return False
        except AzureError as problem:
            if not self._in_trouble:
                _log.warning("Queue %s cannot be read (%s): trying on", self._queue_name, type(problem).__name__)
            self._in_trouble = True
            return False
        self._store.put_taken(self.function.name, [(m.id, m.pop_receipt or "") for m in messages])
        for message in messages:
            task = asyncio.create_task(self._process(queue, message))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return bool(messages)

    async def _process(self, queue: QueueClient, message: QueueMessage) -> None:
        try:
            await self._settle(queue, message)
        except AzureError as problem:
            _log.warning("A queue message comes again: storage failed (%s)", type(problem).__name__)
        self._store.drop_taken(self.function.name, message.id)

    async def _settle(self, queue: QueueClient, message: QueueMessage) -> None:
        body = _decoded(message.content) if self._options.base64 else message.content
        count = message.dequeue_count or 1
        if body is None or count > self._options.max_dequeue_count:
            await self._to_poison(queue, message)
            return
        renewal = asyncio.create_task(self._keep_hidden(queue, message))
        try:
            await self._call(message, body)
        except Exception:
            renewal.cancel()
            if count >= self._options.max_dequeue_count:
                await self._to_poison(queue, message)
            else:
                delay = int(self._options.retry_delay.total_seconds())
                with suppress(AzureError):  # it becomes visible by itself
                    await queue.update_message(message, visibility_timeout=delay)
            return
        finally:
            renewal.cancel()
        with suppress(ResourceNotFoundError):
            await queue.delete_message(message)

    async def _call(self, message: QueueMessage, body: str) -> None:
        metadata = message_metadata(message, body)
        await self._invoker.run(self.function, decode_trigger(self.function, text(body), metadata), metadata)

    async def _keep_hidden(self, queue: QueueClient, message: QueueMessage) -> None:
        while True:
            await asyncio.sleep(_RENEWAL)
            try:
                renewed = await queue.update_message(message, visibility_timeout=_VISIBILITY)
            except AzureError as problem:
                _log.warning("A queue message could not be kept hidden (%s): it may run twice", type(problem).__name__)
            else:
                message.pop_receipt = renewed.pop_receipt
                self._store.put_taken(self.function.name, [(message.id, renewed.pop_receipt or "")])

    async def _to_poison(self, queue: QueueClient, message: QueueMessage) -> None:
        _log.warning("A message of queue %s goes to %s-poison", self._queue_name, self._queue_name)
        await self._storage.put_message(self._connection, f"{self._queue_name}-poison", message.content)
        with suppress(ResourceNotFoundError):
            await queue.delete_message(message)

    async def invoke_now(self, body: str | None) -> None:
        metadata: dict[str, Any] = {"QueueTrigger": text(body or "")}
        await self._invoker.run(self.function, decode_trigger(self.function, text(body or ""), metadata), metadata)


def message_metadata(message: QueueMessage, body: str) -> dict[str, Datum]:
    return {
        **top_level_scalars(body),
        "QueueTrigger": text(body),
        "Id": text(message.id),
        "PopReceipt": text(message.pop_receipt or ""),
        "DequeueCount": as_json(message.dequeue_count),
        "InsertionTime": as_json(_iso(message.inserted_on)),
        "ExpirationTime": as_json(_iso(message.expires_on)),
        "NextVisibleTime": as_json(_iso(message.next_visible_on)),
    }


def _decoded(content: str) -> str | None:
    try:
        return base64.b64decode(content, validate=True).decode()
    except ValueError:
        return None


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
