"""PDUs and DIMSE commands on a socket, with limits: nothing that a peer says decides how much memory is taken.

The association's own PDUs are encoded and decoded by pynetdicom; data is moved here, because its receiving side has
no limit for a PDU, waits for a peer without end, and moves data in pieces of 4 KiB. PS3.8 9.3, PS3.7 6.3 and E.1.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
LONGEST_ASSOCIATE: Final = 1 << 20  # 128 contexts in every transfer syntax take a quarter of it
LONGEST_COMMAND: Final = 64 << 10
_ARTIM: Final = 5.0  # seconds for the peer to close the connection
NO_DATA_SET: Final = 0x0101  # (0000,0800) Command Data Set Type

_QUICK_ACK: Final = getattr(socket, "TCP_QUICKACK", None)  # Linux
_PDU = struct.Struct(">BBL")
_PDV = struct.Struct(">LBB")
_ELEMENT = struct.Struct("<HHL")

# Of a command, what the gateway reads or writes: element of group 0000 -> whether it is a UID (else a number, US).
CLASS_UID, REQUESTED_CLASS_UID, FIELD, MESSAGE_ID, ANSWERED_ID = 0x0002, 0x0003, 0x0100, 0x0110, 0x0120
DATA_SET_TYPE, STATUS, ERROR_ID = 0x0800, 0x0900, 0x0903
INSTANCE_UID, REQUESTED_INSTANCE_UID, EVENT_TYPE = 0x1000, 0x1001, 0x1002
_UIDS = frozenset({CLASS_UID, REQUESTED_CLASS_UID, INSTANCE_UID, REQUESTED_INSTANCE_UID})
_NUMBERS = frozenset({FIELD, MESSAGE_ID, ANSWERED_ID, DATA_SET_TYPE, STATUS, ERROR_ID, EVENT_TYPE})


class Gone(Exception):
    """The peer closed the connection, or the line broke."""


class Silent(Exception):
    """The peer stopped in the middle, or said nothing for too long."""


class Garbage(Exception):
    """What came is not DICOM, or more than was agreed. The text is one of ours and holds nothing of the peer's."""


@dataclass(frozen=True)
class Fragment:
    """One presentation data value: a piece of a command or of a data set. `data` is valid until the next read."""

    context: int
    command: bool
    last: bool
    data: memoryview


class Wire:
    """A peer's connection. `longest`: bytes of a P-DATA-TF PDU that were agreed; `patience`: seconds for one PDU."""

    def __init__(self, peer: socket.socket, *, longest: int, patience: float) -> None:
        self._socket = peer
        self._longest = longest
        self._patience = patience
        self._buffer = memoryview(bytearray(2 * longest + 64))
        self._start = self._end = 0
        peer.settimeout(patience)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def next(self, idle: float) -> tuple[int, memoryview]:
        """The next PDU: its type, and what follows its length. Waits `idle` seconds for it to begin.

        Raises Gone, Silent, or Garbage.
        """
        self._await(idle)
        until = time.monotonic() + self._patience
        kind, _, length = _PDU.unpack(self._take(_PDU.size, until))
        if not ASSOCIATE_RQ <= kind <= ABORT:
            raise Garbage("not a PDU")
        if length > (LONGEST_ASSOCIATE if kind == ASSOCIATE_RQ else self._longest):
            raise Garbage("a PDU longer than agreed")
        return kind, self._take(length, until)

    def send(self, data: bytes) -> None:
        """Sends bytes. Raises Gone or Silent."""
        try:
            self._socket.sendall(data)
        except TimeoutError:
            raise Silent from None
        except OSError:
            raise Gone from None

    def part(self) -> None:
        """After the last answer: leaves it to the peer to close the connection, for a while (PS3.8 9.2, Sta13).

        Some peers notice that a connection is gone before they look at what came on it, and take a rejection for a
        broken line, which they try again.
        """
        until = time.monotonic() + _ARTIM
        with contextlib.suppress(OSError):
            while (left := until - time.monotonic()) > 0:
                self._socket.settimeout(left)
                if not self._socket.recv(1 << 10):
                    return

    def close(self) -> None:
        """Ends the connection."""
        self._socket.close()

    def _await(self, idle: float) -> None:
        if self._start == self._end:
            self._socket.settimeout(idle)
            try:
                self._fill(self._buffer.nbytes)
            finally:
                self._socket.settimeout(self._patience)

    def _take(self, size: int, until: float) -> memoryview:
        """`size` bytes, as a view of the buffer where they fit."""
        if size > self._buffer.nbytes:
            return self._gathered(size, until)
        if self._start + size > self._buffer.nbytes:
            left = self._end - self._start
            self._buffer[:left] = bytes(self._buffer[self._start : self._end])
            self._start, self._end = 0, left
        while self._end - self._start < size:
            self._fill(self._buffer.nbytes)
            if time.monotonic() > until:
                raise Silent
        taken = self._buffer[self._start : self._start + size]
        self._start += size
        return taken

    def _gathered(self, size: int, until: float) -> memoryview:
        """More than the buffer holds: a large association request, of at most LONGEST_ASSOCIATE bytes."""
        whole = bytearray()
        while len(whole) < size:
            whole += self._take(min(size - len(whole), self._longest), until)
        return memoryview(whole)

    def _fill(self, most: int) -> None:
        if self._start == self._end:
            self._start = self._end = 0
        try:
            count = self._socket.recv_into(self._buffer[self._end : most])
        except TimeoutError:
            raise Silent from None
        except OSError:
            raise Gone from None
        if not count:
            raise Gone
        self._end += count
        if _QUICK_ACK is not None:
            # A sender with Nagle's algorithm holds the end of each image back until what came before it is
            # acknowledged, and Linux does that 40 ms later. The option lasts for one answer, so it is set each time.
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICK_ACK, 1)


def fragments(pdu: memoryview) -> Iterator[Fragment]:
    """The presentation data values of a P-DATA-TF PDU (PS3.8 9.3.5). Raises Garbage."""
    at = 0
    while at < pdu.nbytes:
        if pdu.nbytes - at < _PDV.size:
            raise Garbage("a PDU that ends inside a value")
        length, context, control = _PDV.unpack_from(pdu, at)
        if length < 2 or at + 4 + length > pdu.nbytes:
            raise Garbage("a value that is longer than its PDU")
        yield Fragment(context, bool(control & 1), bool(control & 2), pdu[at + _PDV.size : at + 4 + length])
        at += 4 + length


def data_pdu(context: int, data: bytes, *, command: bool, last: bool = True) -> bytes:
    """A P-DATA-TF PDU of one value."""
    control = int(command) | (int(last) << 1)
    return _PDU.pack(P_DATA, 0, 4 + 2 + len(data)) + _PDV.pack(2 + len(data), context, control) + data


def short_pdu(kind: int, *last: int) -> bytes:
    """A PDU of four bytes, of which the last ones are given: a rejection, release or abort (PS3.8 9.3.4 to 9.3.8)."""
    return _PDU.pack(kind, 0, 4) + bytes(4 - len(last)) + bytes(last)


def command_of(data: bytes) -> dict[int, int | str]:
    """Reads a command set (Implicit VR Little Endian, PS3.7 6.3.1): numbers and UIDs, the rest is passed over.

    Raises Garbage.
    """
    found: dict[int, int | str] = {}
    at = 0
    while at < len(data):
        if len(data) - at < _ELEMENT.size:
            raise Garbage("a command that ends inside an element")
        group, element, length = _ELEMENT.unpack_from(data, at)
        at += _ELEMENT.size
        value = data[at : at + length]
        if group or len(value) != length:
            raise Garbage("not a command")
        at += length
        if element in _UIDS:
            found[element] = value.rstrip(b"\0 ").decode("ascii", "replace")
        elif element in _NUMBERS and length == 2:
            found[element] = int.from_bytes(value, "little")
    if not isinstance(found.get(FIELD), int):
        raise Garbage("a command without a field")
    return found


def command(elements: Mapping[int, int | str]) -> bytes:
    """Writes a command set, its group length first."""
    body = b"".join(_encoded(element, elements[element]) for element in sorted(elements))
    return _ELEMENT.pack(0, 0, 4) + struct.pack("<L", len(body)) + body


def _encoded(element: int, value: int | str) -> bytes:
    data = struct.pack("<H", value) if isinstance(value, int) else value.encode("ascii", "replace")
    data += b"\0" * (len(data) % 2)
    return _ELEMENT.pack(0, element, len(data)) + data
