"""Pixel data without what does not belong to the picture: bytes after the last pixel, comments between the codes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from readfirst.domain.deid.codec import Bulk, Element, Encoding, Fragments, Unreadable, is_pixels
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


def tidy(elements: list[Element], shape: Shape, transfer_syntax: str) -> list[str]:
    """Cuts what is no pixel off the pixel data, in place. Returns notes for the receipt; raises Unreadable."""
    notes = []
    for element in elements:
        if not is_pixels(element.tag):
            continue
        if isinstance(element.value, Fragments):
            if transfer_syntax in NATIVE:
                raise Unreadable(Reason.UNREADABLE, "compressed pixel data under an uncompressed transfer syntax")
            element.value = Fragments(list(_tidy_fragments(element.value, shape, transfer_syntax)))
        elif transfer_syntax not in NATIVE:
            raise Unreadable(Reason.UNREADABLE, "uncompressed pixel data under a compressed transfer syntax")
        elif not isinstance(element.value, list) and _cut(element, shape):
            notes.append("bytes after the last pixel removed")
    return notes


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
    yield _offset_table(_bytes(table), parts, shape.frames)
    for part in parts:
        if transfer_syntax in JPEG:
            yield _without_comments(part, _jpeg_comments)
        elif transfer_syntax in JPEG_2000:
            yield _without_comments(part, _jpeg_2000_comments)
        else:
            yield part


def _bytes(part: Bulk | bytes) -> bytes:
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


def _without_comments(part: Bulk | bytes, find: Callable[[Bulk | bytes], Iterator[tuple[int, int]]]) -> Bulk | bytes:
    """The fragment with its comments, and what follows its end, overwritten by zeros."""
    spans = [*find(part), *_after_end(part)]
    if not spans:
        return part
    data = bytearray(_bytes(part))
    for start, end in spans:
        data[start:end] = bytes(end - start)
    return bytes(data)


def _after_end(part: Bulk | bytes) -> Iterator[tuple[int, int]]:
    """What stands behind the end-of-image marker, which JPEG and JPEG 2000 share, but for padding."""
    head = _Head(part)
    tail = head.get(max(0, head.length - 4), 4)
    if b"\xff\xd9" in tail:
        return
    end = _bytes(part).rfind(b"\xff\xd9")
    if end >= 0:
        yield end + 2, head.length


class _Head:
    """Bytes of a fragment by position, without reading all of it."""

    def __init__(self, part: Bulk | bytes) -> None:
        self.part = part
        self.length = len(part) if isinstance(part, bytes) else part.length

    def get(self, position: int, count: int) -> bytes:
        if isinstance(self.part, bytes):
            return self.part[position : position + count]
        source: BinaryIO = self.part.source
        source.seek(self.part.offset + position)
        return source.read(min(count, self.length - position))


# JPEG (ITU T.81 B.1.1): APPn but JFIF and Adobe, which decoders need, and COM hold text.
_DECODERS_NEED = (b"JFIF", b"Adob", b"mrfx")  # the last is the colour transform of JPEG-LS
_STANDALONE = frozenset((0x01, *range(0xD0, 0xD8)))


def _jpeg_comments(part: Bulk | bytes) -> Iterator[tuple[int, int]]:
    """Where the texts of a JPEG or JPEG-LS stream stand, up to its scan data."""
    head = _Head(part)
    if head.get(0, 2) != b"\xff\xd8":
        return  # a frame's later fragment
    position = 2
    while position + 4 <= head.length:
        marker = head.get(position, 4)
        if marker[0] != 0xFF or marker[1] in (0xDA, 0xD9):
            return
        if marker[1] == 0xFF:
            position += 1
            continue
        if marker[1] in _STANDALONE:
            position += 2
            continue
        (length,) = struct.unpack(">H", marker[2:])
        end = min(position + 2 + length, head.length)
        name = head.get(position + 4, 5)
        if marker[1] == 0xFE or (0xE0 <= marker[1] <= 0xEF and name[:4] not in _DECODERS_NEED):
            yield position + 4, end
        position = end


def _jpeg_2000_comments(part: Bulk | bytes) -> Iterator[tuple[int, int]]:
    """Where the COM segments of a JPEG 2000 codestream's main header stand (ITU T.800 A.9.2)."""
    head = _Head(part)
    if head.get(0, 2) != b"\xff\x4f":
        return
    position = 2
    while position + 4 <= head.length:
        marker = head.get(position, 4)
        if marker[0] != 0xFF or marker[1] in (0x90, 0xD9, 0x93):
            return
        (length,) = struct.unpack(">H", marker[2:])
        end = min(position + 2 + length, head.length)
        if marker[1] == 0x64:
            yield position + 6, end
        position = end
