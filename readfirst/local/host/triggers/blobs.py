"""Blob triggers by polling: every ETag of every matching blob once, and again up to a limit when the function fails.

The receipts are ETags in the store, compared with a full listing: a blob written in the same second as another is not
missed, unlike with the real host's polling, which looks at times.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
import re
import time
from datetime import datetime
from typing import Any

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.functions.meta import Datum
from azure.storage.blob import BlobProperties

from readfirst.local.host.bindings import as_json, decode_sdk_blob, decode_trigger, text, wants_sdk_type
from readfirst.local.host.durable.store import Receipt, Store
from readfirst.local.host.invoke import Invoker
from readfirst.local.host.loading import Function
from readfirst.local.host.settings import HOST_CONNECTION, BlobOptions, CannotRun, connection_string, resolve
from readfirst.local.host.storage import Storage
from readfirst.local.host.triggers.endings import finish_or_cancel
from readfirst.local.host.triggers.listing import list_etags
from readfirst.local.host.triggers.pace import Pace

_log = logging.getLogger("readfirst.host.triggers")
_POISON_QUEUE = "webjobs-blobtrigger-poison"
_SHORTEST_PAUSE = 1.0
_LONGEST_PAUSE = 10.0
_SHARE_OF_TIME = 10  # a listing may take a tenth of the time: a crowded container is looked at less often
_BETWEEN_ATTEMPTS = 0.1


class BlobTrigger:
    def __init__(
        self,
        function: Function,
        store: Store,
        storage: Storage,
        invoker: Invoker,
        options: BlobOptions,
        places: asyncio.Semaphore,
        pace: Pace,
    ) -> None:
        """`places` bounds the blobs at work, over all triggers. Raises CannotRun on a bad path or connection."""
        self.function = function
        self._store = store
        self._storage = storage
        self._invoker = invoker
        self._options = options
        self._places = places
        self._pace = pace
        self._connection = function.trigger.raw.get("connection") or HOST_CONNECTION
        connection_string(self._connection)
        self._container, self._pattern, self._prefix = parse_path(resolve(function.trigger.raw["path"]))
        self._receipts = store.receipts(function.name)
        self._at_work: dict[str, str] = {}  # blob to ETag
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_trouble = False
        if str(function.trigger.raw.get("source", "")).lower() == "eventgrid":
            _log.warning("Function %s asks for Event Grid: the embedded host polls instead", function.name)

    async def run(self) -> None:
        try:
            while True:
                started = time.perf_counter()
                await self._look()
                taken = time.perf_counter() - started
                pause = min(max(_SHORTEST_PAUSE, taken * _SHARE_OF_TIME), _LONGEST_PAUSE)
                await asyncio.sleep(self._pace.pause(pause))
        finally:
            await finish_or_cancel(self._tasks)

    async def _look(self) -> None:
        client = self._storage.blobs(self._connection).get_container_client(self._container)
        listed: dict[str, str] = {}
        try:
            listed = await list_etags(client, self._prefix)
            self._in_trouble = False
        except ResourceNotFoundError:
            pass  # no container: no blobs
        except AzureError as problem:
            if not self._in_trouble:
                _log.warning("Container %s cannot be listed (%s): trying on", self._container, type(problem).__name__)
            self._in_trouble = True
            return
        for name, etag in listed.items():
            if self._is_new(name, etag):
                self._start(name, etag)
        known = {_key(name) for name in (*listed, *self._at_work)}
        gone = [key for key in self._receipts if key not in known]
        if gone:
            self._store.drop_receipts(self.function.name, gone)
            for key in gone:
                del self._receipts[key]

    def _is_new(self, name: str, etag: str) -> bool:
        if name in self._at_work or self._pattern.fullmatch(name) is None:
            return False  # an ETag that changes while the function runs is seen by a later look
        receipt = self._receipts.get(_key(name))
        return receipt is None or receipt.etag != etag or not receipt.done

    def _start(self, name: str, etag: str) -> None:
        self._at_work[name] = etag
        task = asyncio.create_task(self._process(name, etag))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _process(self, name: str, etag: str) -> None:
        try:
            async with self._places:
                await self._attempt_until_done(name, etag)
        except AzureError as problem:
            _log.warning("A blob comes again: storage failed (%s)", type(problem).__name__)
        finally:
            del self._at_work[name]

    async def _attempt_until_done(self, name: str, etag: str) -> None:
        receipt = self._receipts.get(_key(name))
        done_before = receipt.attempts if receipt and receipt.etag == etag else 0
        for attempt in range(done_before + 1, self._options.attempts + 1):
            self._keep(Receipt(_key(name), etag, attempt, done=False))
            try:
                await self._call(name)
            except ResourceNotFoundError as problem:
                if await self._exists(name):
                    _log.debug("A blob function met a missing resource", exc_info=problem)
                else:
                    return  # moved or deleted before its turn: nothing to do, and nothing to remember
            except Exception as problem:
                _log.debug("A blob function failed", exc_info=problem)
            else:
                self._keep(Receipt(_key(name), etag, attempt, done=True))
                return
            await asyncio.sleep(_BETWEEN_ATTEMPTS)
        await self._to_poison(name, etag)
        self._keep(Receipt(_key(name), etag, self._options.attempts, done=True))

    def _keep(self, receipt: Receipt) -> None:
        self._receipts[receipt.blob] = receipt
        self._store.put_receipt(self.function.name, receipt)

    async def _exists(self, name: str) -> bool:
        return bool(await self._storage.blobs(self._connection).get_blob_client(self._container, name).exists())

    async def _call(self, name: str) -> None:
        client = self._storage.blobs(self._connection).get_blob_client(self._container, name)
        metadata = blob_metadata(self._container, name, client.url, self._pattern)
        value: Any
        if wants_sdk_type(self.function, self.function.trigger):
            value = decode_sdk_blob(self.function, self.function.trigger, self._container, name, metadata)
        else:
            download = await client.download_blob()
            metadata["Properties"] = as_json(blob_properties(download.properties))
            metadata["Metadata"] = as_json(download.properties.metadata or {})
            value = decode_trigger(self.function, Datum(await download.readall(), "bytes"), metadata)
            value = _as_annotated(value, self.function.annotations.get(self.function.trigger.name))
        await self._invoker.run(self.function, value, metadata)

    async def _to_poison(self, name: str, etag: str) -> None:
        _log.warning("Function %s failed for a blob %d times: it is poison", self.function.name, self._options.attempts)
        message = {
            "Type": "BlobTrigger",
            "FunctionId": f"Host.Functions.{self.function.name}",
            "BlobType": "BlockBlob",
            "ContainerName": self._container,
            "BlobName": name,
            "ETag": f'"{etag}"',
        }
        body = base64.b64encode(json.dumps(message, indent=2).encode()).decode()
        await self._storage.put_message(self._connection, _POISON_QUEUE, body)

    async def invoke_now(self, path: str | None) -> None:
        """`path`: container/blob."""
        await self._call((path or "").partition("/")[2])


def _key(name: str) -> str:
    """What the store keeps of a blob's name: uploads are named by people, and names can identify a person."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def parse_path(path: str) -> tuple[str, re.Pattern[str], str]:
    """Container, pattern of blob names, and their literal beginning. Greedy, as the real host's templates are."""
    container, slash, template = path.partition("/")
    if "{" in container or not slash:
        raise CannotRun(f"the blob path {path!r} must be container/template")
    parts = re.split(r"\{(\w+)\}", template)
    pattern = "".join(f"(?P<{part}>.*)" if index % 2 else re.escape(part) for index, part in enumerate(parts))
    return container, re.compile(pattern, re.DOTALL), parts[0]


def blob_metadata(container: str, name: str, url: str, pattern: re.Pattern[str]) -> dict[str, Datum]:
    match = pattern.fullmatch(name)
    return {
        **{key: text(value) for key, value in (match.groupdict() if match else {}).items()},
        "BlobTrigger": text(f"{container}/{name}"),
        "Uri": as_json(url),
    }


def blob_properties(found: BlobProperties) -> dict[str, Any]:
    settings = found.content_settings
    return {
        "CacheControl": settings.cache_control,
        "ContentDisposition": settings.content_disposition,
        "ContentEncoding": settings.content_encoding,
        "ContentLanguage": settings.content_language,
        "ContentType": settings.content_type,
        "Length": found.size,
        "ETag": found.etag,
        "Created": _iso(found.creation_time),
        "LastModified": _iso(found.last_modified),
    }


def _as_annotated(stream: Any, wanted: Any) -> Any:
    if wanted is bytes:
        return stream.read()
    return stream.read().decode() if wanted is str else stream


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
