"""What a text says once the encodings of programs, mail and the web are taken off it.

Systems write exports, messages and error reports into descriptions: base64, hexadecimal digits, escapes, entities.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Iterator
from contextlib import suppress
from email.errors import HeaderParseError
from email.header import decode_header

# Letters and digits that may be base64 (RFC 4648, both alphabets), and pairs of hexadecimal digits.
_BASE64 = re.compile(r"(?<![\w+/=-])[A-Za-z0-9+/_-]{6,}={0,2}(?![\w+/=-])")
_HEX = re.compile(
    r"(?<![0-9A-Za-z])(?:0x)?[0-9A-Fa-f]{2}(?:[ :,-]?(?:0x)?[0-9A-Fa-f]{2}){3,}[0-9A-Fa-f]?(?![0-9A-Za-z])"
)
_BYTES = re.compile(rb"(?:%|=|\\x)([0-9A-Fa-f]{2})")  # of URLs (RFC 3986), of mail (RFC 2045), of programs
_ESCAPE = re.compile(r"\\(?:u\{?|U0000|U000)([0-9A-Fa-f]{4,5})\}?")
_LEAD = r"[\\/|¥₩＼]"  # the backslash, and what is written for it where a value may have none
_RUN = re.compile(
    rf"(?:{_LEAD}?[xX]\{{?[0-9A-Fa-f]{{2}}\}}?){{4,}}|(?:{_LEAD}?[uU]\+?\{{?[0-9A-Fa-f]{{4}}\}}?[ ,]?){{3,}}"
    rf"|(?:{_LEAD}[0-3][0-7]{{2}}){{4,}}"
)
_IN_RUN = re.compile(rf"{_LEAD}?([xXuU])\+?\{{?([0-9A-Fa-f]{{2,4}})\}}?[ ,]?")
_OCTAL = re.compile(rf"{_LEAD}([0-3][0-7]{{2}})")
_OTHER_LEAD = re.compile(r"[/|¥₩＼](?=x[0-9A-Fa-f]{2}|u\{?[0-9A-Fa-f]{4})")
# An escape of which a field's end left the beginning.
_CUT = re.compile(r"(?:(?:%|=|\\x)[0-9A-Fa-f]?|\\(?:u\{?[0-9A-Fa-f]{0,3})?|&(?:#(?:[xX]?[0-9A-Fa-f]{0,5}))?)$")
_PLUS = re.compile(r"(?<=\w)\+(?=\w)")  # a blank in the query of a URL
_ANY = re.compile(r"[%=][0-9A-Fa-f]{2}|\\[uUx]|&#?\w+;|=\?|\w\+\w")


def beneath(text: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, what it says) of every run of a text that encodes another; of all of it where it has escapes."""
    for match in _HEX.finditer(text):
        digits = re.sub(r"0x|[ :,-]", "", match[0])
        for said in _readable(bytes.fromhex(digits[: len(digits) & ~1])):
            yield *match.span(), said
    for match in _BASE64.finditer(text):
        bare = match[0].rstrip("=").replace("-", "+").replace("_", "/")
        bare = bare[:-1] if len(bare) % 4 == 1 else bare
        try:
            raw = base64.b64decode(bare + "=" * (-len(bare) % 4))
        except binascii.Error:
            continue
        for said in _readable(raw):
            yield *match.span(), said
    plain = _OTHER_LEAD.sub(r"\\", _RUN.sub(_with_backslashes, text))
    if _ANY.search(plain):
        whole = _CUT.sub("", plain)
        for said in {*_unescaped(plain), *(_unescaped(whole) if whole != plain else ())} - {text}:
            yield 0, len(text), said.rstrip("\ufffd")


def _with_backslashes(run: re.Match[str]) -> str:
    """A run of escapes as programs write them."""
    bytes_as_hex = _OCTAL.sub(lambda m: f"\\x{int(m[1], 8):02x}", run[0])
    return _IN_RUN.sub(lambda m: f"\\{m[1].lower()}{m[2]}", bytes_as_hex)


def _unescaped(text: str) -> Iterator[str]:
    """A text without the escapes of one kind, and of all kinds."""
    if "=?" in text:
        with suppress(HeaderParseError, LookupError, ValueError):
            parts = decode_header(text)
            yield "".join(p.decode(c or "ascii", "ignore") if isinstance(p, bytes) else p for p, c in parts)
    bare = _BYTES.sub(lambda m: bytes((int(m[1], 16),)), text.encode("utf-8", "surrogatepass").replace(b"=\r\n", b""))
    plain = _ESCAPE.sub(lambda m: chr(int(m[1], 16)), bare.decode("utf-8", "replace"))
    plain = html.unescape(plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
    yield plain
    yield _PLUS.sub(" ", plain)
    yield html.unescape(text)


def _readable(raw: bytes) -> Iterator[str]:
    """Bytes as a text, where they are one: UTF-8, or UTF-16 as some systems encode it first. A field's end may have cut
    the last character."""
    for encoding, most in (("utf-8", 3), ("utf-16-le", 1), ("utf-16-be", 1)) if b"\0" in raw else (("utf-8", 3),):
        for cut in range(most + 1):
            with suppress(UnicodeDecodeError):
                text = raw[: len(raw) - cut].decode(encoding)
                if text and all(c.isprintable() or c in "\r\n\t" for c in text):
                    yield text
                break
