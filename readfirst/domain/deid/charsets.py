"""Text values as Unicode and back, by a data set's character sets (PS3.3 C.12.1.1.2). Never raises."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from pydicom import charset

_DELIMITERS = {"\\", "\r", "\n", "\f", "\t"}


def encodings_of(terms: Sequence[str]) -> list[str]:
    """Python's names of the character sets; Latin-1, in which every byte is something, for terms that are none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return list(charset.convert_encodings(list(terms) or [""]))
        except (LookupError, ValueError, TypeError):
            return ["latin_1"]


def decoded(value: bytes, terms: Sequence[str]) -> str:
    """A text value as Unicode."""
    if value.isascii() and b"\x1b" not in value:
        return value.decode("ascii")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return str(charset.decode_bytes(value, encodings_of(terms), _DELIMITERS))
        except (LookupError, ValueError):
            return value.decode("latin-1")


def encoded(text: str, terms: Sequence[str]) -> bytes:
    """A text value back in its character sets; what they lack becomes a question mark."""
    if text.isascii():
        return text.encode("ascii")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return bytes(charset.encode_string(text, encodings_of(terms)))
        except (LookupError, ValueError):
            return text.encode("ascii", "replace")
