"""Transfer syntaxes that a retrieve may ask for (PS3.18 8.7.3): as stored, or Explicit VR Little Endian."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from readfirst.domain.decoding import Undecodable
from readfirst.domain.dicomweb import recoding

_MEDIA_TYPE = {
    "1.2.840.10008.1.2.4.50": "image/jpeg", "1.2.840.10008.1.2.4.51": "image/jpeg",
    "1.2.840.10008.1.2.4.57": "image/jpeg", "1.2.840.10008.1.2.4.70": "image/jpeg",
    "1.2.840.10008.1.2.4.80": "image/jls", "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2", "1.2.840.10008.1.2.4.91": "image/jp2",
    "1.2.840.10008.1.2.4.92": "image/jpx", "1.2.840.10008.1.2.4.93": "image/jpx",
    "1.2.840.10008.1.2.4.201": "image/jphc", "1.2.840.10008.1.2.4.202": "image/jphc",
    "1.2.840.10008.1.2.4.203": "image/jphc", "1.2.840.10008.1.2.4.110": "image/jxl",
    "1.2.840.10008.1.2.4.111": "image/jxl", "1.2.840.10008.1.2.4.112": "image/jxl",
    "1.2.840.10008.1.2.5": "image/dicom-rle",
}  # fmt: skip
_NATIVE = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian), str(DeflatedExplicitVRLittleEndian))
_OUTSIDE_QUOTES = r'{0}(?=(?:[^"]*"[^"]*")*[^"]*$)'


class NotAcceptable(Exception):
    """The bytes cannot be had as they were asked for."""


@dataclass(frozen=True)
class Offer:
    """One alternative of an Accept header: media type of the bytes, whether in parts, and their transfer syntax.

    `media` may end with `*`; `parts` None leaves it to the server; `syntax` is a UID, `*` for as stored, None for the
    default.
    """

    media: str
    parts: bool | None
    syntax: str | None

    def takes(self, media: str) -> bool:
        """Whether bytes of that media type are what this alternative asks for."""
        return fnmatch.fnmatchcase(media, self.media)


def offers(accept: str, query: str = "") -> list[Offer]:
    """The alternatives that a request takes, the best first. A query parameter `accept` overrides the header."""
    asked = [_offer(part) for part in re.split(_OUTSIDE_QUOTES.format(","), query or accept) if part.strip()]
    return [offer for _, offer in sorted(asked, key=lambda pair: -pair[0]) if _ > 0] or (
        [] if asked else [Offer("*/*", None, None)]
    )


def _offer(text: str) -> tuple[float, Offer]:
    first, *rest = (part.strip() for part in re.split(_OUTSIDE_QUOTES.format(";"), text))
    parameters = {
        name.strip().lower(): value.strip().strip('"').lower()
        for name, _, value in (part.partition("=") for part in rest)
    }
    media, syntax = first.lower(), parameters.get("transfer-syntax")
    try:
        weight = float(parameters.get("q", "1"))
    except ValueError:
        weight = 0.0
    if media in ("multipart/related", "multipart/*"):
        return weight, Offer(parameters.get("type", "*/*"), True, syntax)
    return weight, Offer(media, None if "*" in media else False, syntax)


def file_as(data: bytes, offer: Offer) -> bytes:
    """A DICOM file as that alternative asks for it. Raises NotAcceptable."""
    if offer.syntax == "*":
        return data
    ds = recoding.opened(data)
    stored = str(ds.file_meta.TransferSyntaxUID)
    if offer.syntax == stored or (offer.syntax is None and stored == ExplicitVRLittleEndian):
        return data
    if offer.syntax not in (None, str(ExplicitVRLittleEndian)):
        raise NotAcceptable
    try:
        return recoding.explicit_little_endian(ds)
    except Undecodable as error:
        raise NotAcceptable from error


def frames_as(data: bytes, numbers: list[int], offer: Offer) -> tuple[list[bytes], str]:
    """Frames (from 1; none named: all) and their media type. Uncompressed ones are little-endian, however stored.

    Raises NotAcceptable, or IndexError for a frame that is not there.
    """
    ds = recoding.opened(data)
    stored = str(ds.file_meta.TransferSyntaxUID)
    count = recoding.frame_count(ds)
    if "PixelData" not in ds:
        raise NotAcceptable
    numbers = numbers or list(range(1, count + 1))
    if max(numbers) > count:
        raise IndexError("no such frame")
    kind = _MEDIA_TYPE.get(stored, "application/octet-stream")
    # An image's own media type is asked for without naming its syntax; else only who names it, or takes all, gets it.
    as_image = offer.syntax is None and not offer.media.startswith(("*", "application/"))
    if recoding.is_compressed(ds) and (offer.syntax in ("*", stored) or as_image):
        if not (offer.takes(kind) or offer.takes("application/octet-stream")):
            raise NotAcceptable
        return _frames(recoding.compressed_frame(ds, n) for n in numbers), f"{kind};transfer-syntax={stored}"
    if offer.syntax not in (None, "*", *_NATIVE) or not offer.takes("application/octet-stream"):
        raise NotAcceptable
    return _frames(recoding.plain_frames(ds, numbers)), "application/octet-stream"


def _frames(found: Iterable[bytes]) -> list[bytes]:
    try:
        return list(found)
    except Undecodable as error:
        raise NotAcceptable from error
