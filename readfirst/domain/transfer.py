"""Transfer syntaxes that a retrieve may ask for (PS3.18 8.7.3): as stored, or Explicit VR Little Endian."""

from __future__ import annotations

import fnmatch
import io
import re
from dataclasses import dataclass

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

_MEDIA_TYPE = {
    "1.2.840.10008.1.2.4.50": "image/jpeg", "1.2.840.10008.1.2.4.51": "image/jpeg",
    "1.2.840.10008.1.2.4.57": "image/jpeg", "1.2.840.10008.1.2.4.70": "image/jpeg",
    "1.2.840.10008.1.2.4.80": "image/jls", "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2", "1.2.840.10008.1.2.4.91": "image/jp2",
    "1.2.840.10008.1.2.5": "image/dicom-rle",
}  # fmt: skip
_NATIVE = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
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
    ds = dcmread(io.BytesIO(data))
    stored = str(ds.file_meta.TransferSyntaxUID)
    if offer.syntax == stored or (offer.syntax is None and stored == ExplicitVRLittleEndian):
        return data
    if offer.syntax not in (None, str(ExplicitVRLittleEndian)):
        raise NotAcceptable
    _decompress(ds)
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True, implicit_vr=False, little_endian=True)
    return out.getvalue()


def frames_as(data: bytes, numbers: list[int], offer: Offer) -> tuple[list[bytes], str]:
    """Frames (from 1; none named: all) and their media type.

    Raises NotAcceptable, or IndexError for a frame that is not there.
    """
    ds = dcmread(io.BytesIO(data))
    stored = UID(ds.file_meta.TransferSyntaxUID)
    count = int(ds.get("NumberOfFrames") or 1)
    if "PixelData" not in ds:
        raise NotAcceptable
    numbers = numbers or list(range(1, count + 1))
    if max(numbers) > count:
        raise IndexError("no such frame")
    kind = _MEDIA_TYPE.get(str(stored), "application/octet-stream")
    # An image's own media type is asked for without naming its syntax; else only who names it, or takes all, gets it.
    as_image = offer.syntax is None and not offer.media.startswith(("*", "application/"))
    if stored.is_compressed and (offer.syntax in ("*", str(stored)) or as_image):
        if not (offer.takes(kind) or offer.takes("application/octet-stream")):
            raise NotAcceptable
        frames = list(generate_frames(ds.PixelData, number_of_frames=count))
        return [frames[n - 1] for n in numbers], f"{kind};transfer-syntax={stored}"
    if offer.syntax not in (None, "*", str(stored), *_NATIVE) or not offer.takes("application/octet-stream"):
        raise NotAcceptable
    if stored.is_compressed:
        _decompress(ds)
    return [_native(ds, n, count) for n in numbers], "application/octet-stream"


def _native(ds: Dataset, number: int, count: int) -> bytes:
    bits = int(ds.Rows) * int(ds.Columns) * int(ds.get("SamplesPerPixel", 1)) * int(ds.BitsAllocated)
    pixels = bytes(ds.PixelData)
    if int(ds.BitsAllocated) > 1:
        return pixels[(number - 1) * bits // 8 : number * bits // 8]
    # Frames of one bit a pixel are packed without padding between them (PS3.5 8.1.1): cut, then pack anew.
    import numpy as np

    every = np.unpackbits(np.frombuffer(pixels, np.uint8), bitorder="little")[: bits * count]
    return np.packbits(every[(number - 1) * bits : number * bits], bitorder="little").tobytes()


def _decompress(ds: Dataset) -> None:
    try:
        ds.decompress()
    except Exception as error:  # decoders raise whatever they like: the file is there, and cannot be had this way
        raise NotAcceptable from error
