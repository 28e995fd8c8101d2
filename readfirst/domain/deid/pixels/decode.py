"""The frames of compressed pictures, decoded from the streams that go into the clean copy."""

from __future__ import annotations

import atexit
import queue
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from readfirst.domain.decoding import JPEG, JPEG_2000, Stored, Undecodable, Worker, decode
from readfirst.domain.deid.dicom.elements import Fragments, Unreadable
from readfirst.domain.deid.streams.jpeg import frame_of
from readfirst.domain.deid.streams.jpeg2000 import size_of
from readfirst.domain.deid.streams.pictures import fragment_bytes
from readfirst.domain.refusals import Reason

Frame = NDArray[np.generic]

PATIENCE = 20.0  # seconds for a frame, the start of the process included
_idle: queue.LifoQueue[Worker] = queue.LifoQueue()


def decoded_frames(fragments: Fragments, form: Stored) -> Iterator[Frame]:
    """The frames of a compressed picture, colours as RGB: one for each fragment behind the offset table.

    Raises Unreadable for what cannot be decoded in time.
    """
    if not _of_the_right_size(fragments, form):
        raise Unreadable(Reason.PIXELS_UNVERIFIED, "a frame is not a JPEG picture of the size that the header says")
    try:
        for part in fragments.parts[1:]:
            stream = fragment_bytes(part)
            yield _decoded_apart(form, stream) if form.alone else decode(form, stream)
    except Undecodable as error:
        how = "could not be decoded in time" if error.late else "cannot be decoded"
        raise Unreadable(Reason.PIXELS_UNVERIFIED, f"the compressed picture {how}") from error


def _of_the_right_size(fragments: Fragments, form: Stored) -> bool:
    """Whether every JPEG or JPEG 2000 frame is as large as the header says: decoders hang on others, or fill memory."""
    size = form.rows, form.columns
    if form.syntax in JPEG_2000:
        return all(size_of(fragment_bytes(part)) == size for part in fragments.parts[1:])
    if form.syntax not in JPEG:
        return True
    frames = [frame_of(fragment_bytes(part)) for part in fragments.parts[1:]]
    return all(f is not None and (f.rows, f.columns) == size for f in frames)


def _decoded_apart(form: Stored, stream: bytes) -> Frame:
    """A frame as another process decodes it; it is kept for the next one when all went well."""
    try:
        worker = _idle.get_nowait()
    except queue.Empty:
        worker = Worker()
    try:
        values = worker.decode(form, stream, PATIENCE)
    except BaseException:
        worker.end()
        raise
    _idle.put(worker)
    return values


@atexit.register
def _end_all() -> None:
    while not _idle.empty():
        _idle.get_nowait().end()
