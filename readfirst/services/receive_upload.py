"""Receive: read a new upload's header, move it out of the clinic's reach, write it into the ledger.

Nothing here raises on bad input: what cannot be taken is set aside with a reason that the clinic can read. The
inbox is cleared last, so that a kill at any point repeats the whole step, and repeating it changes nothing.
"""

from __future__ import annotations

import io
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, BinaryIO, cast

from pydantic import ValidationError

from readfirst.adapters import blobs, clients, secrets
from readfirst.adapters.clock import now
from readfirst.adapters.uploads import clinic_results
from readfirst.adapters.uploads.ledger import Ledger, ledger_of
from readfirst.adapters.uploads.sent import Sent
from readfirst.domain import resource_names
from readfirst.domain.deid import named_in, read_header
from readfirst.domain.intake import archives, tars
from readfirst.domain.intake.headers import Header, header_of
from readfirst.domain.intake.ledger import Arrival, ArrivalNote, Complete, Others
from readfirst.domain.pseudonyms import Pseudonyms
from readfirst.domain.refusals import Reason, Refused, Skipped
from readfirst.domain.workflow_messages import Run

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient

_COMPLETE = {"complete", "complete.json"}
_LARGEST_COMPLETE = 64 << 10
_LARGEST_FILE = 8 << 30
_PARALLEL_MEMBERS = 8


@dataclass(frozen=True)
class Upload:
    """One blob in a clinic's inbox, pinned to the version that was seen."""

    clinic: str
    blob: BlobClient
    name: str
    etag: str
    size: int
    keys: Pseudonyms
    encoding: str = ""  # the Content-Encoding that its sender gave it
    before: Sent | None = None  # of a file that a person released from quarantine: how its clinic had sent it

    @property
    def id(self) -> str:
        """Names the upload in Readfirst: the same for the same version of the same blob."""
        return self.keys.arrival(self.name, self.etag)

    @property
    def sent(self) -> Sent:
        """How its clinic sent it, and knows it."""
        return self.before or Sent(self.name, self.id)

    def open(self) -> io.BufferedReader:
        """The upload as a file read by ranges."""
        return io.BufferedReader(blobs.BlobFile(self.blob, self.etag, self.size), 64 << 10)


@dataclass(frozen=True)
class Received:
    """What one upload led to: the runs that must exist, then `clear` empties its place in the inbox."""

    runs: frozenset[Run] = frozenset()
    clear: Callable[[], None] = field(default=lambda: None)


def receive(clinic: str, blob: BlobClient) -> Received:
    """Takes one upload of a clinic. An upload that is gone, or was replaced meanwhile, needs nothing."""
    seen = blobs.properties(blob)
    if seen is None:
        return Received()
    upload = Upload(
        clinic,
        blob,
        str(blob.blob_name),
        str(seen.etag),
        int(seen.size),
        secrets.pseudonyms(clinic),
        str(seen.content_settings.content_encoding or ""),
        Sent.of(seen.metadata),
    )
    try:
        runs = _take(upload)
    except blobs.Changed:
        return Received()  # the new version has an event of its own
    return Received(runs, lambda: _clear(upload))


def _clear(upload: Upload) -> None:
    try:
        blobs.delete(upload.blob, upload.etag)
    except blobs.Changed:
        return  # replaced while we took the old version: the new one has an event of its own


def _take(upload: Upload) -> frozenset[Run]:
    if upload.sent.name.rsplit("/", 1)[-1].lower() in _COMPLETE:
        return _take_complete(upload)
    if upload.size > _LARGEST_FILE:
        return set_aside(upload, Refused(Reason.TOO_LARGE))
    with upload.open() as file:
        if file.peek(4)[:4] in (archives.MAGIC, archives.EMPTY_MAGIC):
            return _take_archive(upload, file)
        head = file.peek(tars.BLOCK)[: tars.BLOCK]
        if head.startswith(archives.GZIP) or (head[128:132] != b"DICM" and tars.is_tar(head)):
            return _take_tar(upload, file, packed=head.startswith(archives.GZIP))
        if kind := archives.other_kind(head):
            return set_aside(upload, Refused(Reason.ARCHIVE, kind))
        header = _header(file)
        named = named_in(cast(BinaryIO, file)) if isinstance(header, Refused) else ("", "")
    if not isinstance(header, Header):
        return _not_taken(upload, header, named)
    token = upload.keys.study_token(header.study_uid)
    original, etag = _move(upload, f"{token}/{upload.id}")
    return frozenset({_arrive(upload, header, Moved(original, etag, upload.id, upload.size))})


def _take_complete(upload: Upload) -> frozenset[Run]:
    try:
        with upload.open() as file:
            complete = Complete.model_validate_json(file.read(_LARGEST_COMPLETE))
    except ValidationError:
        return set_aside(upload, Refused(Reason.BAD_COMPLETE))
    token = upload.keys.study_token(complete.study_uid)
    # No run has to be started: the study's files start it, before this message or after, and its next look reads it.
    ledger_of(token).say_complete(complete)
    return frozenset()


def _take_archive(upload: Upload, file: IO[bytes]) -> frozenset[Run]:
    archive = archives.open_archive(file, upload.size)
    if isinstance(archive, Refused):
        return set_aside(upload, archive)
    seen = [_member_header(archive, index) for index in archive.indices]
    images = [(i, h) for i, h in zip(archive.indices, seen, strict=True) if isinstance(h, Header)]
    others = [(i, h) for i, h in zip(archive.indices, seen, strict=True) if not isinstance(h, Header)]
    if not images:
        return set_aside(upload, Refused(Reason.ZIP_NO_DICOM))
    original, etag = _move(upload, f"zips/{upload.id}")
    members = archive.zip.infolist()

    def moved(index: int) -> Moved:
        arrival = upload.keys.arrival(upload.id, str(index))
        return Moved(original, etag, arrival, members[index].file_size, index)

    return _take_members(
        upload,
        [(header, moved(index)) for index, header in images],
        [Other(members[i].filename, verdict, *_named(archive, i, verdict)) for i, verdict in others],
    )


def _take_tar(upload: Upload, file: io.BufferedReader, packed: bool) -> frozenset[Run]:
    """A tar is kept whole and read in place. One in a gzip is kept without it: that can be read forward only."""
    name = f"{resource_names.TARS}{upload.id}"
    target = clients.container(resource_names.UPLOADS, resource_names.ORIGINALS).get_blob_client(name)
    try:
        if packed:
            unpacked = io.BufferedReader(tars.Unpacked(file, upload.size), 1 << 20)
            if not tars.is_tar(unpacked.peek(tars.BLOCK)):
                return _not_taken(upload, Refused(Reason.ARCHIVE, "a gzip without a tar in it"))
            blobs.put_stream_once(target, unpacked)
        else:
            blobs.copy(upload.blob, upload.etag, upload.size, target)
    except tars.BROKEN:
        return _not_taken(upload, Refused(Reason.ZIP_UNREADABLE))
    except tars.TooLarge:
        return _not_taken(upload, Refused(Reason.ZIP_LIMITS, "too large when unpacked"))
    kept = target.get_blob_properties()
    whole = io.BufferedReader(blobs.BlobFile(target, str(kept.etag), int(kept.size)), 64 << 10)
    members = tars.members_of(whole)
    if isinstance(members, Refused):
        return _not_taken(upload, members)
    seen = [(m, _tar_header(whole, m)) for m in members]
    images = [(m, h) for m, h in seen if isinstance(h, Header)]
    if not images:
        return _not_taken(upload, Refused(Reason.ZIP_NO_DICOM))

    etag = str(kept.etag)

    def moved(member: tars.Member) -> Moved:
        arrival = upload.keys.arrival(upload.id, str(member.offset))
        return Moved(name, etag, arrival, member.size, member.offset)

    return _take_members(
        upload,
        [(header, moved(member)) for member, header in images],
        [Other(m.name, v, *_tar_named(whole, m, v)) for m, v in seen if not isinstance(v, Header)],
    )


@dataclass(frozen=True)
class Other:
    """A member of an archive that is not taken: its name, why, and the study and instance that it names, if any."""

    name: str
    verdict: Refused | Skipped
    study: str = ""
    sop: str = ""


def _take_members(upload: Upload, images: Sequence[tuple[Header, Moved]], others: Sequence[Other]) -> frozenset[Run]:
    """Writes an archive's images into the ledger, counts its other members with their studies, and tells the clinic."""
    _keep_others(upload, {header.study_uid for header, _ in images}, others)
    with ThreadPoolExecutor(_PARALLEL_MEMBERS) as pool:
        runs = frozenset(pool.map(lambda image: _arrive(upload, *image), images))
    clinic_results.say_archive(
        upload.clinic,
        upload.sent.upload,
        upload.sent.name,
        taken=len(images),
        others=[(other.name, other.verdict) for other in others],
    )
    return runs


def _not_taken(upload: Upload, verdict: Refused | Skipped, named: tuple[str, str] = ("", "")) -> frozenset[Run]:
    """Where a tool has packed the upload on the way, that is the reason, and not what the bytes look like."""
    return set_aside(upload, Refused(Reason.CONTENT_ENCODING) if upload.encoding else verdict, named)


def _tar_named(whole: IO[bytes], member: tars.Member, verdict: Refused | Skipped) -> tuple[str, str]:
    if isinstance(verdict, Skipped) or not member.plain:
        return "", ""
    return named_in(cast(BinaryIO, io.BufferedReader(tars.Section(whole, member.offset, member.size), 16 << 10)))


def _tar_header(whole: IO[bytes], member: tars.Member) -> Header | Refused | Skipped:
    if not member.plain:
        return Refused(Reason.EMPTY, "a link, or a file with holes")
    return _header(io.BufferedReader(tars.Section(whole, member.offset, member.size), 16 << 10))


def _keep_others(upload: Upload, studies: set[str], others: Sequence[Other]) -> None:
    """Counts an archive's other members with the study that they name, or else with each study in the archive."""
    for study in studies | {other.study for other in others if other.study}:
        mine = [o for o in others if o.study == study or (not o.study and study in studies)]
        refused = [(o.verdict.reason.value, o.sop) for o in mine if isinstance(o.verdict, Refused)]
        ledger_of(upload.keys.study_token(study)).keep_others(
            upload.id,
            Others(
                skipped=Counter(o.verdict.what for o in mine if isinstance(o.verdict, Skipped)),
                refused=Counter(reason for reason, _ in refused),
                instances={upload.keys.arrival("instance", sop): reason for reason, sop in refused if sop},
            ),
        )


def _named(archive: archives.Archive, index: int, verdict: Refused | Skipped) -> tuple[str, str]:
    if isinstance(verdict, Skipped):
        return "", ""
    try:
        return named_in(cast(BinaryIO, io.BufferedReader(archive.open(index), 16 << 10)))
    except archives.DAMAGED:
        return "", ""


def _header(file: IO[bytes]) -> Header | Refused | Skipped:
    """A file's header. Whatever its content makes the parser raise is a refusal: one file never stops the others."""
    try:
        found = read_header(cast(BinaryIO, file))
    except archives.DAMAGED:
        raise
    except blobs.faults():
        raise
    except Exception as error:
        logging.warning("a header was refused after a fault: %s", type(error).__name__)
        return Refused(Reason.UNREADABLE)
    return found if isinstance(found, (Refused, Skipped)) else header_of(found)


def _member_header(archive: archives.Archive, index: int) -> Header | Refused | Skipped:
    if index in archive.closed:
        return archive.closed[index]
    try:
        return _header(io.BufferedReader(archive.open(index), 16 << 10))
    except archives.DAMAGED:
        return Refused(Reason.ZIP_UNREADABLE, "a member is damaged")


@dataclass(frozen=True)
class Moved:
    """Where an uploaded file lies now: a blob of container `originals`, or a member of a zip or tar there."""

    original: str
    etag: str
    arrival: str
    size: int
    member: int | None = None


def _move(upload: Upload, name: str) -> tuple[str, str]:
    target = clients.container(resource_names.UPLOADS, resource_names.ORIGINALS).get_blob_client(name)
    return name, blobs.copy(upload.blob, upload.etag, upload.size, target)


def _arrive(upload: Upload, header: Header, moved: Moved) -> Run:
    token = upload.keys.study_token(header.study_uid)
    note = ArrivalNote(
        id=moved.arrival,
        series=upload.keys.arrival("series", header.series_uid),
        modality=header.modality,
        arrived=now(),
    )
    ledger = ledger_of(token)
    ledger.record(
        Arrival(
            note=note,
            clinic=upload.clinic,
            upload=upload.sent.name,
            original=moved.original,
            etag=moved.etag,
            size=moved.size,
            member=moved.member,
            study_uid=header.study_uid,
            instance=upload.keys.arrival("instance", header.sop_uid),
            known=header.known,
            accession=header.accession,
            stated=header.stated,
        )
    )
    return _next_run(ledger, token, upload.clinic)


def _next_run(ledger: Ledger, token: str, clinic: str) -> Run:
    return Run(token=token, clinic=clinic, n=ledger.runs() + 1)


def set_aside(upload: Upload, verdict: Refused | Skipped, named: tuple[str, str] = ("", "")) -> frozenset[Run]:
    """Moves what cannot be taken into quarantine, where it can be looked at and replayed, and tells the clinic. Of a
    file whose beginning names its study (and instance), the study's readers are told that it is missing."""
    target = clients.container(resource_names.UPLOADS, resource_names.QUARANTINE).get_blob_client(
        f"{upload.clinic}/{upload.id}"
    )
    reason = verdict.reason.value if isinstance(verdict, Refused) else "skipped"
    metadata = {"reason": reason, **upload.sent.metadata}
    if named[0]:
        metadata["study"] = upload.keys.study_token(named[0])
        missing = {upload.keys.arrival("instance", named[1]): reason} if named[1] else {}
        ledger_of(metadata["study"]).keep_others(upload.id, Others(refused={reason: 1}, instances=missing))
    blobs.copy(upload.blob, upload.etag, upload.size, target, metadata=metadata)
    clinic_results.say_upload(upload.clinic, upload.sent.upload, upload.sent.name, verdict)
    return frozenset()
