"""The notes on uploads that could not be taken, in container `arrivals`: `stuck/{clinic}/{upload id}.json`.

They hold neither a name nor anything of the upload.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from readfirst.adapters import blobs, clients
from readfirst.domain import resource_names
from readfirst.domain.intake.stuck import Stuck, own_fault

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient


def noted(clinic: str) -> set[str]:
    """The ids of the clinic's uploads that have a note."""
    return {name.rsplit("/", 1)[1].removesuffix(".json") for name in blobs.names(_container(), f"stuck/{clinic}/")}


def read(clinic: str, upload: str) -> Stuck | None:
    """The note on an upload."""
    data = blobs.read(_container(), _name(clinic, upload))
    return Stuck.model_validate_json(data) if data else None


def keep(clinic: str, upload: str, note: Stuck) -> None:
    """Keeps the note."""
    blobs.put(_container(), _name(clinic, upload), note.model_dump_json().encode(), "application/json")


def forget(clinic: str, upload: str) -> None:
    """The upload was taken, or moved to quarantine."""
    blobs.delete_now(_container(), _name(clinic, upload))


def cause(error: Exception) -> tuple[str, bool]:
    """A failure's code or class, without its text, and whether it counts against the upload."""
    from azure.core.exceptions import AzureError, HttpResponseError

    why = blobs.code_of(error) or type(error).__name__
    if isinstance(error, HttpResponseError):
        return why, own_fault(error.status_code)
    return why, not isinstance(error, (AzureError, OSError))


def _container() -> ContainerClient:
    return clients.container(resource_names.UPLOADS, resource_names.ARRIVALS)


def _name(clinic: str, upload: str) -> str:
    return f"stuck/{clinic}/{upload}.json"
