"""Erasure of a study: every blob, document and answer that holds something of it, but the audit log.

Two apps share the work, because neither may touch what the other holds. Both sweeps may run again and again.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from readfirst.adapters import blobs, clients, mail
from readfirst.adapters.uploads import clinic_results
from readfirst.adapters.uploads.ledger import ledger_of
from readfirst.domain import resource_names

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

_PARALLEL = 8


def sweep_uploads_and_studies(token: str, clinic: str, handle: str) -> int:
    """App `intake`: originals, quarantine, answers, clean copies, results, the index; the ledger last of all.

    Returns how many things were there. An original that is a zip goes as a whole, with the other studies in it: what
    has been read of them is kept, and their sender can upload them again.
    """
    ledger = ledger_of(token)
    arrivals = ledger.arrivals(tuple(note.id for note in ledger.notes()))
    originals = clients.container(resource_names.UPLOADS, resource_names.ORIGINALS)
    told = clients.container(resource_names.UPLOADS, resource_names.results(clinic))
    ledgers = clients.container(resource_names.UPLOADS, resource_names.ARRIVALS)
    analysis = clients.container(resource_names.STUDIES, resource_names.ANALYSIS)
    return sum(
        (
            _delete(originals, {arrival.original for arrival in arrivals}),
            _delete_under(originals, f"{token}/"),
            _delete_under(clients.container(resource_names.UPLOADS, resource_names.QUARANTINE), f"{token}/"),
            _delete(told, _answers(told, {arrival.upload for arrival in arrivals})),
            _delete_under(told, f"studies/{handle}/"),
            _delete_under(clients.container(resource_names.STUDIES, resource_names.CLEAN), f"{token}/"),
            _delete(analysis, _letters(analysis, token)),
            _delete_under(analysis, f"{token}/"),
            _unlist(token, clinic),
            _delete_under(ledgers, f"{token}/"),
            _delete(ledgers, {f"handles/{handle}"}),
        )
    )


def identities_and_reviews(token: str) -> int:
    """How many blobs `sweep_vault_and_reviews` would find."""
    return sum(1 for container in _of_identity() for _ in blobs.names(container, f"{token}/"))


def sweep_vault_and_reviews(token: str) -> int:
    """App `identity`: the sealed identities, and what readers wrote. Returns how many blobs were there."""
    return sum(_delete_under(container, f"{token}/") for container in _of_identity())


def _of_identity() -> tuple[ContainerClient, ContainerClient]:
    return (
        clients.container(resource_names.VAULT, resource_names.IDENTITIES),
        clients.container(resource_names.STUDIES, resource_names.REVIEWS),
    )


def _answers(container: ContainerClient, uploads: set[str]) -> set[str]:
    """The answers about those uploads: they repeat the names that the clinic gave its files."""
    found = set()
    for upload in uploads:
        for name in blobs.names(container, f"uploads/{clinic_results.readable(upload)}"):
            if json.loads(blobs.read(container, name) or b"{}").get("upload") == upload:
                found.add(name)
    return found


def _letters(container: ContainerClient, token: str) -> set[str]:
    """What says of the study's letters that they were its."""
    kept = (json.loads(blobs.read(container, name) or b"{}") for name in blobs.names(container, f"{token}/alerts/"))
    return {mail.letter_path(letter["operation"]) for letter in kept if letter}


def _unlist(token: str, clinic: str) -> int:
    from azure.cosmos.exceptions import CosmosResourceNotFoundError

    try:
        clients.cosmos_container().delete_item(token, partition_key=clinic)
    except CosmosResourceNotFoundError:
        return 0
    return 1


def _delete_under(container: ContainerClient, prefix: str) -> int:
    return _delete(container, set(blobs.names(container, prefix)))


def _delete(container: ContainerClient, doomed: set[str]) -> int:
    with ThreadPoolExecutor(_PARALLEL) as pool:
        return sum(pool.map(lambda name: blobs.delete_now(container, name), sorted(doomed)))
