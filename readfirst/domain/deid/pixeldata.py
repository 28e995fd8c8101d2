"""Pixel data without what does not belong to the picture: bytes after the last pixel, comments between the codes."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from readfirst.domain.deid.codec import PIXEL_DATA, Bulk, Element, Encoding, Fragments, Unreadable, is_pixels
from readfirst.domain.deid.unused import CLEARED, Bits, Cleared
from readfirst.domain.refusals import Reason

JPEG = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70, 80, 81))
JPEG_2000 = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (90, 91))
RLE = "1.2.840.10008.1.2.5"
NATIVE = frozenset(("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"))
SUPPORTED = NATIVE | JPEG | JPEG_2000 | {RLE}


@dataclass(frozen=True)
class Shape:
    """The numbers of PS3.3 C.7.6.3 that say how large native pixel data is."""

    rows: int
    columns: int
    frames: int
    samples: int
    allocated: int  # bits
    photometric: str

    @property
    def length(self) -> int:
        """Bytes of native pixel data, without padding."""
        per_pixel = 2 if self.photometric == "YBR_FULL_422" and self.samples == 3 else self.samples
        return (self.rows * self.columns * self.frames * per_pixel * self.allocated + 7) // 8


def shape_of(elements: list[Element], encoding: Encoding) -> Shape:
    """The shape that a data set declares; zeros where it declares none."""
    values = {e.tag: e.value for e in elements if e.tag >> 16 == 0x0028 and isinstance(e.value, bytes)}

    def number(tag: int) -> int:
        value = values.get(tag, b"")
        return int(struct.unpack(encoding.order + "H", value[:2])[0]) if len(value) >= 2 else 0

    try:
        frames = int(values.get(0x00280008, b"1").decode("latin-1").strip(" \0") or 1)
    except ValueError:
        frames = 1
    return Shape(
        rows=number(0x00280010),
        columns=number(0x00280011),
        frames=max(frames, 0),
        samples=number(0x00280002) or 1,
        allocated=number(0x00280100),
        photometric=values.get(0x00280004, b"").decode("latin-1").strip(" \0"),
    )


def tidy(elements: list[Element], shape: Shape, transfer_syntax: str, bits: Bits | None) -> list[str]:
    """Takes what is no pixel out of the pixel data, in place. Raises Unreadable.

    Returns the notes for the receipt, to which writing the pixel data may add.
    """
    notes: list[str] = []
    for element in elements:
        if not is_pixels(element.tag):
            continue
        if isinstance(element.value, Fragments):
            if transfer_syntax in NATIVE:
                raise Unreadable(Reason.UNREADABLE, "compressed pixel data under an uncompressed transfer syntax")
            element.value = Fragments(list(_tidy_fragments(element.value, shape, transfer_syntax)))
        elif transfer_syntax not in NATIVE:
            raise Unreadable(Reason.UNREADABLE, "uncompressed pixel data under a compressed transfer syntax")
        elif not isinstance(element.value, list):
            if _cut(element, shape):
                notes.append("bytes after the last pixel removed")
            if bits is not None and element.tag == PIXEL_DATA:
                _clear(element, bits, notes)
    return notes


def _clear(element: Element, bits: Bits, notes: list[str]) -> None:
    value = element.value
    if isinstance(value, Bulk):
        element.value = Cleared(value.source, value.offset, value.length, bits, notes)
    elif isinstance(value, bytes) and len(value) % bits.dtype.itemsize == 0:
        element.value = bits.cleared(value)
        notes += [CLEARED] if element.value is not value else []


def may_have_unused(fragments: Fragments, transfer_syntax: str, bits: Bits) -> bool:
    """Whether compressed pixels can have set bits beside their values: the codes hold more than the header says."""
    first = fragment_bytes(fragments.parts[1]) if len(fragments.parts) > 1 else b""
    if transfer_syntax in JPEG:
        return jpeg_precision(first) > bits.stored
    if transfer_syntax in JPEG_2000:
        return len(first) > 42 and (first[42] & 0x7F) + 1 > bits.stored
    return True


def _cut(element: Element, shape: Shape) -> bool:
    value = element.value
    length = len(value) if isinstance(value, bytes) else value.length if isinstance(value, Bulk) else 0
    if shape.length <= 0:
        raise Unreadable(Reason.UNREADABLE, "the picture has no size")
    if length < shape.length:
        raise Unreadable(Reason.TRUNCATED, "the pixel data is shorter than the picture")
    if length <= shape.length + (shape.length & 1):
        return False
    if isinstance(value, bytes):
        element.value = value[: shape.length]
    elif isinstance(value, Bulk):
        element.value = Bulk(value.source, value.offset, shape.length)
    return True


def _tidy_fragments(fragments: Fragments, shape: Shape, transfer_syntax: str) -> Iterator[Bulk | bytes]:
    table, *parts = fragments.parts or [b""]
    if shape.frames == 1 and len(parts) > 1:
        parts = [b"".join(map(fragment_bytes, parts))]  # one stream in pieces: a comment could lie across a seam
        table = b""
    yield _offset_table(fragment_bytes(table), parts, shape.frames)
    for part in parts:
        if transfer_syntax in JPEG:
            yield _cleared(part, jpeg_texts)
        elif transfer_syntax in JPEG_2000:
            yield _cleared(part, jpeg_2000_texts)
        elif transfer_syntax == RLE:
            yield _cleared(part, _rle_texts)
        else:
            yield part


def fragment_bytes(part: Bulk | bytes) -> bytes:
    """A fragment's content."""
    return part if isinstance(part, bytes) else part.read()


def _offset_table(table: bytes, parts: list[Bulk | bytes], frames: int) -> bytes:
    """The basic offset table if it is one (PS3.5 A.4); an empty one instead of anything else."""
    if not table or len(table) != 4 * frames:
        return b""
    offsets = struct.unpack(f"<{frames}L", table)
    starts, position = set(), 0
    for part in parts:
        starts.add(position)
        length = len(part) if isinstance(part, bytes) else part.length
        position += 8 + length + (length & 1)
    return table if set(offsets) <= starts else b""


def _cleared(part: Bulk | bytes, find: Callable[[bytes], Iterator[tuple[int, int]]]) -> Bulk | bytes:
    """The fragment with what `find` names overwritten by zeros."""
    data = fragment_bytes(part)
    spans = [(start, end) for start, end in find(data) if any(data[start:end])]
    if not spans:
        return part
    cleared = bytearray(data)
    for start, end in spans:
        cleared[start:end] = bytes(end - start)
    return bytes(cleared)


# JPEG and JPEG-LS (ITU T.81 B.1.1, T.87): COM and APPn hold text, but for what decoders read of JFIF, Adobe and the
# colour transform of JPEG-LS, whose sizes are known.
_DECODERS_NEED = {b"JFIF": 14, b"Adob": 12, b"mrfx": 5}
_STANDALONE = frozenset((0x01, *range(0xD0, 0xD8)))
_FRAME_HEADERS = frozenset((*range(0xC0, 0xD0), 0xF7)) - {0xC4, 0xC8, 0xCC}
# In scan data a marker is what is neither a stuffed byte nor a restart: T.81 stuffs zeros, T.87 a bit.
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_MARKER_LS = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")


@dataclass(frozen=True)
class Segment:
    """A marker of a JPEG stream and where what it announces begins and ends."""

    code: int
    start: int
    end: int


def segments(data: bytes) -> Iterator[Segment]:
    """The segments of a JPEG or JPEG-LS stream up to its end-of-image marker, past the data of every scan."""
    position, lossless_ls = 2, False
    while position + 2 <= len(data) and data[position] == 0xFF:
        code = data[position + 1]
        if code == 0xFF or code in _STANDALONE:
            position += 1 if code == 0xFF else 2
            continue
        if code == 0xD9 or position + 4 > len(data):
            yield Segment(code, position + 2, position + 2)
            return
        end = min(position + 2 + int.from_bytes(data[position + 2 : position + 4], "big"), len(data))
        yield Segment(code, position + 4, end)
        lossless_ls = lossless_ls or code == 0xF7
        position = end
        if code == 0xDA:
            marker = (_MARKER_LS if lossless_ls else _MARKER).search(data, end)
            if marker is None:
                return
            position = marker.start()


def jpeg_texts(data: bytes) -> Iterator[tuple[int, int]]:
    """Where texts can stand in a JPEG or JPEG-LS stream: in its comments, and behind its end."""
    if data[:2] != b"\xff\xd8":
        return  # a frame's later fragment
    for segment in segments(data):
        if segment.code == 0xFE:
            yield segment.start, segment.end
        elif 0xE0 <= segment.code <= 0xEF:
            yield segment.start + _DECODERS_NEED.get(data[segment.start : segment.start + 4], 0), segment.end
        elif segment.code == 0xD9:
            yield segment.end, len(data)


def is_jpeg_of(data: bytes, rows: int, columns: int) -> bool:
    """Whether a JPEG stream has a frame of that size and a scan: decoders can hang on what has not."""
    found = list(segments(data)) if data[:2] == b"\xff\xd8" else []
    frame = next((s for s in found if s.code in _FRAME_HEADERS and s.end - s.start >= 6), None)
    if frame is None or not any(s.code == 0xDA for s in found):
        return False
    height, width = struct.unpack_from(">HH", data, frame.start + 1)
    return (height, width) == (rows, columns)


def jpeg_precision(data: bytes) -> int:
    """Bits per sample that a JPEG stream has; 0 for one without a frame."""
    return next((data[s.start] for s in segments(data) if s.code in _FRAME_HEADERS and s.end > s.start), 0)


def jpeg_2000_texts(data: bytes) -> Iterator[tuple[int, int]]:
    """Where texts can stand in a JPEG 2000 codestream (ITU T.800 A): COM segments, and behind its end."""
    if data[:2] != b"\xff\x4f":
        return
    position, tile_end = 2, 0
    while position + 2 <= len(data) and data[position] == 0xFF:
        code = data[position + 1]
        if code == 0xD9:
            yield position + 2, len(data)
            return
        if code == 0x93:  # start of data: the tile part says where it ends
            if tile_end <= position:
                return
            position = tile_end
            continue
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        end = min(position + 2 + max(length, 2), len(data))
        if code == 0x90 and position + 12 <= len(data):
            size = int.from_bytes(data[position + 6 : position + 10], "big")
            tile_end = position + size if size else len(data) - 2
        if code == 0x64:
            yield position + 6, end
        position = end


def _rle_texts(data: bytes) -> Iterator[tuple[int, int]]:
    """The offsets of an RLE header (PS3.5 G.5) that no segment uses."""
    count = int.from_bytes(data[:4], "little")
    if len(data) >= 64 and count <= 15:
        yield 4 + 4 * count, 64
