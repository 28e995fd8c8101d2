"""Reads DICOM data sets as plain elements, in the encoding that they came in (PS3.5 sections 7 and A)."""

from __future__ import annotations

import io
import struct
import tempfile
import zlib
from contextlib import suppress
from typing import BinaryIO

from readfirst.domain import coded_terms
from readfirst.domain.deid.dicom import tags
from readfirst.domain.deid.dicom.elements import (
    CHUNK,
    DEFLATED,
    DIRECTORY_CLASS,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    ITEM,
    ITEM_END,
    LONG_VRS,
    SEQUENCE_END,
    TEXT_VRS,
    UNDEFINED,
    VRS,
    Bulk,
    Element,
    Encoding,
    File,
    Fragments,
    Unreadable,
    check_length,
    is_pixels,
    text_of,
    vr_by_dictionary,
)
from readfirst.domain.deid.dicom.writer import write_meta
from readfirst.domain.refusals import Reason

IN_MEMORY = 64 * 1024  # binary values above this stay in the source


TEXT_LIMIT = 256 * 1024  # a text longer than this is no text, and would take long to clean


MAX_DEPTH = 64


MAX_ELEMENTS = 1_000_000  # fragments of pixel data count as well


MAX_ITEMS = 200_000  # an item costs about a kilobyte where it is looked into; functional groups take some per frame


MAX_INFLATED = 1024**3  # the worker's disk holds 0.8 GB: what is larger is sent as it is, not deflated


_WINDOW = 128 * 1024


class Window:
    """Buffered reads at any position of a seekable source, checked against its size."""

    def __init__(self, source: BinaryIO) -> None:
        self.source = source
        self.size = source.seek(0, 2)
        self.buffer = b""
        self.base = 0

    def get(self, position: int, count: int) -> bytes:
        """`count` bytes at `position`."""
        start = position - self.base
        if start < 0 or start + count > len(self.buffer):
            if position + count > self.size:
                raise Unreadable(Reason.TRUNCATED, "the file ends inside an element")
            self.source.seek(position)
            self.buffer = self._read(max(count, _WINDOW))
            self.base = position
            start = 0
            if len(self.buffer) < count:
                raise Unreadable(Reason.TRUNCATED, "the file ends inside an element")
        return self.buffer[start : start + count]

    def _read(self, count: int) -> bytes:
        parts = []
        while count > 0:
            part = self.source.read(count)
            if not part:
                break
            parts.append(part)
            count -= len(part)
        return b"".join(parts)


_HEAD_LITTLE = struct.Struct("<HH2sH").unpack_from


_HEAD_BIG = struct.Struct(">HH2sH").unpack_from


_VR_OF = {vr.encode(): vr for vr in VRS}


class Parser:
    """Parses one data set. `header_only` stops at the first pixel data element of the top level."""

    def __init__(self, window: Window, encoding: Encoding, header_only: bool = False) -> None:
        self.window = window
        self.encoding = encoding
        self.header_only = header_only
        self.count = 0
        self.items = 0
        self.reached_pixels = False
        self.trailing = 0

    def data_set(self, start: int) -> list[Element]:
        """The top level, from `start` to the end of the file. What does not parse after pixel data is trailing."""
        window, end = self.window, self.window.size
        elements: list[Element] = []
        position, previous = start, 0
        while end - position >= 8:
            try:
                tag, vr, length, body = self._head(position, self.encoding)
                if tag <= previous and (self.reached_pixels or tag == 0):
                    break
                if self.header_only and is_pixels(tag):
                    check_length(length, window.size - body)
                    elements.append(Element(tag, vr, Bulk(window.source, body, min(length, window.size - body))))
                    self.reached_pixels = True
                    return elements
                element, position = self._element(tag, vr, length, body, end, 0, self.encoding)
            except Unreadable:
                if self.reached_pixels:
                    break
                raise
            self.reached_pixels = self.reached_pixels or is_pixels(tag)
            previous = tag
            elements.append(element)
        self.trailing = end - position
        if self.trailing and not self.reached_pixels and not self._zeros(position, end):
            raise Unreadable(Reason.TRUNCATED, "the file ends inside an element")
        return elements

    def _zeros(self, position: int, end: int) -> bool:
        while position < end:
            chunk = self.window.get(position, min(CHUNK, end - position))
            if chunk.count(0) < len(chunk):
                return False
            position += len(chunk)
        return True

    def _count_element(self) -> None:
        self.count += 1
        if self.count > MAX_ELEMENTS:
            raise Unreadable(Reason.UNREADABLE, "more elements than the limit")

    def _count_item(self) -> None:
        self.items += 1
        if self.items > MAX_ITEMS:
            raise Unreadable(Reason.UNREADABLE, "more items than the limit")

    def _head(self, position: int, encoding: Encoding) -> tuple[int, str, int, int]:
        """Tag, VR, length, and where the value starts."""
        window = self.window
        at = position - window.base
        if at < 0 or at + 12 > len(window.buffer):  # also where the file ends: then what is left must do
            head, at = window.get(position, min(12, max(8, window.size - position))), 0
        else:
            head = window.buffer
        group, number, code, short = (_HEAD_BIG if encoding.big else _HEAD_LITTLE)(head, at)
        tag = group << 16 | number
        if encoding.explicit and group != 0xFFFE:
            vr = _VR_OF.get(code)
            if vr is not None and vr not in LONG_VRS:
                return tag, vr, short, position + 8
            if vr is not None or (code.isalpha() and code.isupper()):
                (length,) = struct.unpack(encoding.order + "L", window.get(position + 8, 4))
                return tag, vr or "UN", length, position + 12
        # No VR here: an implicit encoding, or one of the files that mix both.
        return tag, vr_by_dictionary(tag), struct.unpack_from(encoding.order + "L", head, at + 4)[0], position + 8

    def _element(
        self, tag: int, vr: str, length: int, body: int, end: int, depth: int, encoding: Encoding
    ) -> tuple[Element, int]:
        self._count_element()
        if length == UNDEFINED:
            if is_pixels(tag) and vr != "SQ":
                return self._fragments(tag, vr, body, encoding)
            items, position = self._sequence(vr, body, end, depth, encoding, undefined=True)
            return Element(tag, "SQ", items), position
        if length > end - body:
            raise Unreadable(Reason.TRUNCATED, f"element {tag:08X} is longer than what holds it")
        if vr == "SQ" or (vr == "UN" and length and vr_by_dictionary(tag) == "SQ"):
            items, _ = self._sequence(vr, body, body + length, depth, encoding, undefined=False)
            return Element(tag, "SQ", items), body + length
        if vr == "UN":
            vr = vr_by_dictionary(tag)
        if length > (TEXT_LIMIT if vr in TEXT_VRS else IN_MEMORY):
            return Element(tag, vr, Bulk(self.window.source, body, length)), body + length
        return Element(tag, vr, self.window.get(body, length) if length else b""), body + length

    def _sequence(
        self, vr: str, body: int, end: int, depth: int, encoding: Encoding, undefined: bool
    ) -> tuple[list[list[Element]], int]:
        """The items of a sequence. One that says UN is implicit little endian whatever the rest is (PS3.5 6.2.2, note),
        but many writers leave it in the encoding of the rest: what reads to its end is what was meant."""
        if vr != "UN":
            return self._items(body, end, depth, encoding, undefined)
        meant = Encoding(explicit=False, big=False)
        first, other = (encoding, meant) if self._looks_explicit(body, end, encoding) else (meant, encoding)
        try:
            return self._items(body, end, depth, first, undefined)
        except Unreadable as error:
            if first == other or self.count > MAX_ELEMENTS:
                raise
            with suppress(Unreadable):
                return self._items(body, end, depth, other, undefined)
            raise error

    def _looks_explicit(self, body: int, end: int, encoding: Encoding) -> bool:
        """Whether a VR stands where the first element of the first item would have one."""
        return encoding.explicit and end - body >= 16 and self.window.get(body + 12, 2) in _VR_OF

    def _items(
        self, position: int, end: int, depth: int, encoding: Encoding, undefined: bool
    ) -> tuple[list[list[Element]], int]:
        if depth >= MAX_DEPTH:
            raise Unreadable(Reason.UNREADABLE, "sequences nested deeper than the limit")
        items: list[list[Element]] = []
        while undefined or end - position >= 8:
            head = self.window.get(position, 8)
            group, number, length = struct.unpack(encoding.order + "HHL", head)
            tag = group << 16 | number
            position += 8
            if tag == SEQUENCE_END:
                return items, position
            if tag != ITEM:
                raise Unreadable(Reason.UNREADABLE, "a sequence holds something that is not an item")
            if length != UNDEFINED and length > end - position:
                raise Unreadable(Reason.TRUNCATED, "an item is longer than what holds it")
            self._count_item()
            item_end = end if length == UNDEFINED else position + length
            item, position = self._item(position, item_end, depth + 1, encoding, length == UNDEFINED)
            items.append(item)
        return items, end

    def _item(
        self, position: int, end: int, depth: int, encoding: Encoding, undefined: bool
    ) -> tuple[list[Element], int]:
        elements: list[Element] = []
        while undefined or end - position >= 8:
            tag, vr, length, body = self._head(position, encoding)
            if tag == ITEM_END:
                return elements, body
            element, position = self._element(tag, vr, length, body, end, depth, encoding)
            elements.append(element)
        return elements, end

    def _fragments(self, tag: int, vr: str, position: int, encoding: Encoding) -> tuple[Element, int]:
        parts: list[Bulk | bytes] = []
        while True:
            group, number, length = struct.unpack(encoding.order + "HHL", self.window.get(position, 8))
            position += 8
            if (group << 16 | number) == SEQUENCE_END:
                return Element(tag, vr, Fragments(parts)), position
            if (group << 16 | number) != ITEM or length > self.window.size - position:
                raise Unreadable(Reason.TRUNCATED, "the compressed pixel data breaks off")
            self._count_element()
            parts.append(Bulk(self.window.source, position, length))
            position += length


def parse(source: BinaryIO, header_only: bool = False) -> File:
    """Parses a DICOM file: with or without preamble, with or without group 2. Raises Unreadable."""
    window = Window(source)
    if window.size == 0:
        raise Unreadable(Reason.EMPTY, "no bytes")
    if window.size < 16:
        raise Unreadable(Reason.NOT_DICOM, "too short for a data set")
    start = 132 if window.size >= 140 and window.get(128, 4) == b"DICM" else 0
    meta, start = _meta(window, start)
    syntax = next((text_of(e) for e in meta if e.tag == tags.TransferSyntaxUID), "")
    if window.size - start < 8:
        raise Unreadable(Reason.TRUNCATED if meta else Reason.NOT_DICOM, "no data set")
    if syntax == DEFLATED:
        window, start = _inflated(window, start), 0
    if any(e.tag == tags.MediaStorageSOPClassUID and text_of(e) == DIRECTORY_CLASS for e in meta):
        return File(meta, [], Encoding(explicit=True, big=False), syntax, window.size)
    encoding = _encoding(window, start, syntax)
    parser = Parser(window, encoding, header_only)
    elements = parser.data_set(start)
    _complete(elements, meta, parser.reached_pixels)
    for element in elements:
        if element.tag in coded_terms.TAGS and isinstance(element.value, bytes):
            element.value = coded_terms.as_term(element.tag, element.value)
    return File(meta, elements, encoding, _actual_syntax(syntax, encoding), window.size, parser.trailing)


def with_preamble(content: bytes) -> bytes:
    """The file as PS3.10 7.1 wants it: one that begins with its data set, or with group 2, gets what is missing.

    Raises Unreadable for what is no data set.
    """
    if content[128:132] == b"DICM":
        return content
    file = parse(io.BytesIO(content), header_only=True)
    _, start = _meta(Window(io.BytesIO(content)), 0)
    said = {e.tag: text_of(e) for e in file.elements if e.tag in (tags.SOPClassUID, tags.SOPInstanceUID)}
    meta = [
        Element(tags.FileMetaInformationVersion, "OB", b"\0\1"),
        Element(tags.MediaStorageSOPClassUID, "UI", said.get(tags.SOPClassUID, "").encode()),
        Element(tags.MediaStorageSOPInstanceUID, "UI", said.get(tags.SOPInstanceUID, "").encode()),
        Element(tags.TransferSyntaxUID, "UI", file.transfer_syntax.encode()),
    ]
    target = io.BytesIO()
    write_meta(target, meta)
    return target.getvalue() + content[start:]


def _complete(elements: list[Element], meta: list[Element], to_pixels: bool) -> None:
    """Takes SOP class and instance from the meta information where a data set that goes on to its pixels lacks them."""
    present = {e.tag for e in elements if e.value}
    for tag, source in (
        (tags.SOPClassUID, tags.MediaStorageSOPClassUID),
        (tags.SOPInstanceUID, tags.MediaStorageSOPInstanceUID),
    ):
        said = next((e for e in meta if e.tag == source and text_of(e)), None)
        if said is not None and tag not in present and to_pixels:
            elements[:] = [e for e in elements if e.tag != tag]
            at = next((k for k, e in enumerate(elements) if e.tag > tag), len(elements))
            elements.insert(at, Element(tag, "UI", said.value))


def _meta(window: Window, start: int) -> tuple[list[Element], int]:
    """The group 2 elements (PS3.10 7.1), by their tags: the group length is often wrong or absent."""
    parser = Parser(window, Encoding(explicit=True, big=False))
    elements: list[Element] = []
    while window.size - start >= 8 and window.get(start, 2) == b"\x02\x00":
        tag, vr, length, body = parser._head(start, parser.encoding)
        element, start = parser._element(tag, vr, length, body, window.size, 0, parser.encoding)
        elements.append(element)
    return elements, start


def _encoding(window: Window, start: int, syntax: str) -> Encoding:
    """The encoding by looking at the first element: some files do not hold what their meta information says."""
    head = window.get(start, 8)
    little, big = struct.unpack("<H", head[:2])[0], struct.unpack(">H", head[:2])[0]
    explicit = head[4:6].decode("latin-1") in VRS
    is_big = big < little if syntax in ("", EXPLICIT_BIG) else False
    group = min(little, big)
    if syntax == "" and (group % 2 or not 0 < group <= 0x0028):
        raise Unreadable(Reason.NOT_DICOM, "does not begin like a data set")
    return Encoding(explicit=explicit, big=is_big and explicit)


def _actual_syntax(declared: str, encoding: Encoding) -> str:
    """The transfer syntax that tells the truth about a data set."""
    if declared in ("", IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG):
        if encoding.big:
            return EXPLICIT_BIG
        return EXPLICIT_LITTLE if encoding.explicit else IMPLICIT_LITTLE
    return declared


def _inflated(window: Window, start: int) -> Window:
    """The data set of a deflated file (PS3.5 A.5), on disk where it is large."""
    inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    target = tempfile.SpooledTemporaryFile(max_size=32 * CHUNK)  # noqa: SIM115 - lives as long as the window
    try:
        for chunk in Bulk(window.source, start, window.size - start).chunks():
            data = inflater.decompress(chunk, CHUNK)
            while data:
                target.write(data)
                if target.tell() > MAX_INFLATED:
                    raise Unreadable(Reason.TOO_LARGE, "inflates beyond the limit")
                data = inflater.decompress(inflater.unconsumed_tail, CHUNK)
        target.write(inflater.flush())
    except zlib.error as error:
        raise Unreadable(Reason.UNREADABLE, "the deflated data set is damaged") from error
    return Window(target)  # type: ignore[arg-type] # a spooled file has seek and read, which is all a window needs
