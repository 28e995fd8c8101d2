"""JPEG 2000 and High-Throughput JPEG 2000 codestreams (ITU-T T.800 annex A, T.814) without what no decoder needs.

Kept: the main and tile-part headers' segments that say how to decode, and the packets. Comments, component
registration and packet lengths are left out; the lengths of tile parts are written anew (PS3.5 A.4.4 wants them in the
RPCL form). DICOM takes bare codestreams; of one that came in a file format (JP2, JPX, JPH) only the codestream is kept.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from readfirst.domain.deid.streams import not_readable

START = b"\xff\x4f\xff\x51"  # SOC, SIZ
SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
_SOT, _SOD, _EOC, _TLM, _SIZ, _COD = 0x90, 0x93, 0xD9, 0x55, 0x51, 0x52
# SIZ CAP CPF PRF COD COC RGN QCD QCC POC PPM, and in tile parts PPT
_MAIN = frozenset((_SIZ, 0x50, 0x59, 0x56, _COD, 0x53, 0x5E, 0x5C, 0x5D, 0x5F, 0x60))
_TILE = frozenset((_COD, 0x53, 0x5E, 0x5C, 0x5D, 0x5F, 0x61))
_LEFT_OUT = frozenset((0x64, 0x63, _TLM, 0x57, 0x58))  # COM CRG TLM PLM PLT
_PALETTE = frozenset((b"pclr", b"cmap"))
_SYCC = 18  # a JP2 file's decoders turn these colours into RGB, a bare codestream's do not


@dataclass(frozen=True, slots=True)
class _TilePart:
    tile: int
    part: int
    parts: int
    header: bytes
    packets: bytes

    def __bytes__(self) -> bytes:
        length = 14 + len(self.header) + len(self.packets)
        start = struct.pack(">HHHLBB", 0xFF90, 10, self.tile, length, self.part, self.parts)
        return start + self.header + b"\xff\x93" + self.packets


def bare_jpeg_2000(data: bytes) -> bytes:
    """The codestream with what decoding needs alone. Raises Unreadable for what is not a whole one."""
    data = _codestream(data)
    header, position, had_lengths = _header(data, 2, _MAIN, _SOT)
    parts: list[_TilePart] = []
    while data[position : position + 2] == b"\xff\x90":
        part, position = _tile_part(data, position)
        parts.append(part)
    if not parts or data[position : position + 2] not in (b"\xff\xd9", b"", b"\0", b"\0\0"):
        raise not_readable("no tile part, or something between two")
    written = [bytes(p) for p in parts]
    lengths = _lengths(parts, written) if had_lengths else b""
    return b"\xff\x4f" + header + lengths + b"".join(written) + b"\xff\xd9"


def precision_of(data: bytes) -> int:
    """Bits per sample that a bare codestream has; 0 for what is none."""
    return (data[42] & 0x7F) + 1 if data.startswith(START) and len(data) > 42 else 0


def size_of(data: bytes) -> tuple[int, int]:
    """Rows and columns of a bare codestream; zeros for what is none."""
    if not data.startswith(START) or len(data) < 24:
        return 0, 0
    right, bottom, left, top = struct.unpack_from(">4L", data, 8)
    return bottom - top, right - left


def _codestream(data: bytes) -> bytes:
    """The bare codestream: as it is, out of the boxes of a file format, or without what precedes it."""
    if data.startswith(START):
        return data
    boxed = data.find(SIGNATURE)
    start = data.find(START)
    if 0 <= boxed < start:
        return _unboxed(data[boxed:])
    if start < 0:
        raise not_readable("no start of a JPEG 2000 codestream")
    return data[start:]


def _unboxed(data: bytes) -> bytes:
    """The codestream of a JP2 file (T.800 annex I). Raises Unreadable where its boxes change what the numbers mean."""
    position = 0
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">L4s", data, position)
        head = 8
        if length == 1 and position + 16 <= len(data):
            (length,), head = struct.unpack_from(">Q", data, position + 8), 16
        end = position + length if length else len(data)
        if end > len(data) or end < position + head:
            raise not_readable("a JP2 box is longer than its file")
        body = data[position + head : end]
        if kind == b"jp2h":
            _check_colours(body)
        if kind == b"jp2c":
            if not body.startswith(START):
                raise not_readable("no JPEG 2000 codestream in its JP2 box")
            return body
        position = end
    raise not_readable("a JP2 file without a codestream")


def _check_colours(boxes: bytes) -> None:
    position = 0
    while position + 8 <= len(boxes):
        length, kind = struct.unpack_from(">L4s", boxes, position)
        if kind in _PALETTE:
            raise not_readable("a JP2 file with a palette of its own")
        if kind == b"colr" and boxes[position + 8 : position + 15][::6] == bytes((1, _SYCC)):
            raise not_readable("a JP2 file with colours that its codestream does not have")
        position += length if length >= 8 else len(boxes)


def _header(data: bytes, position: int, known: frozenset[int], until: int) -> tuple[bytes, int, bool]:
    """The needed segments up to the marker `until`, its position, and whether tile-part lengths were among them."""
    kept: list[bytes] = []
    had_lengths = False
    while position + 2 <= len(data) and data[position] == 0xFF:
        code = data[position + 1]
        if code == until:
            return b"".join(kept), position, had_lengths
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if end < position + 4 or end > len(data):
            break
        if code in known:
            kept.append(_exact(code, data[position:end]))
        elif code not in _LEFT_OUT:
            raise not_readable("a JPEG 2000 segment of a kind that is not known")
        had_lengths = had_lengths or code == _TLM
        position = end
    raise not_readable("a JPEG 2000 header breaks off")


def _exact(code: int, segment: bytes) -> bytes:
    """A segment cut to what its syntax gives it, where that is known without the others."""
    size = len(segment)
    if code == _SIZ and size >= 40:
        size = 40 + 3 * int.from_bytes(segment[38:40], "big")
    elif code == _COD and size >= 14:
        size = 14 + (segment[9] + 1 if segment[4] & 1 else 0)
    if size > len(segment):
        raise not_readable("a JPEG 2000 segment is too short")
    return segment[:2] + struct.pack(">H", size - 2) + segment[4:size]


def _tile_part(data: bytes, start: int) -> tuple[_TilePart, int]:
    if len(data) < start + 12:
        raise not_readable("a JPEG 2000 tile part breaks off")
    tile, length, part, parts = struct.unpack_from(">HLBB", data, start + 4)
    end = start + length
    if length == 0:  # the last one: up to the end of the codestream, whose marker no packet can hold
        end = data.find(b"\xff\xd9", start + 12)
        end = len(data) if end < 0 else end
    header, position, _ = _header(data, start + 12, _TILE, _SOD)
    if end > len(data) or position + 2 > end:
        raise not_readable("a JPEG 2000 tile part breaks off")
    return _TilePart(tile, part, parts, header, data[position + 2 : end]), end


def _lengths(parts: list[_TilePart], written: list[bytes]) -> bytes:
    """TLM segments for the tile parts as they are written: 16 bits for the tile, 32 for the length."""
    segments = []
    for number, first in enumerate(range(0, len(parts), _PER_SEGMENT)):
        chunk = range(first, min(first + _PER_SEGMENT, len(parts)))
        entries = b"".join(struct.pack(">HL", parts[k].tile, len(written[k])) for k in chunk)
        segments.append(struct.pack(">HHBB", 0xFF55, 4 + len(entries), number & 0xFF, 0x60) + entries)
    return b"".join(segments)


_PER_SEGMENT = 10_000
