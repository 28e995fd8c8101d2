"""The stored values of pictures, in every compression that a decoder without GPL reads; `-m` makes it a worker.

GDCM, which alone reads JPEG, can hang for ever on a broken picture. So it works in processes that can be ended, as do
the other decoders when there is much to do. A worker is a program of its own, started by name: it does not import
what started it, and one that ends is never started again for the same picture.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import UID

PATIENCE = 30.0  # seconds for one picture: hundreds of times what the slowest one takes
PROCESSES_FROM = 48  # compressed pictures: below that, starting workers costs more than they save
NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"}
BIG_ENDIAN, RLE = "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.5"
_GDCM, _CHARLS = "gdcm", "pyjpegls"
# Which decoder reads what; the rest (video, JPIP, multi-component) is no CT.
_PLUGINS = {
    "1.2.840.10008.1.2.4.50": _GDCM,  # JPEG baseline
    "1.2.840.10008.1.2.4.51": _GDCM,  # JPEG extended, 12 bits
    "1.2.840.10008.1.2.4.57": _GDCM,  # JPEG lossless
    "1.2.840.10008.1.2.4.70": _GDCM,
    "1.2.840.10008.1.2.4.80": _CHARLS,
    "1.2.840.10008.1.2.4.81": _CHARLS,
    "1.2.840.10008.1.2.4.90": "pylibjpeg",  # JPEG 2000
    "1.2.840.10008.1.2.4.91": "pylibjpeg",
    "1.2.840.10008.1.2.4.201": "pylibjpeg",  # High-Throughput JPEG 2000
    "1.2.840.10008.1.2.4.202": "pylibjpeg",
    "1.2.840.10008.1.2.4.203": "pylibjpeg",
    RLE: "pylibjpeg",
}


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
                int(ds.get("NumberOfFrames") or 1),
            )  # fmt: skip
        except (AttributeError, TypeError, ValueError) as error:
            raise UnreadablePixels("a slice's header does not say how its pixels are stored") from error
        if samples != 1 or kind not in grey:
            raise UnreadablePixels(f"not a grey image ({' or '.join(grey)})")
        if allocated not in (8, 16, 32) or not stored - 1 <= found.high < allocated or min(found.size, stored) < 1:
            raise UnreadablePixels("a slice's header contradicts itself about how its pixels are stored")
        if found.syntax not in NATIVE and found.syntax not in _PLUGINS:
            raise UnreadablePixels(f"{UID(found.syntax).name} is not taken")
        return found

    @property
    def size(self) -> int:
        """Pixels of one picture."""
        return self.rows * self.columns

    @property
    def alone(self) -> bool:
        """Whether its decoder must run in a process that can be ended."""
        return _PLUGINS.get(self.syntax) in (_GDCM, _CHARLS)


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


def decode(picture: Picture) -> NDArray[np.integer]:
    """The stored values of a compressed picture."""
    from pydicom.pixels import pixel_array

    form = picture.format
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(form.syntax)
    ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PhotometricInterpretation = form.rows, form.columns, 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = form.allocated, form.stored, form.high
    ds.PixelRepresentation, ds.NumberOfFrames = form.signed, 1
    ds.PixelData = encapsulate([picture.content])
    ds["PixelData"].VR = "OB"
    try:
        values = np.asarray(pixel_array(ds, decoding_plugin=_PLUGINS[form.syntax]))
    except Exception as error:  # decoders raise many kinds; the cause travels on, the content does not
        raise UnreadablePixels(f"cannot decode {UID(form.syntax).name}") from error
    if values.shape != (form.rows, form.columns):
        raise UnreadablePixels("the picture does not have the size that its header says")
    return values


def decode_all(pictures: Sequence[Picture]) -> list[NDArray[np.integer]]:
    """The stored values of each: in this process when they are few and safe, else by workers."""
    if len(pictures) < PROCESSES_FROM and not any(picture.format.alone for picture in pictures):
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
                    results[k] = worker.decode(pictures[k])
                except UnreadablePixels:
                    spoiled.set()
                    raise

    with ThreadPoolExecutor(lanes) as pool:
        list(pool.map(lane, range(lanes)))
    return [values for values in results if values is not None]


class Worker:
    """A process that decodes one picture after the other, and is ended when one takes too long."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "model_container.pixels"], cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def decode(self, picture: Picture) -> NDArray[np.integer]:
        """The stored values; raises UnreadablePixels also when the decoder hangs or falls."""
        name = UID(picture.format.syntax).name
        late = threading.Timer(PATIENCE, self._process.kill)
        late.start()
        try:
            if self._process.stdin is None or self._process.stdout is None:
                raise UnreadablePixels("the decoder has no pipes")
            _send(self._process.stdin, asdict(picture.format), picture.content)
            answer, content = _receive(self._process.stdout)
        except (BrokenPipeError, EOFError) as error:
            raise UnreadablePixels(f"cannot decode {name}: the decoder fell or took too long") from error
        finally:
            late.cancel()
        if "error" in answer:
            raise UnreadablePixels(answer["error"])
        return np.frombuffer(content, answer["kind"]).reshape(answer["shape"])


def _send(pipe: IO[bytes], facts: dict[str, object], content: bytes) -> None:
    pipe.write(json.dumps({**facts, "length": len(content)}).encode() + b"\n")
    pipe.write(content)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    """Raises EOFError when the other side has ended."""
    line = pipe.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    facts = json.loads(line)
    content = pipe.read(facts.pop("length"))
    return facts, content


def serve() -> None:
    """A worker's life: answers until standard input ends."""
    answers = sys.stdout.buffer
    with redirect_stdout(sys.stderr):  # a decoder's prints are no answers
        while True:
            try:
                facts, content = _receive(sys.stdin.buffer)
            except EOFError:
                return
            try:
                values = np.ascontiguousarray(decode(Picture(Format(**facts), content)))
                _send(answers, {"kind": values.dtype.str, "shape": values.shape}, values.tobytes())
            except UnreadablePixels as error:
                _send(answers, {"error": str(error)}, b"")


if __name__ == "__main__":
    serve()
