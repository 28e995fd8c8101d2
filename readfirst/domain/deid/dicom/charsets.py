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


# Every escape sequence of ISO 2022 (PS3.3 Table C.12-3): for texts that use them in a data set that does not say so.
_ISO_2022 = (
    "",
    *(f"ISO 2022 IR {n}" for n in (87, 159, 149, 58, 13, 100, 101, 109, 110, 144, 127, 126, 138, 148, 166)),
)


def readings(value: bytes, terms: Sequence[str]) -> list[str]:
    """What a text value may say: by its character sets first, then by what its bytes look like beside them."""
    said = decoded(value, terms)
    if value.isascii() and b"\x1b" not in value:
        return [said]
    others = [decoded(value, _ISO_2022)] if b"\x1b" in value else []
    for encoding in ("utf-8", "latin-1"):
        try:
            others.append(value.decode(encoding))
        except UnicodeDecodeError:
            continue
    return list(dict.fromkeys([said, *others]))


# What names are written in by systems that do not say so.
_WRITTEN_IN = (
    *("utf-8", "utf-16-le", "utf-16-be", "latin-1", "iso8859-2", "iso8859-5", "iso8859-6", "iso8859-7", "iso8859-8"),
    *("iso8859-9", "cp1250", "cp1251", "cp1252", "cp1253", "cp1255", "cp1256", "koi8-r", "mac-roman", "tis-620"),
    *("shift_jis", "euc_jp", "iso2022_jp", "gb18030", "big5", "euc_kr", "johab"),
)


def spellings(text: str) -> set[bytes]:
    """The bytes of a name that is not plain ASCII, in each encoding that has it: what to look for in raw values."""
    spelled = set()
    for written in {text, text.lower(), text.upper(), text.title()}:
        for encoding in _WRITTEN_IN:
            try:
                spelled.add(written.encode(encoding))
            except UnicodeEncodeError:
                continue
    return {s for s in spelled if len(s) >= 4}


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
