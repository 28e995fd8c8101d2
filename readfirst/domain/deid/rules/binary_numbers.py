"""Numbers of the binary VRs that are the number of a person: a patient ID as UL, an accession number as FD."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from pydicom._dicom_dict import DicomDictionary

_TYPES = {"UL": "u4", "SL": "i4", "UV": "u8", "SV": "i8", "FD": "f8", "FL": "f4", "AT": "u2"}
_FEW = 16  # values: in more of them, a number of five or six digits is there by chance
_LONG = 10**6
_LARGEST = 1 << 63


def in_both_orders(value: bytes, vr: str) -> Iterator[bytes]:
    """The bytes of numbers as they are, and with each number turned round: letters lie in them in either order."""
    yield value
    size = int(_TYPES.get(vr, "u1")[1])
    if size > 2:
        yield np.frombuffer(value, f"u{size}", len(value) // size).byteswap().tobytes()


class BinaryNumbers:
    """Known numbers, as binary values hold them."""

    def __init__(self, known: Iterable[str]) -> None:
        whole = {int(n) for n in known if n.isdigit() and len(n) < 20}
        # 12000 and 150000 are sizes and times of pictures.
        self._all = frozenset(n for n in whole if 10**4 <= n < _LARGEST and (n >= _LONG or n % 1000))
        self._long = frozenset(n for n in self._all if n >= _LONG)
        self._single = frozenset(float(np.float32(n)) for n in self._long)  # as near as four bytes come to them

    def hold(self, value: bytes, vr: str, big: bool) -> bool:
        """Whether a value (`big`: its byte order) is, or holds, a known number."""
        kind = np.dtype(_TYPES[vr]).newbyteorder(">" if big else "<") if vr in _TYPES else None
        if kind is None or not self._all:
            return False
        numbers = np.frombuffer(value, kind, len(value) // kind.itemsize)
        if vr == "AT":  # a tag that the standard has is a tag
            tags = {
                int(group) << 16 | int(element) for group, element in zip(numbers[::2], numbers[1::2], strict=False)
            }
            return not self._all.isdisjoint(tags - DicomDictionary.keys())
        known = self._single if vr == "FL" else self._all if len(numbers) <= _FEW else self._long
        if len(numbers) <= _FEW:
            return any(abs(n) in known for n in numbers.tolist())
        return bool(np.isin(np.abs(numbers.astype("f8")), [float(n) for n in known]).any())
