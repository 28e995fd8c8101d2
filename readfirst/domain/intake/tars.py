"""Tar archives read in place, and gzip around them taken off: the same limits as for zips, nothing unpacked to disk."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from dataclasses import dataclass
from typing import IO, Any, cast

from readfirst.domain.intake.archives import FREE_RATIO, HIGHEST_RATIO, LARGEST_MEMBER, LARGEST_TOTAL, MOST_MEMBERS
from readfirst.domain.intake.lazy_file import LazyFile
from readfirst.domain.refusals import Reason, Refused

BLOCK = 512
_LONGEST_HEADER = 1 << 20  # bytes that one member's headers may take together: they are read into memory whole
BROKEN = (gzip.BadGzipFile, zlib.error, EOFError)  # what taking gzip off raises


class TooLarge(Exception):
    """A gzip unpacks beyond the limits."""


@dataclass(frozen=True)
class Member:
    """A file in a tar: where its content begins, and its bytes. `plain`: no link, and no holes."""

    name: str
    offset: int
    size: int
    plain: bool


def is_tar(head: bytes) -> bool:
    """Whether the first block of a file is a tar's: its checksum says so, whichever kind of tar it is."""
    try:
        return bool(tarfile.TarInfo.frombuf(head[:BLOCK], "utf-8", "surrogateescape").name)
    except tarfile.HeaderError:
        return False


def members_of(file: IO[bytes]) -> tuple[Member, ...] | Refused:
    """Every file of a tar in its order, directories left out. Reads only the headers.

    Directories count against the limit too, because each takes memory. A header may say that another header goes on
    with it, as often as it likes: tarfile follows by recursion.
    """
    members: list[Member] = []
    bounded = _Bounded(file)
    try:
        with tarfile.open(fileobj=cast(IO[bytes], bounded), mode="r:") as archive:
            for count, info in enumerate(archive, start=1):
                bounded.next_member()
                if count > MOST_MEMBERS:
                    return Refused(Reason.ZIP_LIMITS, f"more than {MOST_MEMBERS} files and folders")
                if info.isdir():
                    continue
                plain = info.isreg() and not info.issparse()
                members.append(Member(info.name, info.offset_data, info.size if plain else 0, plain))
    except (tarfile.TarError, ValueError, OverflowError, EOFError, RecursionError):
        return Refused(Reason.ZIP_UNREADABLE)
    if any(m.size > LARGEST_MEMBER for m in members):
        return Refused(Reason.ZIP_LIMITS, "a file that is too large")
    return tuple(members)


class _Bounded:
    """A file that is never asked for much: a tar's headers are small, whatever they say of themselves.

    What counts is all that is read for one member: a list of holes or of attributes may go on from header to header.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._left = _LONGEST_HEADER

    def next_member(self) -> None:
        """The headers of a member have been read."""
        self._left = _LONGEST_HEADER

    def read(self, count: int = -1) -> bytes:
        if not 0 <= count <= self._left:
            raise tarfile.ReadError("a header that is too long")
        self._left -= count
        return self._file.read(count)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


class Section(LazyFile):
    """A part of a seekable file as a file of its own."""

    def __init__(self, file: IO[bytes], offset: int, size: int) -> None:
        super().__init__(size)
        self._file, self._offset = file, offset

    def readinto(self, buffer: Any) -> int:
        """Fills `buffer` from the position; returns how many bytes there were."""
        self._file.seek(self._offset + self._position)
        piece = self._file.read(min(len(buffer), max(0, self._size - self._position)))
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)


class Unpacked(io.RawIOBase):
    """What a gzip holds, read forward. Raises TooLarge beyond the limits for a packed file of `size` bytes."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        super().__init__()
        self._stream = gzip.GzipFile(fileobj=file, mode="rb")
        self._left = min(LARGEST_TOTAL, max(FREE_RATIO, HIGHEST_RATIO * size))

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Unpacks the next bytes into `buffer`."""
        piece = self._stream.read(len(buffer))
        self._left -= len(piece)
        if self._left < 0:
            raise TooLarge
        buffer[: len(piece)] = piece
        return len(piece)
