"""The host's own clients for Blob and Queue storage, one per connection string, made when first needed."""

from __future__ import annotations

from contextlib import suppress

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient

from readfirst.local.host.settings import connection_string

# The SDKs' own retries wait fifteen seconds before the first: too long for a server on this machine.
USER_AGENT = "readfirst-embedded-host"
_PATIENCE = {"retry_total": 2, "initial_backoff": 1, "increment_base": 1, "connection_timeout": 5, "read_timeout": 30}
_OPTIONS = {**_PATIENCE, "user_agent": USER_AGENT}  # in the place of Event Grid: the weather knows it by its name


class Storage:
    def __init__(self) -> None:
        self._blobs: dict[str, BlobServiceClient] = {}
        self._queues: dict[str, QueueServiceClient] = {}

    def blobs(self, connection: str) -> BlobServiceClient:
        if connection not in self._blobs:
            self._blobs[connection] = BlobServiceClient.from_connection_string(
                connection_string(connection), **_OPTIONS
            )
        return self._blobs[connection]

    def queues(self, connection: str) -> QueueServiceClient:
        if connection not in self._queues:
            self._queues[connection] = QueueServiceClient.from_connection_string(
                connection_string(connection), **_OPTIONS
            )
        return self._queues[connection]

    async def put_message(self, connection: str, queue: str, content: str) -> None:
        """Adds the text as it is; makes the queue if it does not exist (several may try at once)."""
        client = self.queues(connection).get_queue_client(queue)
        try:
            await client.send_message(content)
        except Exception as problem:
            if getattr(problem, "status_code", None) != 404:
                raise
            with suppress(ResourceExistsError):  # somebody else has just made it
                await client.create_queue()
            await client.send_message(content)

    async def close(self) -> None:
        for client in (*self._blobs.values(), *self._queues.values()):
            await client.close()
