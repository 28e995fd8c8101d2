"""Numbers as files write them in text (IS and DS, PS3.5 6.2), read in one place."""

from __future__ import annotations

import re
from decimal import Decimal

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?")
_PADDING = " \0\t\r\n"
_LONGEST = 64  # characters: DS has 16, and some writers more digits than that
_LARGEST = 2**31  # of IS


def decimal(text: str) -> float | None:
    """The number that a text means, with spaces, sign and exponent; None where it means none, or no finite one."""
    value = _read(text)
    return None if value is None or abs(value) > Decimal("1e300") else float(value)


def whole(text: str) -> int | None:
    """The whole number that a text means: "24", "+24", " 24 ", "24.0" and "2.4e1" are 24; None for anything else."""
    value = _read(text)
    if value is None or abs(value) > _LARGEST or value != int(value):
        return None
    return int(value)


def _read(text: str) -> Decimal | None:
    plain = text.strip(_PADDING)
    return Decimal(plain) if len(plain) <= _LONGEST and _NUMBER.fullmatch(plain) and plain.isascii() else None


def as_integers(value: bytes) -> bytes:
    """An IS value with each of its numbers written as IS wants it; unchanged where one of them is no whole number."""
    texts = value.decode("latin-1").split("\\")
    numbers = ["" if not t.strip(_PADDING) else whole(t) for t in texts]
    if None in numbers:
        return value
    written = "\\".join(str(n) for n in numbers).encode()
    return value if [t.strip(" \0") for t in texts] == [str(n) for n in numbers] else written
