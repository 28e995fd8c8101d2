"""Gathers what a stack holds after its day: past the weather, and from the stores themselves."""

from __future__ import annotations

import gzip
import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from email import message_from_bytes, policy
from typing import TYPE_CHECKING, Any

from readfirst.local.scan import scan
from readfirst.local.stack import Stack
from readfirst.local.watching import at_work
from tools.chaos.judge import Due, Found

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

_QUIET_FOR = 400.0  # seconds: an orchestration tries again after five minutes, a message of a killed process sooner
_EVERY = 2.0


def gather(stack: Stack, due: Sequence[Due], planted: Mapping[str, str]) -> Found:
    """What there is. Empties the index and builds it again at the end."""
    from readfirst.adapters.studies import parked
    from readfirst.domain.operations.failures import failures
    from readfirst.services import list_study

    queues, inbox, running = _once_quiet(stack, due)
    records = {record.id: record for record in list_study.every()}
    listed = failures(record.model_dump(mode="json") for record in records.values())
    answers = {one.token: _answer(one.clinic, records[one.token].handle) for one in due if one.token in records}
    leaks = scan(stack.sheltered(), stack.folders.state, planted)
    index = _documents()
    return Found(
        records=records,
        subjects=[
            str(message_from_bytes(file.read_bytes(), policy=policy.default)["Subject"])
            for file in stack.folders.outbox.glob("*.eml")
        ],
        held=frozenset(_held()),
        set_aside=_set_aside({one.clinic for one in due}),
        inbox=inbox,
        answers=answers,
        index=index,
        rebuilt=_rebuilt(index),
        queues=queues,
        running=running,
        listed=parked.counts(),
        failures=[f"{one.handle} of {one.clinic}: {one.stage}, {one.cause}" for one in listed],
        leaks=leaks.found,
        places=leaks.places,
    )


def _once_quiet(stack: Stack, due: Sequence[Due]) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """Messages by queue, uploads by clinic and orchestrations at work by name, when none is left or after long enough.

    An alert's orchestration does not count: it waits for somebody to acknowledge.
    """
    deadline = time.monotonic() + _QUIET_FOR
    while True:
        queues, inbox = _messages(stack.sheltered()["STUDIES"]), _uploads({one.clinic for one in due})
        running = {name: count for name, count in at_work(stack).items() if name != "alert"}
        waiting = [count for queue, count in queues.items() if not queue.endswith("-poison")]
        if not any((*waiting, *inbox.values(), *running.values())) or time.monotonic() > deadline:
            return queues, inbox, running
        time.sleep(_EVERY)


def _messages(account: str) -> dict[str, int]:
    """Of the studies account: every queue that the product has there, and whatever was parked."""
    from azure.storage.queue import QueueServiceClient

    from readfirst.adapters.studies import parked
    from readfirst.domain import resource_names

    service = QueueServiceClient.from_connection_string(account)
    there = {queue.name for queue in service.list_queues()}
    wanted = {*resource_names.STUDIES_QUEUES, *(parked.name_of(queue) for queue in resource_names.STUDIES_QUEUES)}
    return {
        name: int(service.get_queue_client(name).get_queue_properties().approximate_message_count or 0)
        for name in sorted(there & wanted)
    }


def _uploads(clinics: set[str]) -> dict[str, int]:
    from readfirst.adapters import clients
    from readfirst.domain import resource_names

    inboxes = {clinic: clients.container(resource_names.UPLOADS, resource_names.inbox(clinic)) for clinic in clinics}
    return {clinic: sum(1 for _ in inbox.list_blob_names()) for clinic, inbox in inboxes.items()}


def _held() -> Iterator[str]:
    """SHA-256 of every file that is kept as it came, in the originals or in quarantine."""
    from readfirst.adapters import clients
    from readfirst.domain import resource_names

    for name in (resource_names.ORIGINALS, resource_names.QUARANTINE):
        container = clients.container(resource_names.UPLOADS, name)
        for blob in container.list_blob_names():
            yield _digest(container, blob)


def _digest(container: ContainerClient, name: str) -> str:
    content = container.download_blob(name).readall()
    return hashlib.sha256(gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).hexdigest()


def _set_aside(clinics: set[str]) -> dict[str, dict[str, str]]:
    """By clinic. A file that was sent again may be there twice."""
    from readfirst.adapters import clients
    from readfirst.adapters.uploads import quarantine
    from readfirst.domain import resource_names

    container = clients.container(resource_names.UPLOADS, resource_names.QUARANTINE)
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for one in quarantine.every():
        if one.owner in clinics:  # a study's own files are counted in its record
            found[one.owner][_digest(container, f"{one.owner}/{one.arrival}")] = one.reason
    return found


def _answer(clinic: str, handle: str) -> dict[str, Any]:
    from readfirst.adapters import blobs, clients
    from readfirst.domain import resource_names

    place = clients.container(resource_names.UPLOADS, resource_names.results(clinic))
    said: dict[str, Any] = json.loads(blobs.read(place, f"studies/{handle}/status.json") or b"{}")
    return said


def _rebuilt(before: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    from readfirst.adapters import clients
    from readfirst.services import list_study

    for document in before:
        clients.cosmos_container().delete_item(document["id"], partition_key=document["clinic"])
    list_study.reindex()
    return _documents()


def _documents() -> list[dict[str, Any]]:
    """The index, without the fields of the service's own."""
    from readfirst.adapters import clients

    return [
        {name: value for name, value in document.items() if not name.startswith("_")}
        for document in clients.cosmos_container().read_all_items()
    ]
