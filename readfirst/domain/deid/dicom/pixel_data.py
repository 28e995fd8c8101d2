"""Pixel data without what does not belong to the picture: bytes after the last pixel, all that no decoder needs."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from readfirst.domain.decoding import DECODED, JPEG, JPEG_2000, NATIVE, RLE
from readfirst.domain.deid.dicom import tags
from readfirst.domain.deid.dicom.elements import (
    PIXEL_DATA,
    Bulk,
    Element,
    Encoding,
    Fragments,
    Unreadable,
    bytes_of,
    is_pixels,
)
from readfirst.domain.deid.dicom.unused_bits import CLEARED, Bits, Cleared
from readfirst.domain.deid.streams.jpeg import bare_jpeg, frame_of
from readfirst.domain.deid.streams.jpeg2000 import bare_jpeg_2000, precision_of
from readfirst.domain.deid.streams.pictures import fragment_bytes, one_each
from readfirst.domain.deid.streams.rle import bare_rle
from readfirst.domain.numbers import whole
from readfirst.domain.refusals import Reason

EXTENDED_OFFSETS = tags.ExtendedOffsetTable
_FRAGMENT_TABLES = frozenset(
    (EXTENDED_OFFSETS, tags.ExtendedOffsetTableLengths, tags.EncapsulatedPixelDataValueTotalLength)
)  # true of the original's fragments only
LEFT_OUT = "what no decoder needs left out of the compressed picture"
SUPPORTED = NATIVE | DECODED


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
    """The shape that a data set declares; zeros where it declares none. Raises Unreadable for no number of frames."""
    values = {e.tag: e.value for e in elements if e.tag >> 16 == 0x0028 and isinstance(e.value, bytes)}

    def number(tag: int) -> int:
        value = values.get(tag, b"")
        return int(struct.unpack(encoding.order + "H", value[:2])[0]) if len(value) >= 2 else 0

    frames = whole(values.get(tags.NumberOfFrames, b"").decode("latin-1").strip(" \0") or "1")
    if (frames is None or frames < 1) and any(is_pixels(e.tag) for e in elements):
        raise Unreadable(Reason.UNREADABLE, "Number of Frames (0028,0008) is not a whole number from 1")
    return Shape(
        rows=number(tags.Rows),
        columns=number(tags.Columns),
        frames=frames or 0,
        samples=number(tags.SamplesPerPixel) or 1,
        allocated=number(tags.BitsAllocated),
        photometric=values.get(tags.PhotometricInterpretation, b"").decode("latin-1").strip(" \0"),
    )


def tidy(elements: list[Element], shape: Shape, transfer_syntax: str, bits: Bits | None) -> list[str]:
    """Takes what is no pixel out of the pixel data, in place. Raises Unreadable.

    Returns the notes for the receipt, to which writing the pixel data may add.
    """
    notes: list[str] = []
    extended = next((bytes_of(e) for e in elements if e.tag == EXTENDED_OFFSETS), b"")
    elements[:] = [e for e in elements if e.tag not in _FRAGMENT_TABLES]
    for element in elements:
        if not is_pixels(element.tag):
            continue
        if isinstance(element.value, Fragments):
            if transfer_syntax in NATIVE:
                raise Unreadable(Reason.UNREADABLE, "compressed pixel data under an uncompressed transfer syntax")
            element.value, changed = _bare(element.value, shape, transfer_syntax, extended)
            notes += [LEFT_OUT] if changed else []
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
        frame = frame_of(first)
        return frame is not None and frame.precision > bits.stored
    if transfer_syntax in JPEG_2000:
        return precision_of(first) > bits.stored
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
    one, more = shape.length // shape.frames, length - shape.length
    if 0 < one <= more and more % one in (0, 1):
        raise Unreadable(Reason.UNREADABLE, "more pictures than Number of Frames (0028,0008) says")
    if isinstance(value, bytes):
        element.value = value[: shape.length]
    elif isinstance(value, Bulk):
        element.value = Bulk(value.source, value.offset, shape.length)
    return True


def _bare(fragments: Fragments, shape: Shape, transfer_syntax: str, extended: bytes) -> tuple[Fragments, bool]:
    if transfer_syntax in JPEG:
        return one_each(fragments, shape.frames, extended, bare_jpeg)
    if transfer_syntax in JPEG_2000:
        return one_each(fragments, shape.frames, extended, bare_jpeg_2000)
    if transfer_syntax != RLE:  # decoded and stored anew (engine), so nothing of it stays
        return Fragments(one_each(fragments, shape.frames, extended, lambda data: data)[0].parts), False
    pixels, planes = shape.rows * shape.columns, shape.samples * (shape.allocated // 8)
    return one_each(fragments, shape.frames, extended, lambda data: bare_rle(data, pixels, planes))
