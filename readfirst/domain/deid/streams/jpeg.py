"""JPEG and JPEG-LS streams (ITU-T T.81 annex B, T.87 annex C) without what no decoder needs.

Kept: frame and scan headers, the tables that they name, restart intervals and the coded data. Of the application
segments three change how decoders read colours (JFIF, Adobe's transform, HP's transform for JPEG-LS); of these only
that one fact is kept. Comments, every other application segment (EXIF, XMP, ICC, thumbnails), tables that nothing
uses, filling between segments, and what lies before or behind the picture are left out.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from readfirst.domain.deid.streams import not_readable

START = b"\xff\xd8\xff"
_SOI, _EOI, _SOS, _DQT, _DHT, _DRI, _DNL, _COM, _LSE, _SOF_LS = (
    0xD8,
    0xD9,
    0xDA,
    0xDB,
    0xC4,
    0xDD,
    0xDC,
    0xFE,
    0xF8,
    0xF7,
)
_STANDALONE = frozenset((0x01, *range(0xD0, 0xD8)))
# Baseline, extended, progressive and lossless Huffman coding, and JPEG-LS: what DICOM has ever used and decoders read.
_FRAMES = frozenset((0xC0, 0xC1, 0xC2, 0xC3, _SOF_LS))
_LOSSLESS = frozenset((0xC3, _SOF_LS))
# In coded data a marker is what is neither a stuffed byte nor a restart: T.81 stuffs zeros, T.87 a bit.
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_MARKER_LS = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")
_JFIF = b"JFIF\0\1\1\0\0\1\0\1\0\0"  # version, density and thumbnail say nothing about the pixels


@dataclass(frozen=True, slots=True)
class Segment:
    """A marker, what its segment holds, and the coded data behind it (of a scan)."""

    code: int
    body: bytes
    coded: bytes = b""

    def __bytes__(self) -> bytes:
        return struct.pack(">BBH", 0xFF, self.code, len(self.body) + 2) + self.body + self.coded


@dataclass(frozen=True, slots=True)
class Frame:
    """What a frame header says."""

    precision: int  # bits
    rows: int
    columns: int


def bare_jpeg(data: bytes) -> bytes:
    """The stream with what decoding needs alone. Raises Unreadable for what is not one whole JPEG picture."""
    found = list(_segments(data))
    frames = [s for s in found if s.code in _FRAMES]
    if len(frames) != 1 or not any(s.code == _SOS for s in found):
        raise not_readable("not one JPEG frame with a scan")
    code, body = frames[0].code, frames[0].body
    quantised = {body[8 + 3 * k] for k in range(body[5])} if code not in _LOSSLESS else set()
    scans = [s.body for s in found if s.code == _SOS] if code != _SOF_LS else []
    coded_by = {key for scan in scans for key in _tables_of_scan(scan) if key < 0x10 or code not in _LOSSLESS}
    kept = [k for k in (_needed(s, quantised, coded_by) for s in found) if k is not None]
    return b"\xff\xd8" + b"".join(map(bytes, kept)) + b"\xff\xd9"


def frame_of(data: bytes) -> Frame | None:
    """The frame header of a stream that `bare_jpeg` made; None where there is none."""
    try:
        found = next((s for s in _segments(data) if s.code in _FRAMES), None)
    except Exception:
        return None
    return Frame(*struct.unpack_from(">BHH", found.body)) if found is not None else None


def _segments(data: bytes) -> Iterator[Segment]:
    """Every segment up to the end-of-image marker. As decoders do, what lies between two segments is passed over."""
    start = 0 if data.startswith(START[:2]) else data.find(START)
    position, lossless_ls = start + 2, False
    if start < 0:
        raise not_readable("no start of a JPEG picture")
    while (found := _next_marker(data, position)) is not None:
        code, position = found
        if code == _EOI:
            return
        if code in _STANDALONE:
            continue
        if code == _SOI:
            raise not_readable("a JPEG picture begins inside another")
        length = int.from_bytes(data[position : position + 2], "big")
        end = position + length
        if length < 2 or end > len(data):
            raise not_readable("a JPEG segment is longer than its picture")
        body, position = data[position + 2 : end], end
        lossless_ls = lossless_ls or code == _SOF_LS
        if code == _SOS:
            marker = (_MARKER_LS if lossless_ls else _MARKER).search(data, end)
            if marker is None:
                break
            position = marker.start()
        yield _known(Segment(code, body, data[end:position]))
    raise not_readable("no end-of-image marker")


def _next_marker(data: bytes, position: int) -> tuple[int, int] | None:
    """The next marker's code and the position behind it; filling bytes and whatever else precedes it is passed over."""
    while (position := data.find(b"\xff", position)) >= 0 and position + 1 < len(data):
        code = data[position + 1]
        if code not in (0, 0xFF):
            return code, position + 2
        position += 1
    return None


def _known(segment: Segment) -> Segment:
    """The segment cut to what its syntax gives it. Raises Unreadable for one that is not known, or too short."""
    code, body = segment.code, segment.body
    if code == _COM or 0xE0 <= code <= 0xEF or code in (_DQT, _DHT):
        return segment
    if code in _FRAMES:
        size = 6 + 3 * body[5] if len(body) > 5 else 6
    elif code == _SOS:
        size = 4 + 2 * body[0] if body else 4
    elif code in (_DRI, _DNL):
        size = 2
    elif code == _LSE and body[:1] == b"\1":  # preset coding parameters; mapping tables are not DICOM's
        size = 11
    else:
        raise not_readable("a JPEG segment of a kind that is not known")
    if len(body) < size:
        raise not_readable("a JPEG segment is too short")
    return Segment(code, body[:size], segment.coded)


def _needed(segment: Segment, quantised: set[int], coded_by: set[int]) -> Segment | None:
    code, body = segment.code, segment.body
    if code == _DQT:
        return _with_tables(segment, [t for t in _quantisation(body) if t[0] & 15 in quantised])
    if code == _DHT:
        return _with_tables(segment, [t for t in _huffman(body) if t[0] in coded_by])
    if code == 0xE0 and body.startswith(b"JFIF\0"):
        return Segment(code, _JFIF)
    if code == 0xEE and body.startswith(b"Adobe") and len(body) >= 12:
        return Segment(code, b"Adobe\0\x64\0\0\0\0" + bytes([min(body[11], 2)]))
    if code == 0xE8 and body.startswith(b"mrfx") and len(body) >= 5:
        return Segment(code, body[:5])
    return None if code == _COM or 0xE0 <= code <= 0xEF else segment


def _with_tables(segment: Segment, tables: list[bytes]) -> Segment | None:
    return Segment(segment.code, b"".join(tables)) if tables else None


def _quantisation(body: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(body):
        size = 129 if body[position] >> 4 else 65
        if position + size > len(body):
            raise not_readable("a JPEG quantisation table is too short")
        yield body[position : position + size]
        position += size


def _huffman(body: bytes) -> Iterator[bytes]:
    position = 0
    while position + 17 <= len(body):
        size = 17 + sum(body[position + 1 : position + 17])
        if position + size > len(body):
            raise not_readable("a JPEG Huffman table is too short")
        yield body[position : position + size]
        position += size


def _tables_of_scan(body: bytes) -> Iterator[int]:
    """Class and number of each Huffman table that a scan names, as a table's first byte has them."""
    for k in range(body[0]):
        selectors = body[2 + 2 * k]
        yield selectors >> 4
        yield 0x10 | selectors & 15
