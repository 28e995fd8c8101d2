"""Bits of a pixel that no value uses: old overlays lie there (PS3.5 8.1.1), and anything can be hidden in them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from readfirst.domain.deid.dicom import tags
from readfirst.domain.deid.dicom.elements import Bulk, Element, Encoding

CLEARED = "bits that no pixel value uses cleared"


@dataclass(frozen=True)
class Bits:
    """Which bits of a stored pixel are its value. `padding`: values outside them that mean "no pixel" and stay."""

    dtype: np.dtype[np.generic]  # unsigned
    stored: int
    high: int
    signed: bool
    padding: tuple[int, ...] = ()

    def cleared(self, data: bytes) -> bytes:
        """Pixels without what lies beside their values; the same bytes where nothing does."""
        numbers = np.frombuffer(data, dtype=self.dtype)
        clear = self.cleared_numbers(numbers)
        return data if clear is numbers else clear.tobytes()

    def cleared_numbers(self, numbers: NDArray[np.generic]) -> NDArray[np.generic]:
        """As `cleared`; the array itself where nothing is to do."""
        width = self.dtype.itemsize * 8
        plain = numbers.view(self.dtype)
        extended = self.signed and self.high < width - 1
        values = plain.view(self.dtype.str.replace("u", "i")) if extended else plain
        top, low = width - 1 - self.high, self.high + 1 - self.stored
        if low == 0 and values.size:  # numbers within their range have nothing beside them: the usual case, fast
            least, most = (-(1 << self.stored - 1), (1 << self.stored - 1) - 1) if extended else (0, 2**self.stored - 1)
            if int(values.max()) <= most and int(values.min()) >= least:
                return numbers
        clear = ((values << top) >> (top + low)) << low
        if self.padding:
            clear = np.where(np.isin(plain, self.padding), values, clear)
        return numbers if np.array_equal(clear, values) else clear.astype(values.dtype).view(numbers.dtype)


def bits_of(elements: list[Element], encoding: Encoding) -> Bits | None:
    """The used bits that a data set declares; None where all are used, or none can be unused."""
    values = {e.tag: e.value for e in elements if e.tag >> 16 == 0x0028 and isinstance(e.value, bytes)}

    def numbers(tag: int) -> tuple[int, ...]:
        value = values.get(tag, b"")
        return struct.unpack(f"{encoding.order}{len(value) // 2}H", value[: len(value) & ~1])

    allocated, stored, high = ((*numbers(tag), 0)[0] for tag in (tags.BitsAllocated, tags.BitsStored, tags.HighBit))
    if allocated not in (8, 16, 32) or not 0 < stored < allocated or not stored <= high + 1 <= allocated:
        return None
    order = ">" if encoding.big and allocated > 8 else "<"
    padding = numbers(tags.PixelPaddingValue)[:1] if allocated == 16 else ()
    return Bits(
        np.dtype(f"{order}u{allocated // 8}"), stored, high, any(values.get(tags.PixelRepresentation, b"")), padding
    )


@dataclass(frozen=True, slots=True)
class Cleared(Bulk):
    """Native pixel data whose unused bits are cleared while it is written; `notes` hears of it when some were set."""

    bits: Bits
    notes: list[str] = field(default_factory=list)

    def chunks(self) -> Iterator[bytes]:
        """The bytes, a mebibyte at a time."""
        size, rest = self.bits.dtype.itemsize, b""
        for chunk in Bulk(self.source, self.offset, self.length).chunks():
            whole = rest + chunk if rest else chunk
            end = len(whole) - len(whole) % size
            rest = whole[end:]
            yield self._noted(whole[:end] if rest else whole)
        if rest:
            yield rest

    def _noted(self, data: bytes) -> bytes:
        clear = self.bits.cleared(data)
        if clear is not data and CLEARED not in self.notes:
            self.notes.append(CLEARED)
        return clear
