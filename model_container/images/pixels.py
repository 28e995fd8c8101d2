"""The stored values of slices, plain or compressed. Decoders and their processes: readfirst/domain/decoding.py."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame

from readfirst.domain import decoding, uid_registry
from readfirst.domain.decoding import DECODED, NATIVE, PATIENCE, RLE, Stored, Undecodable, Worker
from readfirst.domain.numbers import whole

__all__ = ["NATIVE", "RLE", "Format", "Picture", "UnreadablePixels", "decode", "decode_all", "native", "packed"]
PROCESSES_FROM = 48  # compressed pictures: below that, starting workers costs more than they save
BIG_ENDIAN = "1.2.840.10008.1.2.2"


class UnreadablePixels(ValueError):
    """A slice's pixels cannot be decoded, or are no plain grey image. The message holds no content."""


@dataclass(frozen=True)
class Format:
    """How the values of a file's pictures are stored (PS3.5 8.1.1)."""

    syntax: str
    rows: int
    columns: int
    allocated: int
    stored: int
    high: int
    signed: int
    frames: int

    @classmethod
    def of(cls, ds: Dataset, grey: Sequence[str] = ("MONOCHROME2",)) -> Format:
        """Reads it from a header; raises UnreadablePixels unless the pictures are plain and of one of these greys."""
        try:
            samples, kind = int(ds.get("SamplesPerPixel") or 1), ds.get("PhotometricInterpretation")
            allocated, stored = int(ds.BitsAllocated), int(ds.BitsStored)
            found = cls(
                str(ds.file_meta.TransferSyntaxUID), int(ds.Rows), int(ds.Columns), allocated, stored,
                int(ds.get("HighBit", stored - 1)), int(ds.get("PixelRepresentation") or 0),
                whole(str(ds.get("NumberOfFrames") or 1)) or 0,
            )  # fmt: skip
        except (AttributeError, TypeError, ValueError) as error:
            raise UnreadablePixels("a slice's header does not say how its pixels are stored") from error
        if samples != 1 or kind not in grey:
            raise UnreadablePixels(f"not a grey image ({' or '.join(grey)})")
        least = min(found.size, stored, found.frames)
        if allocated not in (8, 16, 32) or not stored - 1 <= found.high < allocated or least < 1:
            raise UnreadablePixels("a slice's header contradicts itself about how its pixels are stored")
        if found.syntax not in NATIVE and found.syntax not in DECODED:
            raise UnreadablePixels(f"{named(found.syntax)} is not taken")
        return found

    @property
    def size(self) -> int:
        """Pixels of one picture."""
        return self.rows * self.columns

    @property
    def words(self) -> Stored:
        """As a decoder wants to know it."""
        return Stored(self.syntax, self.rows, self.columns, self.allocated, self.stored, self.high, self.signed)


def named(syntax: str) -> str:
    """What to call a transfer syntax in a reason."""
    return uid_registry.name_of(syntax) or "its transfer syntax"


@dataclass(frozen=True)
class Picture:
    """One compressed picture."""

    format: Format
    content: bytes


def native(ds: Dataset, form: Format, frame: int) -> NDArray[np.integer]:
    """The stored values of one picture (from 0) of an uncompressed file, as they lie in its words."""
    kind = f"{'>' if form.syntax == BIG_ENDIAN else '<'}{'i' if form.signed else 'u'}{form.allocated // 8}"
    length = form.size * form.allocated // 8
    raw = ds.get("PixelData") or b""
    if form.allocated == 8 and form.syntax == BIG_ENDIAN and ds["PixelData"].VR == "OW":
        raw = np.frombuffer(raw[: len(raw) // 2 * 2], ">u2").astype("<u2").tobytes()
    if len(raw) < length * (frame + 1):
        raise UnreadablePixels("fewer pixels than rows and columns say")
    return np.frombuffer(raw, kind, form.size, length * frame).reshape(form.rows, form.columns)


def packed(ds: Dataset, form: Format, frame: int) -> Picture:
    """One compressed picture (from 0) of a file."""
    try:
        offsets = None
        if "ExtendedOffsetTable" in ds:
            offsets = (ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths)
        content = get_frame(ds.PixelData, frame, extended_offsets=offsets, number_of_frames=form.frames)
    except Exception as error:  # broken fragments make pydicom raise many kinds; the content does not travel on
        raise UnreadablePixels("the compressed pixels cannot be told apart") from error
    return Picture(form, content)


def decode(picture: Picture, worker: Worker | None = None) -> NDArray[np.integer]:
    """The stored values of a compressed picture, here or by a worker."""
    form = picture.format.words
    try:
        values = worker.decode(form, picture.content, PATIENCE) if worker else decoding.decode(form, picture.content)
    except Undecodable as error:
        raise UnreadablePixels(f"{named(form.syntax)}: {error}") from error
    return values


def decode_all(pictures: Sequence[Picture]) -> list[NDArray[np.integer]]:
    """The stored values of each: in this process when they are few and safe, else by workers."""
    if len(pictures) < PROCESSES_FROM and not any(picture.format.words.alone for picture in pictures):
        return [decode(picture) for picture in pictures]
    lanes = min(os.cpu_count() or 1, len(pictures))
    spoiled = threading.Event()
    results: list[NDArray[np.integer] | None] = [None] * len(pictures)

    def lane(first: int) -> None:
        with Worker() as worker:
            for k in range(first, len(pictures), lanes):
                if spoiled.is_set():
                    return
                try:
                    results[k] = decode(pictures[k], worker)
                except UnreadablePixels:
                    spoiled.set()
                    raise

    with ThreadPoolExecutor(lanes) as pool:
        list(pool.map(lane, range(lanes)))
    return [values for values in results if values is not None]
