"""Reviews as append-only blobs: `{token}/{number:06d}.json` in container `reviews`. The list is the truth."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from readfirst.adapters import blobs
from readfirst.domain.reading.reviews import Event, fold, summary
from readfirst.domain.reading.study_record import StudyRecord

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

_PARALLEL = 8


def events(container: ContainerClient, token: str) -> list[Event]:
    """A study's events, in order."""
    listed = list(blobs.names(container, f"{token}/"))

    def fetch(name: str) -> Event:
        data = blobs.read(container, name)
        if data is None:
            raise FileNotFoundError("a review lost an event")
        return Event.model_validate_json(data)

    if len(listed) < 2:
        return [fetch(name) for name in listed]
    with ThreadPoolExecutor(_PARALLEL) as pool:
        return list(pool.map(fetch, listed))


def append(container: ContainerClient, token: str, event: Event) -> bool:
    """Writes the event unless another has its number. Returns whether it was written: False is a conflict."""
    return blobs.put_once(container, f"{token}/{event.number:06d}.json", event.model_dump_json().encode())


def run_key(record: StudyRecord) -> str:
    """The analysis that a review speaks of; a study without one is reviewed by its run."""
    return record.provenance.run_key if record.provenance else f"run-{record.run}"


def with_review(container: ContainerClient, record: StudyRecord) -> StudyRecord:
    """The record with what its review comes to: a new run or a rebuilt index forgets no sign-off."""
    return record.model_copy(update=summary(fold(events(container, record.id), run_key(record))))
