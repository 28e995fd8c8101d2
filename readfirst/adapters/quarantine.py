"""Files that were kept back, in container `quarantine`: `{study token or clinic}/{arrival}`, the reason as metadata."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from readfirst.adapters import blobs, clients
from readfirst.domain import names, pictures
from readfirst.domain.refusals import ADVICE, Reason

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

_LARGEST_PICTURE = 256 << 20


@dataclass(frozen=True)
class Kept:
    """One file that was kept back. `owner` is a study's token, or the clinic of a file that belongs to no study."""

    owner: str
    arrival: str
    reason: str
    size: int
    at: str

    @property
    def advice(self) -> str:
        """What can be done about it."""
        return ADVICE[Reason(self.reason)] if self.reason in set(Reason) else "It was skipped: no image."


def every() -> Iterator[Kept]:
    """Every file in quarantine."""
    for blob in _container().list_blobs(include=["metadata"]):
        owner, _, arrival = blob.name.partition("/")
        reason = (blob.metadata or {}).get("reason", "")
        yield Kept(owner, arrival, reason, int(blob.size), blob.last_modified.isoformat(timespec="seconds"))


def picture(owner: str, arrival: str, side: int) -> bytes | None:
    """The file's first frame as PNG; None where it is gone, too large, or shows nothing."""
    from pydicom import dcmread

    blob = _container().get_blob_client(f"{owner}/{arrival}")
    seen = blobs.properties(blob)
    if seen is None or seen.size > _LARGEST_PICTURE:
        return None
    try:
        ds = dcmread(io.BytesIO(blob.download_blob().readall()))
        return pictures.encoded(pictures.grey_or_colour(ds), side=side)
    except Exception:  # it is in quarantine because it may be anything
        return None


def _container() -> ContainerClient:
    return clients.container(names.UPLOADS, names.QUARANTINE)
