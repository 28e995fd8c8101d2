"""Writes data sets in the encoding that they came in (PS3.5 sections 7 and A), and file meta information."""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

from readfirst.domain.deid.dicom.elements import (
    ITEM,
    ITEM_END,
    LONG_VRS,
    LONGEST_SHORT,
    SEQUENCE_END,
    UNDEFINED,
    Bulk,
    Element,
    Encoding,
    Fragments,
)


class Writer:
    """Writes elements in one encoding. Sequences get undefined lengths: nothing has to be held to know its size.

    Small pieces wait and go out together; `flush` at the end.
    """

    def __init__(self, target: BinaryIO, encoding: Encoding) -> None:
        self.target = target
        self.encoding = encoding
        self._waiting: list[bytes] = []
        self._short = struct.Struct(encoding.order + "HH2sH")
        self._long = struct.Struct(encoding.order + "HH2sHL")
        self._bare = struct.Struct(encoding.order + "HHL")

    def elements(self, elements: list[Element]) -> None:
        """Writes a data set or an item's content."""
        add, head = self._waiting.append, self._head
        for element in elements:
            value = element.value
            if isinstance(value, bytes):
                add(head(element.tag, element.vr, len(value) + (len(value) & 1)))
                add(value)
                if len(value) & 1:
                    add(b"\0" if element.vr in ("OB", "UN", "UI") else b" ")
            elif isinstance(value, Bulk):
                add(head(element.tag, element.vr, value.length + (value.length & 1)))
                self._bulk(value)
            elif isinstance(value, Fragments):
                self._fragments(element, value)
            else:
                self._sequence(element, value)

    def flush(self) -> None:
        """Writes what waits."""
        if self._waiting:
            self.target.write(b"".join(self._waiting))
            self._waiting.clear()

    def _head(self, tag: int, vr: str, length: int) -> bytes:
        if not self.encoding.explicit:
            return self._bare.pack(tag >> 16, tag & 0xFFFF, length)
        if vr not in LONG_VRS and length > LONGEST_SHORT:
            vr = "UN"  # PS3.5 6.2.2: what a length of 16 bits cannot say
        if vr in LONG_VRS:
            return self._long.pack(tag >> 16, tag & 0xFFFF, vr.encode(), 0, length)
        return self._short.pack(tag >> 16, tag & 0xFFFF, vr.encode(), length)

    def _bulk(self, value: Bulk) -> None:
        self.flush()
        for chunk in value.chunks():
            self.target.write(chunk)
        if value.length & 1:
            self._waiting.append(b"\0")

    def _delimiter(self, tag: int, length: int = 0) -> None:
        self._waiting.append(self._bare.pack(tag >> 16, tag & 0xFFFF, length))

    def _fragments(self, element: Element, value: Fragments) -> None:
        self._waiting.append(self._head(element.tag, element.vr, UNDEFINED))
        for part in value.parts:
            length = len(part) if isinstance(part, bytes) else part.length
            self._delimiter(ITEM, length + (length & 1))
            if isinstance(part, bytes):
                self.flush()
                self.target.write(part + b"\0" * (length & 1))
            else:
                self._bulk(part)
        self._delimiter(SEQUENCE_END)

    def _sequence(self, element: Element, items: list[list[Element]]) -> None:
        if not items:
            self._waiting.append(self._head(element.tag, "SQ", 0))
            return
        self._waiting.append(self._head(element.tag, "SQ", UNDEFINED))
        for item in items:
            self._delimiter(ITEM, UNDEFINED)
            self.elements(item)
            self._delimiter(ITEM_END)
        self._delimiter(SEQUENCE_END)


def write_meta(target: BinaryIO, elements: list[Element]) -> None:
    """Preamble, prefix and a group 2 with its length (PS3.10 7.1)."""
    group = io.BytesIO()
    writer = Writer(group, Encoding(explicit=True, big=False))
    writer.elements(elements)
    writer.flush()
    body = group.getvalue()
    target.write(bytes(128) + b"DICM" + struct.pack("<HH2sHL", 2, 0, b"UL", 4, len(body)) + body)
