"""What the stages need from Blob storage: put once, put, read, list, copy, and files read by ranges."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from readfirst.adapters.clock import now
from readfirst.domain.intake.lazy_file import LazyFile

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient, BlobProperties, ContainerClient

_CHUNK = 256 << 10
COPY_OF = "copyof"  # metadata of a copy: the ETag of the source's version, without its quotes
_THERE = ("BlobAlreadyExists", "UnauthorizedBlobOverwrite")  # the second to whoever may create and not write
_FOLLOW_TRIES = 20
_COPY_TRIES = 3
_COPY_POLL_SECONDS = 0.2
_COPY_POLL_MOST_SECONDS = 5.0
_COPY_PATIENCE_SECONDS = 60.0  # for one call: activities are short, and a later try goes on waiting
_COPY_LIFE = timedelta(hours=1)  # the largest file takes minutes: what is pending for longer never ends


class Changed(Exception):
    """The blob is not the one that was looked at: somebody replaced or removed it."""


class CopyFailed(OSError):
    """A copy inside the account did not end well. The source is untouched; trying again later is right."""


def faults() -> tuple[type[Exception], ...]:
    """What reading a blob may raise that says nothing about its content."""
    from azure.core.exceptions import AzureError

    return (AzureError, Changed, OSError, MemoryError)


def code_of(error: Exception) -> str:
    """The storage service's own code of an error (`BlobAlreadyExists`, `BlobArchived`, …); empty where it gave none.

    Status 409 alone says little: the SDK raises ResourceExistsError for every one of them.
    """
    code = getattr(error, "error_code", "") or ""
    return str(getattr(code, "value", code))


def put_once(
    container: ContainerClient, name: str, data: bytes | BinaryIO, metadata: dict[str, str] | None = None
) -> bool:
    """Writes a blob unless one of that name exists. Returns whether it was written now.

    What exists is complete: the service commits a blob and its metadata in one step, or there is no blob.
    """
    from azure.core.exceptions import HttpResponseError

    try:
        container.upload_blob(name, data, metadata=metadata, overwrite=False)
    except HttpResponseError as error:
        if code_of(error) not in _THERE:
            raise  # some other conflict: nothing is known to be there
        return False
    return True


def create_once(inbox: ContainerClient, name: str, data: bytes | BinaryIO, size: int) -> bool:
    """`put_once` by an address that may create and list, and not write: how a clinic sends `size` bytes.

    Such a sender is refused where a blob of the name exists, as after a try whose answer was lost: Azure says so by a
    code of its own (UnauthorizedBlobOverwrite), Azurite as if the address were no good. So the inbox is asked.
    """
    from azure.core.exceptions import HttpResponseError

    try:
        return put_once(inbox, name, data)
    except HttpResponseError as error:
        if error.status_code != 403 or not _lists(inbox, name, size):
            raise
        return False


def _lists(inbox: ContainerClient, name: str, size: int) -> bool:
    from azure.core.exceptions import AzureError

    try:
        return {blob.name: blob.size for blob in inbox.list_blobs(name_starts_with=name)}.get(name) == size
    except AzureError:
        return False


def put(container: ContainerClient, name: str, data: bytes | BinaryIO, content_type: str = "") -> None:
    """Writes a blob, whatever was there."""
    from azure.storage.blob import ContentSettings

    settings = ContentSettings(content_type=content_type) if content_type else None
    container.upload_blob(name, data, overwrite=True, content_settings=settings)


def follow(container: ContainerClient, name: str, truth: Callable[[], bytes | None], content_type: str = "") -> bool:
    """Brings a blob to what `truth` says (None: it stays as it is), for a copy of what is known elsewhere.

    `truth` is asked after the blob was looked at, and the write holds only while the blob is that one: a write that the
    service delays never takes back what a later one has said. It asks again instead. Returns whether `truth` had
    something to say. Raises Changed where others write all the time.
    """
    from azure.core import MatchConditions
    from azure.core.exceptions import HttpResponseError
    from azure.storage.blob import ContentSettings

    blob = container.get_blob_client(name)
    kind = ContentSettings(content_type=content_type) if content_type else None
    for attempt in range(_FOLLOW_TRIES):
        time.sleep(random.uniform(0, 0.05) * attempt)  # two writers shall not keep step
        there = properties(blob)
        if (data := truth()) is None:
            return False
        pinned: dict[str, Any] = {"overwrite": False}
        if there is not None:
            pinned = {"overwrite": True, "etag": there.etag, "match_condition": MatchConditions.IfNotModified}
        try:
            blob.upload_blob(data, content_settings=kind, **pinned)
        except HttpResponseError as error:
            if code_of(error) not in (*_THERE, "ConditionNotMet", "TargetConditionNotMet"):
                raise
        else:
            return True
    raise Changed("a copy is written by others all the time")


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
    """Deletes the blob, its snapshots too, if it is still the one with that ETag; one already gone is no error.

    Whoever uploads may take a snapshot, and with an address for one large file a lease too: neither keeps the blob.
    Raises Changed where another version stands in its place.
    """
    from azure.core import MatchConditions
    from azure.core.exceptions import HttpResponseError
    from azure.storage.blob import BlobLeaseClient

    pinned: dict[str, Any] = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
    try:
        try:
            blob.delete_blob(delete_snapshots="include", **pinned)
        except HttpResponseError as error:
            if code_of(error) != "LeaseIdMissing":
                raise
            BlobLeaseClient(blob).break_lease(lease_break_period=0)
            blob.delete_blob(delete_snapshots="include", **pinned)
    except HttpResponseError as error:
        # A copy that is pending there is another version, on its way.
        if error.status_code == 412 or code_of(error) == "PendingCopyOperation":
            raise Changed from error
        if error.status_code != 404:
            raise


def delete_now(container: ContainerClient, name: str) -> bool:
    """Deletes a blob, whatever version it is. Returns whether one was there."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        container.delete_blob(name, delete_snapshots="include")
    except ResourceNotFoundError:
        return False
    return True


def put_stream_once(target: BlobClient, stream: IO[bytes]) -> None:
    """Writes a blob from a stream unless it exists; what reading the stream raises leaves no blob."""
    from azure.core.exceptions import HttpResponseError

    if target.exists():
        return
    try:
        target.upload_blob(stream, overwrite=False)
    except HttpResponseError as error:
        if code_of(error) not in _THERE:
            raise  # some other conflict: nothing is known to be there


def copy(source: BlobClient, etag: str, size: int, target: BlobClient, metadata: dict[str, str] | None = None) -> str:
    """Copies a blob inside its account without moving its bytes through this process. Returns the target's ETag.

    The target counts only once it is proven: the copy succeeded, from the source's version `etag`, and has its `size`.
    What an earlier try left behind is waited for while it is pending, and removed and made again where it failed.
    Only then may a caller delete the source, and only that version of it.

    Raises Changed where the source is no longer that version, CopyFailed where no proven copy came about. Copy Blob
    answers before the copy has ended; until then, and after a failure, the target exists and is empty.
    """
    marks = {**(metadata or {}), COPY_OF: etag.strip('"')}
    until = time.monotonic() + _COPY_PATIENCE_SECONDS
    failed = 0
    while failed < _COPY_TRIES:
        _begin_copy(source, etag, target, marks)
        there = _ended(target, until)
        if there is not None and _proven(there, etag, size):
            return str(there.etag)
        if _removed(target, there):
            failed += 1
        elif time.monotonic() >= until:
            break
    raise CopyFailed("no copy inside the account came out complete")


def _removed(target: BlobClient, there: BlobProperties | None) -> bool:
    """Removes a copy that failed. False where another try was faster: that failure is that one's to count."""
    try:
        if there is not None:
            delete(target, str(there.etag))
    except Changed:
        return False
    return there is not None


def _begin_copy(source: BlobClient, etag: str, target: BlobClient, marks: dict[str, str]) -> None:
    """Asks for the copy unless there is a target already, whatever its state."""
    from azure.core import MatchConditions
    from azure.core.exceptions import HttpResponseError

    try:
        target.start_copy_from_url(
            source.url,
            metadata=marks,
            source_etag=etag,
            source_match_condition=MatchConditions.IfNotModified,
            match_condition=MatchConditions.IfMissing,
        )
    except HttpResponseError as error:
        if code_of(error) in ("BlobAlreadyExists", "PendingCopyOperation"):
            return
        gone = error.status_code == 404 and code_of(error) != "ContainerNotFound"
        if gone or error.status_code == 412:
            raise Changed from error
        raise


def _ended(target: BlobClient, until: float) -> BlobProperties | None:
    """The target once its copy is no longer pending; None where the target is gone.

    A copy that has been pending for longer than any copy takes is aborted. Raises CopyFailed at time `until`.
    """
    from azure.core.exceptions import HttpResponseError

    pause = _COPY_POLL_SECONDS
    while (there := properties(target)) is not None and there.copy.status == "pending":
        rehydrated = bool(there.archive_status)  # out of the archive tier it comes within a day
        if not rehydrated and now() - there.last_modified > _COPY_LIFE:
            with suppress(HttpResponseError):  # it may have ended just now; the next look says how
                target.abort_copy(str(there.copy.id))
        elif time.monotonic() >= until:
            raise CopyFailed("a copy inside the account is still pending")
        time.sleep(pause)
        pause = min(2 * pause, _COPY_POLL_MOST_SECONDS)
    return there


def _proven(there: BlobProperties, etag: str, size: int) -> bool:
    # Copies made before COPY_OF was written lack it: their names are made of the source's name and ETag.
    made_of = (there.metadata or {}).get(COPY_OF, etag.strip('"'))
    return bool(there.copy.status == "success" and there.size == size and made_of == etag.strip('"'))


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
            # The bytes as they lie there: a sender's Content-Encoding is a claim, and may be a wrong one.
            pinned: dict[str, Any] = {"etag": self._etag, "match_condition": MatchConditions.IfNotModified}
            self._chunk = self._blob.download_blob(self._position, length, decompress=False, **pinned).readall()
        except (ResourceModifiedError, ResourceNotFoundError) as error:
            raise Changed from error
        self._chunk_at = self._position
