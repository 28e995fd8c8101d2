"""Overlay planes (PS3.3 C.9.2): bitmaps over the picture, in which a name can be drawn as well as a region."""

from __future__ import annotations

import struct

import numpy as np

from readfirst.domain.deid.dicom import tags
from readfirst.domain.deid.dicom.elements import Bulk, Element, Encoding, Unreadable
from readfirst.domain.deid.pixels.barcodes import find_barcodes
from readfirst.domain.deid.pixels.text import Grey, NoDetector, find_text
from readfirst.domain.refusals import Reason

# What says where an overlay lies and what it means; its texts and its statistics go.
KEPT = frozenset((0x0010, 0x0011, 0x0015, 0x0040, 0x0050, 0x0051, 0x0100, 0x0102, 0x3000))
_LARGEST = 64 * 1024 * 1024  # pixels


def overlays_without_text(elements: list[Element], encoding: Encoding) -> frozenset[int]:
    """The groups (60xx) whose bitmaps are whole and show no text or barcode.

    Raises Unreadable where nothing can search them.
    """
    groups = {e.tag >> 16 for e in elements if e.tag & 0xFF01FFFF == tags.OverlayData}
    try:
        return frozenset(g for g in groups if _shows_no_text(g, elements, encoding))
    except NoDetector as error:
        raise Unreadable(Reason.PIXELS_UNVERIFIED, "no text detector is installed") from error


def _shows_no_text(group: int, elements: list[Element], encoding: Encoding) -> bool:
    values = {e.tag & 0xFFFF: e.value for e in elements if e.tag >> 16 == group}
    rows, columns = (_number(values.get(number), encoding) for number in (0x0010, 0x0011))
    frames = values.get(0x0015, b"1")
    count = int(frames) if isinstance(frames, bytes) and frames.strip().isdigit() else 1
    data = values[0x3000]
    content = data.read() if isinstance(data, Bulk) else data
    size = rows * columns * count
    # An overlay in the bits of the pixels (another position than 0) is gone; bytes beyond the bitmap are none.
    if not 0 < size <= _LARGEST or not isinstance(content, bytes) or _number(values.get(0x0102), encoding):
        return False
    length = (size + 7) // 8
    if not length <= len(content) <= length + 1 or any(content[length:]):
        return False
    if encoding.big and _vr(group, elements) == "OW":
        content = np.frombuffer(content[: len(content) & ~1], ">u2").astype("<u2").tobytes()
    bits = np.unpackbits(np.frombuffer(content, np.uint8), bitorder="little")[:size].reshape(count, rows, columns)
    return not any(find_text(_grey(frame)) or find_barcodes(_grey(frame)) for frame in bits)


def _grey(frame: np.ndarray) -> Grey:
    return np.asarray(frame * np.uint8(255), dtype=np.uint8)


def _vr(group: int, elements: list[Element]) -> str:
    return next((e.vr for e in elements if e.tag == group << 16 | 0x3000), "")


def _number(value: object, encoding: Encoding) -> int:
    return int(struct.unpack(encoding.order + "H", value)[0]) if isinstance(value, bytes) and len(value) == 2 else 0
