"""Which fragments of encapsulated pixel data make up which picture (PS3.5 A.4), and each picture's bare stream."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from readfirst.domain.deid.dicom.elements import Bulk, Fragments
from readfirst.domain.deid.streams import not_readable
from readfirst.domain.deid.streams.jpeg import START as JPEG_START
from readfirst.domain.deid.streams.jpeg2000 import SIGNATURE
from readfirst.domain.deid.streams.jpeg2000 import START as JPEG_2000_START

Part = Bulk | bytes
_STARTS = (JPEG_START, JPEG_2000_START, SIGNATURE)
_FURTHEST = 1 << 32  # what a basic offset table can say


def one_each(
    fragments: Fragments, frames: int, extended: bytes, bare: Callable[[bytes], bytes]
) -> tuple[Fragments, bool]:
    """One fragment with a bare stream for each frame, behind a true offset table; whether anything was left out.

    `extended` is the extended offset table (PS3.3 C.7.6.3.1.8), empty where there is none. Raises Unreadable.
    """
    table, *parts = fragments.parts or [b""]
    pictures = _pictures(parts, frames, [*_offsets(fragment_bytes(table), "L"), *_offsets(extended, "Q")])
    bared = [_bare(picture, bare) for picture in pictures]
    streams = [stream for stream, _ in bared]
    return Fragments([_table(streams), *streams]), any(changed for _, changed in bared)


def fragment_bytes(part: Part) -> bytes:
    """A fragment's content."""
    return part if isinstance(part, bytes) else part.read()


def _length(part: Part) -> int:
    return len(part) if isinstance(part, bytes) else part.length


def _begins(part: Part) -> bool:
    head = part[:12] if isinstance(part, bytes) else Bulk(part.source, part.offset, min(part.length, 12)).read()
    return head.startswith(_STARTS)


def _bare(picture: Sequence[Part], bare: Callable[[bytes], bytes]) -> tuple[Part, bool]:
    """A frame's stream, and whether anything but padding was left out; as it lies in the source where it may stay."""
    data = b"".join(map(fragment_bytes, picture))
    stream = bare(data)
    if not data.startswith(stream) or len(data) - len(stream) > 1 or any(data[len(stream) :]):
        return stream, True
    return (picture[0] if len(picture) == 1 and len(data) % 2 == 0 else stream), False


def _pictures(parts: Sequence[Part], frames: int, offsets: Sequence[int]) -> list[list[Part]]:
    """The fragments of each frame. Raises Unreadable where nobody can say which belong together."""
    starts, position, filled = [], 0, []
    for part in parts:
        if _length(part):
            starts.append(position)
            filled.append(part)
        position += 8 + _length(part)
    begins = [k for k, part in enumerate(filled) if _begins(part)]
    if frames < 1 or len(filled) < frames:
        raise not_readable("fewer pictures than the number of frames")
    if len(begins) > frames:
        raise not_readable("more pictures than the number of frames")
    if frames == 1:
        cuts = [0]
    elif len(filled) == frames:
        cuts = list(range(frames))
    elif len(offsets) == frames and set(offsets) <= set(starts) and list(offsets) == sorted(set(offsets)):
        cuts = [starts.index(offset) for offset in offsets]
    else:
        cuts = begins
    if len(cuts) != frames or cuts[0] != 0:
        raise not_readable("its fragments cannot be told apart into frames")
    return [filled[first:last] for first, last in zip(cuts, [*cuts[1:], len(filled)], strict=True)]


def _offsets(table: bytes, kind: str) -> list[int]:
    size = struct.calcsize(f"<{kind}")
    return list(struct.unpack(f"<{len(table) // size}{kind}", table[: len(table) // size * size]))


def _table(streams: Sequence[Part]) -> bytes:
    """The basic offset table; an empty one for a single frame, and where the offsets are too large for it."""
    offsets, position = [], 0
    for stream in streams:
        offsets.append(position)
        position += 8 + _length(stream) + (_length(stream) & 1)
    return struct.pack(f"<{len(offsets)}L", *offsets) if len(offsets) > 1 and position < _FURTHEST else b""
