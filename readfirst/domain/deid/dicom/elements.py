"""What a DICOM file is made of (PS3.5 section 7): elements, values, encodings. Plain data, without a file behind it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import dictionary_VR

from readfirst.domain.deid.dicom import tags
from readfirst.domain.deid.dicom.standard_tables import EXTRA_VRS
from readfirst.domain.refusals import Reason

IMPLICIT_LITTLE = "1.2.840.10008.1.2"


EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"


EXPLICIT_BIG = "1.2.840.10008.1.2.2"


DEFLATED = "1.2.840.10008.1.2.1.99"


DIRECTORY_CLASS = "1.2.840.10008.1.3.10"


PIXEL_DATA = tags.PixelData


ITEM, ITEM_END, SEQUENCE_END = tags.Item, tags.ItemDelimitationItem, tags.SequenceDelimitationItem


UNDEFINED = 0xFFFFFFFF


LONG_VRS = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"))


TEXT_VRS = frozenset(
    ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT")
)


VRS = LONG_VRS | TEXT_VRS | frozenset(["AT", "FD", "FL", "SL", "SS", "UL", "US"])


LONGEST_SHORT = 0xFFFE  # bytes of a value whose VR has a length of 16 bits


CHUNK = 1024 * 1024


class Unreadable(Exception):
    """The file's structure is broken or beyond limits. Turned into a Refused at the package's edge."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Bulk:
    """A value left in the source: where it starts and how many bytes it has."""

    source: BinaryIO
    offset: int
    length: int

    def chunks(self) -> Iterator[bytes]:
        """The bytes, a mebibyte at a time."""
        self.source.seek(self.offset)
        left = self.length
        while left:
            chunk = self.source.read(min(left, CHUNK))
            if not chunk:
                raise Unreadable(Reason.TRUNCATED, "a value ends before its length")
            left -= len(chunk)
            yield chunk

    def read(self) -> bytes:
        """All bytes at once."""
        return b"".join(self.chunks())


@dataclass(frozen=True, slots=True)
class Fragments:
    """Encapsulated pixel data (PS3.5 A.4): the basic offset table, then the fragments."""

    parts: list[Bulk | bytes]


class Element:
    """One data element: `value` is bytes, a Bulk, Fragments, or the items of a sequence."""

    __slots__ = ("tag", "value", "vr")

    def __init__(self, tag: int, vr: str, value: bytes | Bulk | Fragments | list[list[Element]]) -> None:
        self.tag = tag
        self.vr = vr
        self.value = value

    def __repr__(self) -> str:  # never the value
        return f"Element({self.tag:08X}, {self.vr})"


@dataclass(frozen=True, slots=True)
class Encoding:
    """How elements are written: with their VR or without, and in which byte order."""

    explicit: bool
    big: bool

    @property
    def order(self) -> str:
        """The byte order as struct spells it."""
        return ">" if self.big else "<"


@dataclass(slots=True)
class File:
    """A parsed file. `elements` stops before pixel data when only the header was asked for."""

    meta: list[Element]
    elements: list[Element]
    encoding: Encoding
    transfer_syntax: str
    size: int
    trailing: int = 0  # bytes after the last element


def vr_by_dictionary(tag: int) -> str:
    """The VR that the standard gives to a public tag ("UN" where it gives none), for implicit encodings."""
    entry = DicomDictionary.get(tag)
    if entry is not None:
        return str(entry[0])[:2]  # "US or SS": the bytes are kept as they are, so the first will do
    if tag >> 16 & 1:
        return "LO" if 0x10 <= tag & 0xFFFF <= 0xFF else "UN"
    if tag in EXTRA_VRS:
        return EXTRA_VRS[tag]
    if tag & 0xFFFF == 0:
        return "UL"
    try:
        return str(dictionary_VR(tag))[:2]
    except KeyError:
        return "UN"


_PIXELS = frozenset((PIXEL_DATA, tags.FloatPixelData, tags.DoubleFloatPixelData))


def is_pixels(tag: int) -> bool:
    """Pixel data in one of its three forms."""
    return tag in _PIXELS


def check_length(length: int, left: int) -> None:
    """A value that claims more bytes than the file still has is cut off."""
    if length != UNDEFINED and length > left:
        raise Unreadable(Reason.TRUNCATED, "the pixel data is longer than the file")


def text_of(element: Element) -> str:
    """A short value of the default character repertoire as text, without padding."""
    return element.value.decode("latin-1").strip(" \0") if isinstance(element.value, bytes) else ""


def bytes_of(element: Element) -> bytes:
    """A value's bytes, also where they were left in the source; none of a sequence or of compressed pixel data."""
    value = element.value
    return value if isinstance(value, bytes) else value.read() if isinstance(value, Bulk) else b""
