"""RLE pictures (PS3.5 annex G) without what lies before, between and behind the segments that the header names."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from readfirst.domain.deid.streams import not_readable

_HEADER = struct.Struct("<16L")


def bare_rle(data: bytes, pixels: int, planes: int) -> bytes:
    """The picture with its segments, each cut behind the last byte of its plane. `planes`: samples times their bytes.

    Raises Unreadable unless there is a segment for each plane that holds all of its bytes.
    """
    if len(data) < _HEADER.size:
        raise not_readable("an RLE picture without a header")
    count, *offsets = _HEADER.unpack_from(data)
    if count != planes or count > 15:
        raise not_readable("not one RLE segment for each byte of a pixel")
    starts = offsets[:count]
    if starts != sorted(set(starts)) or starts[0] < _HEADER.size:
        raise not_readable("RLE segments that overlap")
    segments = [_segment(data, start, end, pixels) for start, end in zip(starts, [*starts[1:], len(data)], strict=True)]
    return _joined(segments)


def _joined(segments: Sequence[bytes]) -> bytes:
    padded = [s + b"\0" * (len(s) & 1) for s in segments]
    offsets, position = [], _HEADER.size
    for segment in padded:
        offsets.append(position)
        position += len(segment)
    return _HEADER.pack(len(padded), *offsets, *[0] * (15 - len(padded))) + b"".join(padded)


def _segment(data: bytes, start: int, end: int, pixels: int) -> bytes:
    """The runs that fill a plane. A run that says more than the plane takes is cut; nothing behind it stays."""
    position, left = start, pixels
    while left > 0:
        if position >= end:
            raise not_readable("an RLE segment ends before its plane is full")
        code = data[position]
        if code < 128:
            if code >= left:
                return _ended(data, start, position, end, bytes([left - 1]), left)
            left -= code + 1
            position += code + 2
        elif code > 128:
            if 257 - code > left:
                short = bytes([257 - left]) if left > 1 else b"\0"
                return _ended(data, start, position, end, short, 1)
            left -= 257 - code
            position += 2
        else:
            position += 1
    return _whole(data, start, position, end)


def _ended(data: bytes, start: int, position: int, end: int, code: bytes, size: int) -> bytes:
    return _whole(data, start, position, end) + code + _whole(data, position + 1, position + 1 + size, end)


def _whole(data: bytes, start: int, position: int, end: int) -> bytes:
    if position > end:
        raise not_readable("an RLE segment ends before its plane is full")
    return data[start:position]
