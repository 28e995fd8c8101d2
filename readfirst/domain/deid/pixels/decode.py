"""Decodes compressed pictures, in a process of its own where the decoder can hang or crash on a damaged stream.

Pillow and pydicom raise; GDCM, which alone has JPEG Lossless and JPEG-LS, can loop for ever. Its process is given the
file, gives back frames, and is ended when a frame is late.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels import iter_pixels

from readfirst.domain.deid.codec import Fragments, Unreadable
from readfirst.domain.deid.pixeldata import JPEG, RLE, Shape, fragment_bytes, is_jpeg_of
from readfirst.domain.refusals import Reason

Frame = NDArray[np.generic]

PATIENCE = 20.0  # seconds for a frame, the start of the process included
_JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
_JPEG_2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")
_RAISES = {RLE: "pydicom", _JPEG_BASELINE: "pillow"} | dict.fromkeys(_JPEG_2000, "pillow")


def decoded_frames(source: BinaryIO, fragments: Fragments, shape: Shape, transfer_syntax: str) -> Iterator[Frame]:
    """The frames of a compressed picture, colours as RGB. Raises Unreadable for what cannot be decoded in time."""
    if transfer_syntax in JPEG and not _all_jpeg(fragments, shape):
        raise Unreadable(Reason.PIXELS_UNVERIFIED, "a frame is no JPEG picture of the size that the header says")
    plugin = _RAISES.get(transfer_syntax)
    if plugin is None:
        yield from _decoded_apart(source)
        return
    count = 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            source.seek(0)
            for frame in iter_pixels(source, decoding_plugin=plugin, correct_unused_bits=False):
                yield frame
                count += 1
    except Exception as error:  # whatever a decoder raises, the picture cannot be verified
        if count or transfer_syntax not in _JPEG_2000:
            raise Unreadable(Reason.PIXELS_UNVERIFIED, "the compressed picture cannot be decoded") from error
        yield from _decoded_apart(source)  # Pillow does not know every form of it


def _all_jpeg(fragments: Fragments, shape: Shape) -> bool:
    """Whether there is a JPEG picture of the right size for each frame; a frame may lie in several fragments."""
    streams: list[bytes] = []
    for part in fragments.parts[1:]:
        data = fragment_bytes(part)
        if data[:2] == b"\xff\xd8":
            streams.append(data)
        elif streams:
            streams[-1] += data
    return len(streams) == shape.frames and all(is_jpeg_of(s, shape.rows, shape.columns) for s in streams)


class _Apart:
    """Another process that decodes one file after the other, until one is late."""

    def __init__(self) -> None:
        code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import main; main()"
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def frames(self, source: BinaryIO) -> Iterator[Frame]:
        """The frames of a file. The process takes no other file before all of them were taken."""
        entry, answer = self._process.stdin, self._process.stdout
        assert entry is not None and answer is not None  # noqa: S101 - they are pipes
        entry.write(source.seek(0, 2).to_bytes(8, "big"))
        source.seek(0)
        shutil.copyfileobj(source, entry, 1 << 20)  # it takes all of it before it decodes
        entry.flush()
        while (length := int.from_bytes(_in_time(answer.fileno(), 4), "big")) != _END:
            head = json.loads(_in_time(answer.fileno(), length))
            yield np.frombuffer(_in_time(answer.fileno(), head["bytes"]), dtype=head["dtype"]).reshape(head["shape"])

    def end(self) -> None:
        """Ends the process, whatever it does."""
        self._process.kill()
        self._process.communicate()


_END = 0
_idle: queue.LifoQueue[_Apart] = queue.LifoQueue()


def _decoded_apart(source: BinaryIO) -> Iterator[Frame]:
    """The frames as another process decodes them; it is kept for the next file when all went well."""
    try:
        apart = _idle.get_nowait()
    except queue.Empty:
        apart = _Apart()
    well = False
    try:
        yield from apart.frames(source)
        well = True
    except (OSError, ValueError) as error:
        raise Unreadable(Reason.PIXELS_UNVERIFIED, "the compressed picture cannot be decoded") from error
    finally:
        if well:
            _idle.put(apart)
        else:
            apart.end()


@atexit.register
def _end_all() -> None:
    while not _idle.empty():
        _idle.get_nowait().end()


def _in_time(pipe: int, count: int) -> bytes:
    data, until = bytearray(), time.monotonic() + PATIENCE
    while len(data) < count:
        ready, _, _ = select.select([pipe], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            raise Unreadable(Reason.PIXELS_UNVERIFIED, "the compressed picture could not be decoded in time")
        piece = os.read(pipe, min(count - len(data), 1 << 20))
        if not piece:
            raise Unreadable(Reason.PIXELS_UNVERIFIED, "the compressed picture cannot be decoded")
        data += piece
    return bytes(data)


def main() -> None:
    """The other process: files come in, each behind its length; frames go out, each behind its shape."""
    warnings.simplefilter("ignore")
    # The system ends it when a frame takes too much CPU time, also when nobody waits for it any more.
    signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
    while length := int.from_bytes(sys.stdin.buffer.read(8), "big"):
        with tempfile.SpooledTemporaryFile(max_size=64 << 20) as file:
            while length:
                piece = sys.stdin.buffer.read(min(length, 1 << 20))
                if not piece:
                    return
                length -= len(piece)
                file.write(piece)
            file.seek(0)
            _send_frames(cast(BinaryIO, file), sys.stdout.buffer)


def _send_frames(file: BinaryIO, out: BinaryIO) -> None:
    signal.setitimer(signal.ITIMER_VIRTUAL, 2 * PATIENCE)
    for frame in iter_pixels(file, correct_unused_bits=False):  # what hides there is looked for
        head = json.dumps({"shape": frame.shape, "dtype": frame.dtype.str, "bytes": frame.nbytes}).encode()
        out.write(len(head).to_bytes(4, "big") + head + frame.tobytes())
        out.flush()
        signal.setitimer(signal.ITIMER_VIRTUAL, 2 * PATIENCE)
    out.write(_END.to_bytes(4, "big"))
    out.flush()
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
