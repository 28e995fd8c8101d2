"""The history of what runs, in container `model-changes`: every blob is written once, by app `identity` alone.

proposals/{number of the entry before}-{id}.json    a change that waits for its second person
declined/{the same name}.json                       who did not want it, or took it back
entries/{number}.json                               what two persons have changed
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from readfirst.adapters import blobs, clients
from readfirst.adapters.process_cache import once
from readfirst.domain import resource_names
from readfirst.domain.routing.changes import ENTRIES, Entry, History, HistoryBroken, Proposal, State, history_of

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient


def history(deployed: State) -> History:
    """The history, and what runs by it: `deployed`, where nobody has changed anything. Raises HistoryBroken."""
    return history_of([_read(name) for name in blobs.names(_container(), ENTRIES)], deployed)


def add(entry: Entry) -> bool:
    """Adds an entry. Returns whether it came first: one number has one entry."""
    return blobs.put_once(_container(), f"{ENTRIES}{entry.number:06d}.json", entry.kept())


def propose(change: Proposal) -> None:
    """Keeps a proposal."""
    blobs.put_once(_container(), f"proposals/{change.id}.json", change.model_dump_json().encode())


def proposal(change_id: str) -> Proposal | None:
    """One proposal that nobody has declined."""
    kept = blobs.read(_container(), f"proposals/{change_id}.json")
    if kept is None or blobs.exists(_container(), f"declined/{change_id}.json"):
        return None
    return Proposal.model_validate_json(kept)


def proposals(after: int) -> list[Proposal]:
    """The proposals after that entry that nobody has declined, in the order of their times."""
    ids = [name[len("proposals/") : -len(".json")] for name in blobs.names(_container(), f"proposals/{after:06d}-")]
    return sorted((one for one in map(proposal, ids) if one), key=lambda one: one.at)


def decline(change: Proposal, word: bytes) -> None:
    """Keeps who declined a proposal."""
    blobs.put_once(_container(), f"declined/{change.id}.json", word)


def _read(name: str) -> bytes:
    """An entry: read once, because it never changes."""
    kept = _entries()
    if name not in kept:
        found = blobs.read(_container(), name)
        if found is None:
            raise HistoryBroken("an entry of the models' history is gone")
        kept[name] = found
    return kept[name]


@once
def _entries() -> dict[str, bytes]:
    return {}


def _container() -> ContainerClient:
    return clients.container(resource_names.STUDIES, resource_names.MODEL_CHANGES)
