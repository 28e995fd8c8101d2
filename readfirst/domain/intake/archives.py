"""Zip archives read in place: names are never trusted, sizes and counts are limited, nothing is unpacked to disk."""

from __future__ import annotations

import itertools
import lzma
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

from readfirst.domain.intake.lazy_file import LazyFile
from readfirst.domain.refusals import Reason, Refused

MAGIC = b"PK\x03\x04"
EMPTY_MAGIC = b"PK\x05\x06"

# Archives that are not opened, by how they begin: their senders are asked for a zip.
_OTHERS = (
    (b"7z\xbc\xaf\x27\x1c", "7z"), (b"Rar!\x1a\x07", "rar"), (b"\xfd7zXZ\0", "xz"), (b"BZh", "bzip2"),
    (b"\x28\xb5\x2f\xfd", "zstd"), (b"MSCF", "cab"),
)  # fmt: skip
GZIP = b"\x1f\x8b"

MOST_MEMBERS = 20_000
LARGEST_MEMBER = 4 << 30  # bytes, unpacked
LARGEST_TOTAL = 32 << 30  # bytes, unpacked, all members
FREE_RATIO = 1 << 30  # up to this total, any ratio is harmless
HIGHEST_RATIO = 200  # unpacked to packed; uncompressed CT reaches about 3, blank images 1,000
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)  # what reading a damaged member raises
_ENCRYPTED = 0x1
_LARGEST_DIRECTORY = 32 << 20  # bytes: more than so many members need
_ENTRY, _ENTRY_HEAD = b"PK\x01\x02", struct.Struct("<28xHHH12x")  # a central directory entry up to its name
_LOCAL_HEADER = 30


@dataclass(frozen=True)
class Archive:
    """An archive whose directory has been checked; `indices` are the members that are files.

    `closed`: those of them that cannot be opened, and why; the others are none the worse for it.
    """

    zip: zipfile.ZipFile
    indices: tuple[int, ...]
    closed: Mapping[int, Refused]

    def open(self, index: int) -> MemberFile:
        """One member as a seekable file."""
        return MemberFile(self.zip, self.zip.infolist()[index])


def other_kind(head: bytes) -> str:
    """Which kind of archive a file is that is never opened, by its first bytes; "" where it is none."""
    return next((kind for magic, kind in _OTHERS if head.startswith(magic)), "")


def open_archive(file: IO[bytes], size: int) -> Archive | Refused:
    """Checks an archive's directory against the limits. Reads only the directory."""
    try:
        if _overfull(file):
            return Refused(Reason.ZIP_LIMITS, f"at most {MOST_MEMBERS} files")
        archive = zipfile.ZipFile(file)
        members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError):
        return Refused(Reason.ZIP_UNREADABLE)
    if len(members) > MOST_MEMBERS:
        return Refused(Reason.ZIP_LIMITS, f"{len(members)} files; at most {MOST_MEMBERS}")
    total = sum(m.file_size for m in members)
    if any(m.file_size > LARGEST_MEMBER for m in members) or total > LARGEST_TOTAL:
        return Refused(Reason.ZIP_LIMITS, f"{total >> 20} MiB unpacked")
    if total > max(FREE_RATIO, HIGHEST_RATIO * size):
        return Refused(Reason.ZIP_LIMITS, f"{total // max(size, 1)} times larger when unpacked")
    if _overlap(members):
        return Refused(Reason.ZIP_UNREADABLE, "members overlap")
    files = tuple(i for i, m in enumerate(members) if not m.is_dir())
    closed = {i: why for i in files if (why := _closed(members[i]))}
    if files and len(closed) == len(files):
        return closed[files[0]]
    return Archive(archive, files, closed)


def _closed(member: zipfile.ZipInfo) -> Refused | None:
    if member.flag_bits & _ENCRYPTED:
        return Refused(Reason.ZIP_ENCRYPTED)
    if member.compress_type not in _METHODS:
        return Refused(Reason.ZIP_UNREADABLE, "unknown compression method")
    return None


def _overfull(file: IO[bytes]) -> bool:
    """Whether the directory holds too many entries, counted before zipfile makes an object of each.

    What the archive says about their number is not believed: zipfile reads as many as there are.
    """
    end = zipfile._EndRecData(file)  # type: ignore[attr-defined] # the one that ZipFile itself believes
    if not end:
        return False  # no archive: ZipFile says so
    size, start = end[zipfile._ECD_SIZE], end[zipfile._ECD_LOCATION] - end[zipfile._ECD_SIZE]  # type: ignore[attr-defined]
    if end[zipfile._ECD_SIGNATURE] == zipfile.stringEndArchive64:  # type: ignore[attr-defined]
        start -= zipfile.sizeEndCentDir64 + zipfile.sizeEndCentDir64Locator  # type: ignore[attr-defined]
    if size > _LARGEST_DIRECTORY:
        return True
    file.seek(max(0, start))
    directory = file.read(size)
    entries = position = 0
    while directory.startswith(_ENTRY, position) and position + _ENTRY_HEAD.size <= size:
        entries += 1
        position += 46 + sum(_ENTRY_HEAD.unpack_from(directory, position))
    return entries > MOST_MEMBERS


def _overlap(members: list[zipfile.ZipInfo]) -> bool:
    # Bombs of overlapping members reuse one kernel of compressed bytes for thousands of files.
    ordered = sorted(members, key=lambda m: m.header_offset)
    return any(
        a.header_offset + _LOCAL_HEADER + a.compress_size > b.header_offset for a, b in itertools.pairwise(ordered)
    )


class MemberFile(LazyFile):
    """A member as a seekable file of known size. Seeking costs nothing until something is read.

    Damaged data raises zipfile.BadZipFile, zlib.error or EOFError at the read; `DAMAGED` names them all.
    """

    def __init__(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
        super().__init__(member.file_size)
        self._archive, self._member = archive, member
        self._stream: Any = None

    def readinto(self, buffer: Any) -> int:
        """Unpacks from the position into `buffer`; returns how many bytes there were."""
        if self._position >= self._size:
            return 0
        piece = self._unpacked(min(len(buffer), self._size - self._position))
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def _unpacked(self, count: int) -> bytes:
        try:
            if self._stream is None or self._stream.tell() > self._position:
                self._stream = self._archive.open(self._member)
            if self._stream.tell() < self._position:
                self._stream.seek(self._position)
            return bytes(self._stream.read(count))
        except (lzma.LZMAError, RuntimeError, ValueError, struct.error) as error:
            raise zipfile.BadZipFile("a member is damaged") from error
        except OSError as error:
            # bz2 raises a bare OSError for damaged data; what fails while the archive itself is read is a subclass.
            if type(error) is OSError and error.errno is None:
                raise zipfile.BadZipFile("a member is damaged") from error
            raise
