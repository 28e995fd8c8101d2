"""Looks for a person in what was written, knowing nothing of how it was cleaned: every value, byte, picture and
container, read in every way in which a curious recipient may read it."""

from __future__ import annotations

import base64
import binascii
import contextlib
import gzip
import html
import io
import math
import re
import zipfile
import zlib
from collections.abc import Iterator
from email.header import decode_header
from functools import lru_cache

import numpy as np
import pydicom
from pydicom import config
from pydicom.dataset import Dataset

from tests.drawn.adversary.people import Somebody
from tests.drawn.attacks import plain

_OURS = re.compile(r"2\.25\.\d{20,39}")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{8,}={0,2}")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2}[ :]?){5,}")
_MOST = 1 << 20


def leaks(content: bytes, one: Somebody, text: str = "") -> list[str]:
    """What of the person a file shows, as "kind: what, where". `text`: what was hidden, as it was written."""
    found: dict[str, None] = {}
    written = {s for name in (one.who.family, one.who.given) for s in _spellings(name)}
    for where, shown in readings(content):
        if isinstance(shown, bytes):
            found |= {f"name: {s!r} in {where}": None for s in written if s in shown}
        else:
            found |= {f"{what} in {where}": None for what in _found(shown, one, plain(text))}
    return list(found)


def leaks_in_text(text: str, one: Somebody) -> list[str]:
    """What of the person a text shows, as it is and decoded."""
    return [what for _, shown in _decoded(text) for what in _found(shown, one)]


def _found(shown: str, one: Somebody, own: str = "") -> Iterator[str]:
    squeezed, low = plain(_OURS.sub(" uid ", shown)), shown.lower()  # a letter: what is around it does not touch
    for kind, needles in one.needles.items():
        if kind != "uid":
            yield from (f"{kind}: {needle!r}" for needle in needles if needle in squeezed)
    for needle in (one.root, one.number_uid, f"{int(one.number_uid[5:]):032x}"):
        if needle in low or (len(needle) == 32 and needle in squeezed):
            yield f"uid: {needle!r}"
    if len(own) > 11 and own in squeezed:
        yield f"text: {own!r}"


@lru_cache(maxsize=256)
def _spellings(name: str) -> frozenset[bytes]:
    """A name that is not plain ASCII as the bytes of each encoding that has its letters."""
    if name.isascii():
        return frozenset()
    found = set()
    for encoding in ("shift_jis", "euc_jp", "euc_kr", "gb18030", "iso2022_jp", "iso8859_5", "iso8859_7", "iso8859_8",
                     "iso8859_6", "tis_620", "iso8859_2", "utf-8", "utf-16-le", "utf-16-be"):  # fmt: skip
        for form in (name, name.upper(), name.lower()):
            with contextlib.suppress(UnicodeEncodeError):
                found.add(form.encode(encoding).removeprefix(b"\x1b$B").removesuffix(b"\x1b(B"))
    return frozenset(s for s in found if len(s) > 3 and not s.isascii())


def _ways(where: str, raw: bytes) -> Iterator[tuple[str, str | bytes]]:
    yield where, raw
    yield from ((f"{where} as {name}", text) for name, text in _as_text(raw))


def readings(content: bytes) -> Iterator[tuple[str, str | bytes]]:
    """(where, text) of everything in a file that can be read as text; bytes too, as they are."""
    with config.disable_value_validation():
        ds = pydicom.dcmread(io.BytesIO(content), force=True)
        values = [*_values(ds.file_meta, "meta"), *_values(ds, "")]
    for where, value in values:
        if isinstance(value, bytes):
            for how, raw in _unpacked(value):
                yield from _ways(f"{where} {how}", raw)
        else:
            yield from ((f"{where} {how}", text) for how, text in _decoded(value))
    head = content.find(b"\xe0\x7f\x10\x00")
    rest = content[:head] if head > 0 else content
    yield from _ways("bytes", rest[:_MOST])
    if "PixelData" in ds and ds.file_meta.TransferSyntaxUID.is_compressed is False:
        yield from _pictures(ds)


def _values(ds: Dataset, path: str) -> Iterator[tuple[str, str | bytes]]:
    for element in ds:
        here = f"{path}/{element.tag:08X}"
        if element.VR == "SQ":
            for number, item in enumerate(element.value or ()):
                yield from _values(item, f"{here}[{number}]")
        elif isinstance(element.value, bytes):
            yield here, element.value
        else:
            values = (
                element.value if isinstance(element.value, (list, pydicom.multival.MultiValue)) else [element.value]
            )
            if values and all(isinstance(v, (int, float)) and math.isfinite(v) for v in values):
                yield from ((f"{here} as letters", text) for text in _letters(list(values), element.VR))
            if element.VR == "UI":
                values = [v for v in values if not _OURS.fullmatch(str(v))]
            yield here, " ".join(str(v) for v in values if v is not None)
            if len(values) > 1:
                yield f"{here} joined", "".join(str(v) for v in values)


def _letters(values: list[float], vr: str) -> Iterator[str]:
    """Numbers read as characters, as bytes, and as a number without exponent."""
    kinds = {"US": "<u2", "SS": "<i2", "UL": "<u4", "SL": "<i4", "FL": "<f4", "FD": "<f8", "SV": "<i8", "UV": "<u8"}
    if vr in kinds:
        raw = np.asarray(values).astype(kinds[vr]).tobytes()
        yield from (text for _, text in _as_text(raw))
        if all(0 < v < 0x3000 and v == int(v) for v in values):
            yield "".join(chr(int(v)) for v in values)
    yield " ".join(str(int(v)) for v in values if abs(v) < 1e18 and v == int(v))


def _as_text(raw: bytes) -> Iterator[tuple[str, str]]:
    if len(raw) > _MOST:
        raw = raw[:_MOST]
    yield "latin-1", raw.replace(b"\0", b"").decode("latin-1")
    for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
        yield encoding, raw.decode(encoding, "ignore")
    if len(raw) > 3:
        yield "utf-16-le, odd", raw[1:].decode("utf-16-le", "ignore")


def _unpacked(value: bytes, depth: int = 2) -> Iterator[tuple[str, bytes]]:
    """A binary value, and what is packed in it."""
    yield "", value
    if depth == 0:
        return
    for start in (m.start() for m in re.finditer(rb"\x1f\x8b|\x78[\x01\x5e\x9c\xda]|PK\x03\x04", value[:_MOST])):
        raw = value[start:]
        try:
            if raw[:2] == b"PK":
                with zipfile.ZipFile(io.BytesIO(raw)) as archive:
                    inner = b" ".join(archive.read(name) for name in archive.namelist())
            elif raw[:2] == b"\x1f\x8b":
                inner = gzip.decompress(raw.rstrip(b"\0"))
            else:
                inner = zlib.decompressobj().decompress(raw, _MOST)
        except (OSError, zlib.error, zipfile.BadZipFile, EOFError):
            continue
        yield from ((f"unpacked {how}", data) for how, data in _unpacked(inner, depth - 1))


def _decoded(text: str, depth: int = 2) -> Iterator[tuple[str, str]]:
    """A text, and what it says once the encodings of the web, of mail and of programs are taken off."""
    yield "", text
    if depth == 0 or len(text) < 4:
        return
    others: list[tuple[str, str]] = []
    if "&" in text:
        others.append(("from HTML", html.unescape(text)))
    if re.search(r"%[0-9A-Fa-f]{2}", text):
        raw = re.sub(rb"%([0-9A-Fa-f]{2})", lambda m: bytes([int(m[1], 16)]), text.encode("utf-8", "ignore"))
        others.append(("from a URL", raw.decode("utf-8", "ignore")))
    if re.search(r"=[0-9A-F]{2}", text):
        raw = re.sub(rb"=([0-9A-F]{2})", lambda m: bytes([int(m[1], 16)]), text.encode("utf-8", "ignore"))
        others.append(("from quoted-printable", raw.decode("utf-8", "ignore")))
    if "=?" in text:
        try:
            parts = decode_header(text)
            others.append(
                (
                    "from mail",
                    "".join(p.decode(c or "ascii", "ignore") if isinstance(p, bytes) else p for p, c in parts),
                )
            )
        except (ValueError, LookupError, binascii.Error):
            pass
    if re.search(r"\\[ux][0-9A-Fa-f]{2}", text):
        others.append(("from escapes", re.sub(r"\\u([0-9A-Fa-f]{4})", lambda m: chr(int(m[1], 16)), text)))
        raw = re.sub(rb"\\x([0-9A-Fa-f]{2})", lambda m: bytes([int(m[1], 16)]), text.encode("utf-8", "ignore"))
        others.append(("from escapes", raw.decode("utf-8", "ignore")))
    for match in _BASE64.findall(text):
        bare = match.rstrip("=").replace("-", "+").replace("_", "/")
        try:
            others.append(("from base64", base64.b64decode(bare + "=" * (-len(bare) % 4)).decode("utf-8", "ignore")))
        except (ValueError, binascii.Error):
            continue
    for match in _HEX.findall(text):
        digits = re.sub(r"[ :]", "", match)
        others.append(("from hex", bytes.fromhex(digits[: len(digits) & ~1]).decode("utf-8", "ignore")))
    for how, other in others:
        if other != text:
            yield from ((f"{how} {more}", deeper) for more, deeper in _decoded(other, depth - 1))


def _pictures(ds: Dataset) -> Iterator[tuple[str, str | bytes]]:
    """Pixel data as letters: as they are, each bit plane, and what lies between the values and behind them."""
    raw = bytes(ds.PixelData)[:_MOST]
    yield from _ways("pixels", raw)
    samples = np.frombuffer(raw, np.uint8)
    for bit in (0, 1, 7):
        for order in ("big", "little"):
            packed = np.packbits(samples >> bit & 1, bitorder=order).tobytes()  # type: ignore[call-overload]
            yield f"bit {bit} of the pixels", packed.decode("latin-1")
