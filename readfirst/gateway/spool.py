"""The disk spool: what a peer was told is stored is on the disk, whole, until the inbox has confirmed it.

A file is written in `incoming/`, moved to `waiting/` in one step, and made durable there, before its sender hears of
it. Names say when a file came and how long it is, and nothing of what it is. The folder holds identifiers: it is open
to its owner alone, and belongs on an encrypted disk.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import secrets
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from readfirst.domain.faults import WrongCall

INCOMING, WAITING, RESULTS = "incoming", "waiting", "results"
IMPLEMENTATION_CLASS_UID = "2.25.119468520171184210365180284961936519.2"
IMPLEMENTATION_VERSION = "READFIRST_GATE"
_PREAMBLE = b"\0" * 128 + b"DICM"
_SUFFIX = ".dcm"
_LONG_VRS = ("OB",)
_EARLY = 64 << 10  # bytes
_LOOK_BYTES = 64 << 20  # of one file, between two looks at the disk


class Full(Exception):
    """The disk has no room for another file."""


class Incoming:
    """A file on its way in. It counts from `keep` on; until then a kill leaves nothing that anybody waits for."""

    def __init__(self, spool: Spool, head: bytes) -> None:
        self._name = f"{time.time_ns():020d}-{secrets.token_hex(4)}"
        self._part = spool.root / INCOMING / self._name
        self._waiting = spool.root / WAITING
        self._spool = spool
        self._looked = 0
        self._file = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self.size = 0
        self.write(head)

    def write(self, data: bytes | memoryview) -> None:
        """Adds bytes. Raises OSError, and Full where the file is large and the disk has become short of room."""
        view = memoryview(data)
        if self.size + view.nbytes > self._looked + _LOOK_BYTES:
            self._spool.look()
            self._looked = self.size
        while view.nbytes:
            written = os.write(self._file, view)
            if written >= _EARLY:  # the disk begins at once, so that `keep` has less to wait for
                os.posix_fadvise(self._file, self.size, written, os.POSIX_FADV_DONTNEED)
            view = view[written:]
            self.size += written

    def keep(self) -> Path:
        """Lets the file count and makes it durable. Returns its path. Raises OSError, and then it does not count.

        One flush does for the data and the name: the journal of ext4, the log of XFS and that of Btrfs reach as far as
        the file's last change, which is its new name. Where the power fails between the two, the name says a length
        that the file does not have, and `Spool` removes it: nobody was answered.
        """
        kept = self._waiting / f"{self._name}-{self.size}{_SUFFIX}"
        self._part.rename(kept)
        try:
            os.fsync(self._file)
        except OSError:
            kept.unlink(missing_ok=True)
            raise
        os.close(self._file)
        self._file = -1
        return kept

    def discard(self) -> None:
        """Forgets what came, whatever state it is in."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._part.unlink(missing_ok=True)


@dataclass(frozen=True)
class Content:
    """What waits in the spool: how many files, their bytes, and for how many seconds the oldest has waited."""

    files: int
    bytes: int
    oldest: float


class Spool:
    """A folder of one gateway. Raises WrongCall where another process uses it, or others may read it."""

    def __init__(self, root: Path, *, keep_free: int) -> None:
        self.root = root
        self._keep_free = keep_free
        for folder in (root, *(root / name for name in (INCOMING, WAITING, RESULTS))):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if root.stat().st_uid == os.geteuid():
            root.chmod(0o700)
        if root.stat().st_mode & 0o077:
            raise WrongCall(f"others may read the spool, and it holds identifiers: chmod 700 {root}")
        self._lock = (root / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise WrongCall(f"another gateway uses the spool {root}") from None
        self._folders = {name: os.open(root / name, os.O_RDONLY) for name in (INCOMING, WAITING, RESULTS)}
        for left in (root / INCOMING).iterdir():  # what a kill interrupted: its sender was told nothing
            left.unlink()
        for left in (root / RESULTS).glob("*.part"):
            left.unlink()
        for file in (root / WAITING).iterdir():
            if file.stat().st_size != _stated(file.name):
                file.unlink()  # the power failed before it was durable: its sender was not answered

    def begin(self, head: bytes) -> Incoming:
        """A new file that begins with those bytes. Raises Full, or OSError."""
        self.look()
        return Incoming(self, head)

    def look(self) -> None:
        """Raises Full where the disk has less room than it must keep."""
        if self.free() < self._keep_free:
            raise Full

    def sync(self, folder: str) -> None:
        """Makes the names in a folder durable."""
        os.fsync(self._folders[folder])

    def free(self) -> int:
        """Bytes that are free on the spool's disk."""
        there = os.statvfs(self.root)
        return there.f_bavail * there.f_frsize

    def oldest(self, most: int, besides: frozenset[str] = frozenset()) -> list[Path]:
        """The files that have waited longest, oldest first, without those of these names."""
        with os.scandir(self.root / WAITING) as entries:
            names = heapq.nsmallest(most, (e.name for e in entries if e.name not in besides))
        return [self.root / WAITING / name for name in names]

    def content(self) -> Content:
        """What waits now."""
        files = total = 0
        first = ""
        for entry in self._entries():
            files += 1
            total += entry.stat().st_size
            first = min(first or entry.name, entry.name)
        waited = time.time() - int(first.split("-")[0]) / 1e9 if first else 0.0
        return Content(files, total, max(0.0, waited))

    def _entries(self) -> Iterator[os.DirEntry[str]]:
        with os.scandir(self.root / WAITING) as entries:
            for entry in entries:
                try:
                    entry.stat()
                except FileNotFoundError:
                    continue  # sent meanwhile
                yield entry

    def encrypted(self) -> bool | None:
        """Whether the spool's disk is encrypted by the kernel (dm-crypt); None where that cannot be seen."""
        device = self.root.stat().st_dev
        return _encrypted(Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}"))

    def close(self) -> None:
        """Lets another process use the folder."""
        for folder in self._folders.values():
            os.close(folder)
        self._lock.close()


def _stated(name: str) -> int:
    """The length that a name states; -1 where it states none."""
    length = name.removesuffix(_SUFFIX).rpartition("-")[2]
    return int(length) if length.isdecimal() else -1


def _encrypted(device: Path) -> bool | None:
    if not device.exists():
        return None  # an overlay, a network disk, another system: nothing is known
    uuid = device / "dm" / "uuid"
    if uuid.exists() and uuid.read_text().startswith("CRYPT-"):
        return True
    below = [one.resolve() for one in (device / "slaves").iterdir()] if (device / "slaves").is_dir() else []
    return bool(below) and all(_encrypted(one) for one in below)


def file_head(class_uid: str, instance_uid: str, transfer_syntax: str, sender: str) -> bytes:
    """Preamble and file meta information (PS3.10 7.1) for a data set that follows as it was received."""
    meta = (
        (0x0001, "OB", b"\0\1"),
        (0x0002, "UI", class_uid.encode("ascii", "replace")),
        (0x0003, "UI", instance_uid.encode("ascii", "replace")),
        (0x0010, "UI", transfer_syntax.encode("ascii")),
        (0x0012, "UI", IMPLEMENTATION_CLASS_UID.encode()),
        (0x0013, "SH", IMPLEMENTATION_VERSION.encode()),
        (0x0016, "AE", sender.encode("ascii", "replace")),
    )
    body = b"".join(_element(*one) for one in meta)
    return _PREAMBLE + _element(0x0000, "UL", struct.pack("<L", len(body))) + body


def _element(element: int, vr: str, value: bytes) -> bytes:
    value += (b"\0" if vr in ("UI", "OB") else b" ") * (len(value) % 2)
    if vr in _LONG_VRS:
        return struct.pack("<HH2sHL", 2, element, vr.encode(), 0, len(value)) + value
    return struct.pack("<HH2sH", 2, element, vr.encode(), len(value)) + value
