"""Files that were kept back, in container `quarantine`: `{study token or clinic}/{arrival}`, the reason as metadata.

A clinic's file, which belongs to no study, also says there how the clinic sent it (sent.py).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from readfirst.adapters import blobs, clients
from readfirst.domain import resource_names
from readfirst.domain.deid.pixels.barcodes import find_barcodes
from readfirst.domain.deid.pixels.text import find_text
from readfirst.domain.dicomweb import rendering
from readfirst.domain.refusals import ADVICE, Reason

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

SKIPPED = "skipped"  # the reason of clutter
_LARGEST_PICTURE = 256 << 20


@dataclass(frozen=True)
class Kept:
    """One file that was kept back. `owner` is a study's token, or the clinic of a file that belongs to no study."""

    owner: str
    arrival: str
    reason: str
    size: int
    at: str
    of_study: bool = False  # whether its beginning named a study, which then knows that it is missing

    @property
    def releasable(self) -> bool:
        """Whether taking the file again could come to anything else: one without bytes stays without."""
        return self.reason != Reason.EMPTY

    @property
    def clutter(self) -> bool:
        """Whether it was skipped as what travels with a study and is no image: there is nothing to decide."""
        return self.reason == SKIPPED

    @property
    def advice(self) -> str:
        """What can be done about it."""
        return ADVICE[Reason(self.reason)] if self.reason in set(Reason) else "It was skipped: no image."


def every() -> Iterator[Kept]:
    """Every file in quarantine."""
    for blob in _container().list_blobs(include=["metadata"]):
        owner, _, arrival = blob.name.partition("/")
        metadata = blob.metadata or {}
        at = blob.last_modified.isoformat(timespec="seconds")
        yield Kept(owner, arrival, metadata.get("reason", ""), int(blob.size), at, "study" in metadata)


@dataclass(frozen=True)
class Look:
    """One frame of a file kept back, of how many, and the places where the detector sees text (shares of the sides)."""

    picture: NDArray[np.uint8]
    frames: int

    def encoded(self, side: int) -> bytes:
        """The picture as PNG."""
        return rendering.encoded(self.picture, side=side)

    def texts(self) -> list[dict[str, Any]]:
        """Each place with text or a barcode, and whether it reads as a side marker; not what it says, which shows."""
        grey = self.picture if self.picture.ndim == 2 else self.picture.mean(axis=2).astype(np.uint8)
        height, width = grey.shape
        return [
            {
                "left": text.box[0] / width,
                "top": text.box[1] / height,
                "right": text.box[2] / width,
                "bottom": text.box[3] / height,
                "marker": bool(text.marker),
            }
            for text in (*find_text(grey), *find_barcodes(grey))
        ]


def look(owner: str, arrival: str, frame: int) -> Look | None:
    """A frame of the file, counted from 0; None where it is gone, too large, or shows no such picture."""
    from pydicom import dcmread

    blob = _container().get_blob_client(f"{owner}/{arrival}")
    seen = blobs.properties(blob)
    if seen is None or seen.size > _LARGEST_PICTURE:
        return None
    try:
        ds = dcmread(io.BytesIO(blob.download_blob(decompress=False).readall()))
        frames = int(ds.get("NumberOfFrames") or 1)
        return Look(rendering.grey_or_colour(ds, frame), frames) if 0 <= frame < frames else None
    except Exception:  # it is in quarantine because it may be anything
        return None


def releasable(owner: str, arrival: str) -> bool:
    """Whether taking the file again could come to anything else."""
    seen = blobs.properties(_container().get_blob_client(f"{owner}/{arrival}"))
    return seen is None or (seen.metadata or {}).get("reason", "") != Reason.EMPTY


def _container() -> ContainerClient:
    return clients.container(resource_names.UPLOADS, resource_names.QUARANTINE)
