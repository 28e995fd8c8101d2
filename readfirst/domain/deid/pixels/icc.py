"""Colour profiles (ICC.1:2022) without what they say beside colours.

A profile is written anew from its colour tags: no texts of its own, no makers, no serial numbers, no dates, no private
tags, nothing between the tags. The colours that a viewer computes stay the same.
"""

from __future__ import annotations

import re
import struct

_SPACES = (b"RGB ", b"GRAY")
_CLASSES = (b"scnr", b"mntr", b"prtr", b"spac")
_CONNECTIONS = (b"XYZ ", b"Lab ")
_MATRIX = frozenset((b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC"))
_COLOUR_TAGS = _MATRIX | {
    *(b"wtpt", b"bkpt", b"kTRC", b"chad", b"lumi", b"chrm", b"gamt", b"cicp"),
    *(b"A2B0", b"A2B1", b"A2B2", b"B2A0", b"B2A1", b"B2A2", b"D2B0", b"D2B1", b"D2B2", b"B2D0", b"B2D1", b"B2D2"),
}
# Sizes of the types that are only numbers, as (head, step): a longer or uneven value hides something.
_STEPS = {b"XYZ ": (8, 12), b"curv": (12, 2), b"para": (12, 4), b"sf32": (8, 4), b"chrm": (12, 8), b"cicp": (12, 0)}
_TABLES = frozenset((b"mft1", b"mft2", b"mAB ", b"mBA ", b"mpet"))
_LARGEST_TABLE = 16 << 20
# Descriptions that many profiles share.
_WELL_KNOWN = re.compile(
    rb"(?:s ?RGB(?: (?:built-in|IEC ?61966-2[-.]1|v4 ICC preference|color ?space))?|Adobe RGB \(1998\)|Display P3"
    rb"|Generic (?:RGB|Gray)(?: Profile)?|ProPhoto RGB|ROMM RGB|Gray Gamma 2\.2|DICOM GSDF)",
    re.IGNORECASE,
)
_D50 = struct.pack(">3l", 0xF6D6, 0x10000, 0xD32D)
_DATE = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # a profile must have one; everybody gets the same


def cleaned(data: bytes) -> bytes | None:
    """The profile with its colours alone; None for what is no usable profile of an RGB or grey picture."""
    if len(data) < 132 or data[36:40] != b"acsp" or data[12:16] not in _CLASSES:
        return None
    if data[16:20] not in _SPACES or data[20:24] not in _CONNECTIONS or data[8] not in (2, 4):
        return None
    tags = _tags(data)
    if tags is None or not _usable(set(tags), data[16:20]):
        return None
    texts = {b"desc": _description(data, data[8]), b"cprt": _text("No copyright, use freely", data[8], b"text")}
    return _written(data[8:10], data[12:24], data[67] & 3, texts | tags)


def standard() -> bytes:
    """sRGB (IEC 61966-2-1) as a small profile: what a picture without a profile of its own is taken for."""

    def xyz(*numbers: int) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3l", *numbers)

    curve = b"para\0\0\0\0\0\3\0\0" + struct.pack(">5l", *(round(x * 65536) for x in _SRGB_CURVE))
    tags = {
        b"desc": _text("sRGB", 4, b"desc"),
        b"cprt": _text("No copyright, use freely", 4, b"text"),
        b"wtpt": b"XYZ \0\0\0\0" + _D50,
        b"rXYZ": xyz(0x6FA2, 0x38F5, 0x0390),
        b"gXYZ": xyz(0x6299, 0xB785, 0x18DA),
        b"bXYZ": xyz(0x24A0, 0x0F84, 0xB6CF),
        b"chad": b"sf32\0\0\0\0" + struct.pack(">9l", *_BRADFORD),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    return _written(b"\4\x30", b"mntrRGB XYZ ", 0, tags)


_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_BRADFORD = (0x10C42, 0x05DE, -0x0CD9, 0x0793, 0xFD9A, -0x0457, -0x025E, 0x03DC, 0xC073)  # D65 to D50


def _tags(data: bytes) -> dict[bytes, bytes] | None:
    """The colour tags; None where the table of tags cannot be right."""
    count = struct.unpack_from(">L", data, 128)[0]
    if count > 100 or len(data) < 132 + 12 * count:
        return None
    found: dict[bytes, bytes] = {}
    for at in range(132, 132 + 12 * count, 12):
        tag, offset, size = struct.unpack_from(">4sLL", data, at)
        if tag not in _COLOUR_TAGS:
            continue
        value = data[offset : offset + size]
        if len(value) != size or size < 12 or not _only_numbers(value):
            return None
        found[tag] = value[:4] + bytes(4) + value[8:]
    return found


def _only_numbers(value: bytes) -> bool:
    """Whether a tag's value is of a type that holds numbers, and as long as it says."""
    kind, size = value[:4], len(value)
    if kind in _TABLES:
        return size <= _LARGEST_TABLE
    if kind not in _STEPS:
        return False
    head, step = _STEPS[kind]
    if kind == b"curv":
        return size - 12 - 2 * struct.unpack_from(">L", value, 8)[0] in (0, 2)
    if kind == b"para":
        return size in (16, 24, 28, 32, 36, 40)
    return size >= head and (size == head if step == 0 else (size - head) % step == 0)


def _usable(tags: set[bytes], space: bytes) -> bool:
    return b"A2B0" in tags or (tags >= _MATRIX if space == b"RGB " else b"kTRC" in tags)


def _description(data: bytes, version: int) -> bytes:
    """The profile's description where it is one that many share."""
    match = _WELL_KNOWN.search(data.replace(b"\0", b""))
    return _text(match[0].decode("ascii", "ignore") if match else "Colour profile", version, b"desc")


def _text(text: str, version: int, old: bytes) -> bytes:
    if version == 4:
        wide = text.encode("utf-16-be")
        return b"mluc\0\0\0\0" + struct.pack(">LL4sLL", 1, 12, b"enUS", len(wide), 28) + wide
    plain = text.encode("ascii") + b"\0"
    if old == b"text":
        return b"text\0\0\0\0" + plain
    return b"desc\0\0\0\0" + struct.pack(">L", len(plain)) + plain + bytes(4 + 4 + 2 + 1 + 67)


def _written(version: bytes, kinds: bytes, intent: int, tags: dict[bytes, bytes]) -> bytes:
    """A profile of these tags; equal values are written once, each on a multiple of four."""
    table, body, places = b"", b"", {}
    start = 132 + 12 * len(tags)
    for tag, value in tags.items():
        if value not in places:
            places[value] = start + len(body)
            body += value + bytes(-len(value) % 4)
        table += struct.pack(">4sLL", tag, places[value], len(value))
    size = start + len(body)
    head = struct.pack(">LL", size, 0) + version + b"\0\0" + kinds + _DATE + b"acsp" + bytes(24)
    head += struct.pack(">L", intent) + _D50
    return head.ljust(128, b"\0") + struct.pack(">L", len(tags)) + table + body
