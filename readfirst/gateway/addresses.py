"""The clinic's two addresses, from a file that may be replaced while the gateway runs.

The file is what `readfirst sas CLINIC` prints. An address lives for seven days at most, so something in the clinic
replaces the file in time; the gateway reads it again when it has changed. It serves one clinic for as long as its
spool lives: an address of another one is refused, whatever the file says.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from readfirst.adapters import retries
from readfirst.domain import resource_names
from readfirst.domain.faults import Fault
from readfirst.gateway.journal import Journal

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

_LINE = re.compile(r"^(inbox|results)\s+(\S+)$", re.MULTILINE)
_CLINIC = "clinic"
_PIECE = 4 << 20  # bytes of a file in memory at a time: the SDK would hold 64 MiB of each


class NoAddress(Fault):
    """There is no address that can be used; the text says why, without the address."""


@dataclass(frozen=True)
class Addresses:
    """Both containers of one clinic."""

    clinic: str
    inbox: ContainerClient
    results: ContainerClient
    until: datetime | None


class AddressFile:
    """Reads the file when it has changed."""

    def __init__(self, path: Path, journal: Journal) -> None:
        self._path, self._journal = path, journal
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._found: Addresses | NoAddress = NoAddress("not read yet")

    def current(self) -> Addresses:
        """The addresses. Raises NoAddress."""
        with self._lock:
            seen = self._stamp()
            if seen != self._seen:
                self._found, self._seen = self._read(), seen
            if isinstance(self._found, NoAddress):
                raise self._found
            return self._found

    def changed(self) -> bool:
        """Whether the file is another one than `current` has read."""
        return self._stamp() != self._seen

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            there = self._path.stat()
        except OSError:
            return (0, 0, 0)
        return (there.st_ino, there.st_mtime_ns, there.st_size)

    def _read(self) -> Addresses | NoAddress:
        from azure.storage.blob import ContainerClient

        try:
            text = self._path.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            return NoAddress("the file of addresses cannot be read")
        found = dict(_LINE.findall(text))
        if set(found) != {"inbox", "results"}:
            return NoAddress("the file of addresses does not hold an inbox and a results address")
        clinic = _clinic_of(found["inbox"], resource_names.inbox(""))
        if not clinic or clinic != _clinic_of(found["results"], resource_names.results("")):
            return NoAddress("the two addresses are not those of one clinic")
        known = self._journal.fact(_CLINIC)
        if known and known != clinic:
            return NoAddress("the addresses belong to another clinic than this spool")
        if not known:
            self._journal.remember(_CLINIC, clinic)
        options = {**retries.storage(), "max_single_put_size": _PIECE, "max_block_size": _PIECE}
        inbox, results = (ContainerClient.from_container_url(found[name], **options) for name in ("inbox", "results"))
        return Addresses(clinic, inbox, results, _until(found["inbox"]))


def _clinic_of(url: str, prefix: str) -> str:
    container = urlsplit(url).path.rstrip("/").rsplit("/", 1)[-1]
    return container.removeprefix(prefix) if container.startswith(prefix) else ""


def _until(url: str) -> datetime | None:
    ends = parse_qs(urlsplit(url).query).get("se", [""])[0]
    try:
        return datetime.fromisoformat(ends)
    except ValueError:
        return None
