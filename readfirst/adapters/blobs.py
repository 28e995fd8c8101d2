"""What the stages need from Blob storage: put once, put, read, list, copy, and files read by ranges."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from readfirst.domain.files import LazyFile

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient, BlobProperties, ContainerClient

_CHUNK = 256 << 10
_COPY_POLL_SECONDS = 0.2


class Changed(Exception):
    """The blob is not the one that was looked at: somebody replaced or removed it."""


def put_once(container: ContainerClient, name: str, data: bytes, metadata: dict[str, str] | None = None) -> bool:
    """Writes a blob unless one of that name exists. Returns whether it was written now."""
    from azure.core.exceptions import ResourceExistsError

    try:
        container.upload_blob(name, data, metadata=metadata, overwrite=False)
    except ResourceExistsError:
        return False
    return True


def put(container: ContainerClient, name: str, data: bytes | BinaryIO, content_type: str = "") -> None:
    """Writes a blob, whatever was there."""
    from azure.storage.blob import ContentSettings

    settings = ContentSettings(content_type=content_type) if content_type else None
    container.upload_blob(name, data, overwrite=True, content_settings=settings)


def read(container: ContainerClient, name: str) -> bytes | None:
    """A blob's bytes, or None where there is none."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        return bytes(container.download_blob(name).readall())
    except ResourceNotFoundError:
        return None


def tag(container: ContainerClient, name: str, tags: dict[str, str]) -> None:
    """Sets a blob's index tags; a blob that is gone needs none."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        container.get_blob_client(name).set_blob_tags(tags)
    except ResourceNotFoundError:
        return


def exists(container: ContainerClient, name: str) -> bool:
    """Whether a blob of that name is there."""
    return bool(container.get_blob_client(name).exists())


def properties(blob: BlobClient) -> BlobProperties | None:
    """A blob's properties, or None where there is none."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        return blob.get_blob_properties()
    except ResourceNotFoundError:
        return None


def delete(blob: BlobClient, etag: str) -> None:
    """Deletes the blob if it is still the one with that ETag; one already gone is no error.

    Raises Changed where another version stands in its place.
    """
    from azure.core import MatchConditions
    from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError

    try:
        blob.delete_blob(etag=etag, match_condition=MatchConditions.IfNotModified)
    except ResourceNotFoundError:
        return
    except ResourceModifiedError as error:
        raise Changed from error


def delete_now(container: ContainerClient, name: str) -> bool:
    """Deletes a blob, whatever version it is. Returns whether one was there."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        container.delete_blob(name, delete_snapshots="include")
    except ResourceNotFoundError:
        return False
    return True


def copy(source: BlobClient, etag: str, target: BlobClient, metadata: dict[str, str] | None = None) -> None:
    """Copies a blob inside its account without moving its bytes through this process, pinned to an ETag.

    A target that exists already is left as it is. Raises Changed where the source is no longer that version.
    """
    from azure.core import MatchConditions
    from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError

    try:
        state: dict[str, Any] = target.start_copy_from_url(
            source.url,
            metadata=metadata,
            source_etag=etag,
            source_match_condition=MatchConditions.IfNotModified,
            match_condition=MatchConditions.IfMissing,
        )
    except ResourceExistsError:
        return
    except (ResourceModifiedError, ResourceNotFoundError) as error:
        raise Changed from error
    while state["copy_status"] == "pending":
        time.sleep(_COPY_POLL_SECONDS)
        copied = target.get_blob_properties().copy
        state = {"copy_status": copied.status}
    if state["copy_status"] != "success":
        raise OSError(f"the copy inside the account ended as {state['copy_status']}")


def names(container: ContainerClient, prefix: str) -> Iterator[str]:
    """The names of the blobs under a prefix, in order."""
    yield from container.list_blob_names(name_starts_with=prefix)


class BlobFile(LazyFile):
    """A blob as a read-only, seekable file that fetches only the ranges that are read.

    Every range is pinned to the ETag, so that a reader never sees two versions mixed (it raises Changed).
    """

    name = "blob"  # pydicom asks a file for its name

    def __init__(self, blob: BlobClient, etag: str, size: int, chunk: int = _CHUNK) -> None:
        super().__init__(size)
        self._blob, self._etag = blob, etag
        self._least = chunk  # bytes fetched at least: small for headers, large for whole files
        self._chunk, self._chunk_at = b"", 0

    def readinto(self, buffer: Any) -> int:
        """Fills `buffer` from the position; returns how many bytes there were."""
        wanted = min(len(buffer), self._size - self._position)
        if wanted <= 0:
            return 0
        inside = self._position - self._chunk_at
        if not 0 <= inside < len(self._chunk):
            self._fetch(max(wanted, self._least))
            inside = 0
        piece = self._chunk[inside : inside + wanted]
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def _fetch(self, length: int) -> None:
        from azure.core import MatchConditions
        from azure.core.exceptions import ResourceModifiedError, ResourceNotFoundError

        length = min(length, self._size - self._position)
        try:
            self._chunk = self._blob.download_blob(
                self._position, length, etag=self._etag, match_condition=MatchConditions.IfNotModified
            ).readall()
        except (ResourceModifiedError, ResourceNotFoundError) as error:
            raise Changed from error
        self._chunk_at = self._position
