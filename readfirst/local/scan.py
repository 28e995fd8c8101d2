"""The proof that no identifier left the uploads and the vault: looks for planted ones everywhere else."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from readfirst.local.environment import ACCOUNTS

_ENCODINGS = ("utf-8", "latin-1", "utf-16-le", "utf-16-be")
_MAY_HOLD_IDENTIFIERS = {"UPLOADS", "VAULT"}
_SHORTEST = 4  # shorter strings are found everywhere by chance


@dataclass(frozen=True)
class Scan:
    """How much was looked through, and where something was found: (place, what)."""

    places: int
    bytes: int
    found: tuple[tuple[str, str], ...]


def scan(environment: Mapping[str, str], state: Path, planted: Mapping[str, str]) -> Scan:
    """Looks for every planted identifier in every blob, queue, table, Cosmos document, log and e-mail.

    `environment` holds the stack's app settings; `planted` says what each identifier is. The uploads and the vault
    are left out: there they belong.
    """
    needles = {
        what: {value.lower().encode(encoding, "ignore") for encoding in _ENCODINGS}
        for what, value in planted.items()
        if len(value) >= _SHORTEST
    }
    places = total = 0
    found: list[tuple[str, str]] = []
    for place, data in _everything(environment, state):
        places, total = places + 1, total + len(data)
        lowered = place.lower().encode() + b"\n" + data.lower()
        found += [(place, what) for what, variants in needles.items() if any(n and n in lowered for n in variants)]
    return Scan(places, total, tuple(found))


def _everything(environment: Mapping[str, str], state: Path) -> Iterator[tuple[str, bytes]]:
    for account in ("AzureWebJobsStorage", *ACCOUNTS):
        if account not in _MAY_HOLD_IDENTIFIERS:
            yield from _blobs(account, environment[account])
        if account not in _MAY_HOLD_IDENTIFIERS or account == "UPLOADS":
            yield from _queues(account, environment[account])
            yield from _tables(account, environment[account])
    yield from _documents(environment)
    for folder in (state / "logs", state / "host", state / "outbox"):
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            yield str(file.relative_to(state)), file.read_bytes()


def _blobs(account: str, connection: str) -> Iterator[tuple[str, bytes]]:
    from azure.storage.blob import BlobServiceClient

    service = BlobServiceClient.from_connection_string(connection)
    for container in service.list_containers():
        client = service.get_container_client(container.name)
        for blob in client.list_blobs(include=["metadata", "tags"]):
            data = client.download_blob(blob.name).readall()
            if data[:2] == b"\x1f\x8b":
                data = gzip.decompress(data)
            labels = json.dumps([blob.metadata, blob.tags], ensure_ascii=False)
            yield f"{account} blob {container.name}/{blob.name} {labels}", data


def _queues(account: str, connection: str) -> Iterator[tuple[str, bytes]]:
    from azure.storage.queue import QueueServiceClient, TextBase64DecodePolicy

    service = QueueServiceClient.from_connection_string(connection)
    for queue in service.list_queues():
        client = service.get_queue_client(queue.name, message_decode_policy=TextBase64DecodePolicy())
        for message in client.peek_messages(max_messages=32):
            yield f"{account} queue {queue.name}", message.content.encode()


def _tables(account: str, connection: str) -> Iterator[tuple[str, bytes]]:
    from azure.data.tables import TableServiceClient

    service = TableServiceClient.from_connection_string(connection)
    for table in service.list_tables():
        for entity in service.get_table_client(table.name).list_entities():
            yield f"{account} table {table.name}", json.dumps(entity, default=str, ensure_ascii=False).encode()


def _documents(environment: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    import urllib3
    from azure.cosmos import CosmosClient

    # The SDK never checks TLS on 127.0.0.1, and urllib3 would say so at every call.
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    client = CosmosClient(environment["COSMOS_ENDPOINT"], environment["COSMOS_KEY"])
    database = client.get_database_client(environment["COSMOS_DATABASE"])
    for container in database.list_containers():
        for document in database.get_container_client(container["id"]).read_all_items():
            yield f"cosmos {container['id']}", json.dumps(document, ensure_ascii=False).encode()
