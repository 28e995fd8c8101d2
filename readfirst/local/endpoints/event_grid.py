"""Event Grid, as far as Readfirst needs it: a local endpoint's event goes to a storage queue, and is tried again."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

_PAUSES = (0.0, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)  # seconds; the service goes on for a day


@dataclass(frozen=True)
class EventGrid:
    """Sends to queues of one account. `connection`: its connection string; "" where nobody takes events."""

    connection: str
    _under_way: set[asyncio.Task[None]] = field(default_factory=set)

    def publish(self, queue: str, kind: str, subject: str, data: Mapping[str, Any]) -> None:
        """Hands an event to the queue some time soon, as the service would: the sender does not wait for it."""
        if not self.connection:
            return
        at = datetime.now(UTC).isoformat()
        event = {
            "id": str(uuid.uuid4()), "topic": "local", "subject": subject, "eventType": kind, "eventTime": at,
            "data": dict(data), "dataVersion": "1.0", "metadataVersion": "1",
        }  # fmt: skip
        task = asyncio.get_running_loop().create_task(self._deliver(queue, json.dumps(event)))
        self._under_way.add(task)  # the loop itself keeps no task alive
        task.add_done_callback(self._under_way.discard)

    async def _deliver(self, queue: str, message: str) -> None:
        from azure.core.exceptions import AzureError

        for pause in _PAUSES:
            await asyncio.sleep(pause)
            try:
                await asyncio.to_thread(self._send, queue, message)
            except AzureError:
                continue
            return

    def _send(self, queue: str, message: str) -> None:
        from azure.storage.queue import QueueClient, TextBase64EncodePolicy

        encoded = TextBase64EncodePolicy()
        with QueueClient.from_connection_string(self.connection, queue, message_encode_policy=encoded) as client:
            client.send_message(message)
