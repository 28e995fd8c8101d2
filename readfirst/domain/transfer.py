"""Transfer syntaxes that a retrieve may ask for (PS3.18 8.7.3): as stored, or Explicit VR Little Endian."""

from __future__ import annotations

import io
import re

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
_ASKED = re.compile(r'transfer-syntax\s*=\s*"?([0-9.]+|\*)"?')
_NATIVE = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))


class NotAcceptable(Exception):
    """The bytes cannot be had in the syntax that was asked for."""


def wanted(accept: str, query: str = "") -> str | None:
    """The transfer syntax that a request asks for: a UID, `*` for as stored, or None for the default."""
    found = _ASKED.search(query) or _ASKED.search(accept)
    return found.group(1) if found else None


def file_as(data: bytes, syntax: str | None) -> bytes:
    """A DICOM file in that syntax. Raises NotAcceptable."""
    if syntax == "*":
        return data
    ds = dcmread(io.BytesIO(data))
    stored = str(ds.file_meta.TransferSyntaxUID)
    if syntax == stored or (syntax is None and stored == ExplicitVRLittleEndian):
        return data
    if syntax not in (None, str(ExplicitVRLittleEndian)):
        raise NotAcceptable
    _decompress(ds)
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True, implicit_vr=False, little_endian=True)
    return out.getvalue()


def frames_as(data: bytes, numbers: list[int], syntax: str | None) -> tuple[list[bytes], str]:
    """Frames (from 1) and their media type. Raises NotAcceptable, or IndexError for a frame that is not there."""
    ds = dcmread(io.BytesIO(data))
    stored = UID(ds.file_meta.TransferSyntaxUID)
    count = int(ds.get("NumberOfFrames") or 1)
    if "PixelData" not in ds:
        raise NotAcceptable
    if max(numbers) > count:
        raise IndexError("no such frame")
    if stored.is_compressed and syntax in ("*", str(stored)):
        kind = _MEDIA_TYPE.get(str(stored), "application/octet-stream")
        frames = list(generate_frames(ds.PixelData, number_of_frames=count))
        return [frames[n - 1] for n in numbers], f"{kind};transfer-syntax={stored}"
    if syntax not in (None, "*", str(stored), *_NATIVE):
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
