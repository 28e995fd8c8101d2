"""Decodes compressed pictures, in a process of its own where the decoder can hang or crash on a damaged stream.

Pillow and pydicom raise; GDCM, which alone has JPEG Lossless and JPEG-LS, can loop for ever. Its process is given the
file, gives back frames, and is ended when a frame is late.
"""

from __future__ import annotations

import json
import os
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
            for frame in iter_pixels(source, decoding_plugin=plugin):
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


def _decoded_apart(source: BinaryIO) -> Iterator[Frame]:
    """The frames as another process decodes them."""
    code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import main; main()"
    child = subprocess.Popen(  # noqa: S603 - ourselves
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert child.stdin is not None and child.stdout is not None  # noqa: S101 - they are pipes
    pipe = child.stdout.fileno()
    try:
        source.seek(0)
        shutil.copyfileobj(source, child.stdin, 1 << 20)  # it reads all of it before it decodes
        child.stdin.close()
        while length := int.from_bytes(_in_time(pipe, 4), "big"):
            head = json.loads(_in_time(pipe, length))
            yield np.frombuffer(_in_time(pipe, head["bytes"]), dtype=head["dtype"]).reshape(head["shape"])
    except BrokenPipeError as error:
        raise Unreadable(Reason.PIXELS_UNVERIFIED, "the compressed picture cannot be decoded") from error
    finally:
        child.kill()
        child.stdout.close()
        child.wait()


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
    """The other process: a file comes in, its frames go out, each behind its shape; nothing stands for the end."""
    warnings.simplefilter("ignore")
    with tempfile.SpooledTemporaryFile(max_size=64 << 20) as file:
        shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
        file.seek(0)
        out = sys.stdout.buffer
        # The system ends it when a frame takes too much CPU time, also when nobody waits for it any more.
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_VIRTUAL, 2 * PATIENCE)
        for frame in iter_pixels(cast(BinaryIO, file)):
            head = json.dumps({"shape": frame.shape, "dtype": frame.dtype.str, "bytes": frame.nbytes}).encode()
            out.write(len(head).to_bytes(4, "big") + head + frame.tobytes())
            out.flush()
            signal.setitimer(signal.ITIMER_VIRTUAL, 2 * PATIENCE)
        out.write(bytes(4))
        out.flush()
