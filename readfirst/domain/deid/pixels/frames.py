"""Frames of an image: as numbers, as grey pictures for the search, and with places blanked in their stored encoding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from readfirst.domain.decoding import Stored
from readfirst.domain.deid.dicom import tags
from readfirst.domain.deid.dicom.elements import Bulk, Element, Encoding, File, Fragments, Unreadable, is_pixels
from readfirst.domain.deid.dicom.pixel_data import Shape, may_have_unused
from readfirst.domain.deid.dicom.unused_bits import Bits, bits_of
from readfirst.domain.deid.pixels.decode import Frame, decoded_frames
from readfirst.domain.deid.pixels.text import Box, Grey
from readfirst.domain.refusals import Reason

LARGEST_FRAME = 512 * 1024 * 1024  # bytes: a small file can claim a picture that fills any memory


@dataclass(frozen=True)
class Images:
    """The frames of one instance, read one at a time."""

    source: BinaryIO
    pixels: Bulk | bytes | Fragments
    shape: Shape
    encoding: Encoding
    transfer_syntax: str
    planar: bool
    signed: bool
    palette: NDArray[np.uint8] | None = None  # (entries, 3)
    bits: Bits | None = None
    # The frame of a file that has one: it is measured, then searched.
    kept: list[Frame] = field(default_factory=list, compare=False)

    @property
    def native(self) -> bool:
        """Whether the frames are stored as plain numbers."""
        return not isinstance(self.pixels, Fragments)

    @property
    def frame_bytes(self) -> int:
        """Memory of one decoded frame."""
        shape = self.shape
        return max(1, shape.rows * shape.columns * shape.samples * shape.allocated // 8)

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The number type of native pixels."""
        order = ">" if self.encoding.big and self.shape.allocated > 8 else "<"
        return np.dtype(f"{order}{'i' if self.signed else 'u'}{max(1, self.shape.allocated // 8)}")

    def frames(self) -> Iterator[Frame]:
        """The frames in order, without what lies in bits that no value uses. Raises Unreadable for what cannot be
        decoded."""
        if self.shape.frames != 1:
            yield from self._read()
            return
        if not self.kept:
            self.kept.extend(list(self._read()))
        yield from self.kept

    def _read(self) -> Iterator[Frame]:
        if self.native:
            yield from (self._shaped(self.bits.cleared(raw) if self.bits else raw) for raw in self._raw())
        else:
            yield from (self.bits.cleared_numbers(f) if self.bits else f for f in self._decoded())

    def _raw(self) -> Iterator[bytes]:
        """The bytes of each native frame."""
        size = self.shape.length // self.shape.frames
        value = self.pixels
        for index in range(self.shape.frames):
            if isinstance(value, bytes):
                yield value[index * size : (index + 1) * size]
            elif isinstance(value, Bulk):
                yield Bulk(value.source, value.offset + index * size, size).read()

    def _shaped(self, raw: bytes) -> Frame:
        shape = self.shape
        numbers = np.frombuffer(raw, dtype=self.dtype)
        if shape.photometric == "YBR_FULL_422" and shape.samples == 3:
            pairs = numbers.reshape(shape.rows, shape.columns // 2, 4)  # Y Y Cb Cr
            chroma = np.repeat(pairs[:, :, 2:], 2, axis=1)
            return np.concatenate([pairs[:, :, :2].reshape(shape.rows, shape.columns, 1), chroma], axis=2)
        if shape.samples == 1:
            return numbers.reshape(shape.rows, shape.columns)
        if self.planar:
            return numbers.reshape(shape.samples, shape.rows, shape.columns).transpose(1, 2, 0)
        return numbers.reshape(shape.rows, shape.columns, shape.samples)

    @property
    def form(self) -> Stored:
        """How the values of a compressed picture are stored."""
        shape, bits = self.shape, self.bits
        stored = bits.stored if bits else shape.allocated
        return Stored(
            self.transfer_syntax, shape.rows, shape.columns, shape.allocated, stored,
            bits.high if bits else stored - 1, int(self.signed), shape.samples, shape.photometric, int(self.planar),
            bare=True,
        )  # fmt: skip

    def _decoded(self) -> Iterator[Frame]:
        """The frames as their codes have them, with what lies in bits that no value uses."""
        assert isinstance(self.pixels, Fragments)  # noqa: S101 - asked for only where it is so
        return decoded_frames(self.pixels, self.form)

    def grey(self, frame: Frame) -> Grey:
        """A frame as a picture of 256 greys in which text of any colour shows."""
        numbers = frame.astype(np.float32)
        if self.palette is not None and frame.ndim == 2:
            numbers = self.palette[np.clip(frame.astype(np.int64), 0, len(self.palette) - 1)].astype(np.float32)
        if numbers.ndim == 3:
            if self.native and self.shape.photometric.startswith("YBR"):
                numbers = numbers[:, :, 0]
            else:
                luma = numbers @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
                numbers = np.maximum(luma, 0.8 * numbers.max(axis=2)) if _dark(luma) else luma
        low, high = np.percentile(numbers, (0.2, 99.9))
        if high - low < 1:
            low, high = float(numbers.min()), float(numbers.max())
        grey: Grey = np.clip((numbers - low) * (255 / max(high - low, 1e-6)), 0, 255).astype(np.uint8)
        return grey

    def unused(self) -> bool:
        """Whether a compressed frame has something beside the bits of its values."""
        if self.bits is None or not isinstance(self.pixels, Fragments):
            return False
        if not may_have_unused(self.pixels, self.transfer_syntax, self.bits):
            return False
        return any(self.bits.cleared_numbers(frame) is not frame for frame in self._decoded())

    def blanked(self, boxes: list[list[Box]]) -> Bulk:
        """The pixel data with the boxes of each frame filled with what lies around them, as native numbers."""
        if self.native:
            return Blanked(self.source, 0, self.shape.length, self, boxes)
        return Blanked(self.source, 0, self.frame_bytes * self.shape.frames, self, boxes)


@dataclass(frozen=True, slots=True)
class Blanked(Bulk):
    """Pixel data made frame by frame while the file is written."""

    images: Images
    boxes: list[list[Box]]

    def chunks(self) -> Iterator[bytes]:
        """The frames' bytes with the boxes filled."""
        images = self.images
        if not images.native:
            for frame, boxes in zip(images.frames(), self.boxes, strict=True):
                if frame.nbytes != images.frame_bytes:
                    raise Unreadable(Reason.PIXELS_UNVERIFIED, "a frame of another size than the header says")
                yield filled(frame, boxes).tobytes()
            return
        for raw, boxes in zip(images._raw(), self.boxes, strict=True):
            clear_raw = images.bits.cleared(raw) if images.bits else raw
            yield _filled_raw(clear_raw, images, boxes) if boxes else clear_raw


def _filled_raw(raw: bytes, images: Images, boxes: list[Box]) -> bytes:
    """Native bytes with boxes filled: the layout stays, whatever it is."""
    shape = images.shape
    numbers = np.frombuffer(raw, dtype=images.dtype).copy()
    if shape.photometric == "YBR_FULL_422" and shape.samples == 3:
        pairs = numbers.reshape(shape.rows, shape.columns // 2, 4)
        pairs[:] = filled(pairs, [(left // 2, top, -(-right // 2), bottom) for left, top, right, bottom in boxes])
    elif shape.samples > 1 and images.planar:
        planes = numbers.reshape(shape.samples, shape.rows, shape.columns)
        for plane in planes:
            plane[:] = filled(plane, boxes)
    elif shape.samples > 1:
        pixels = numbers.reshape(shape.rows, shape.columns, shape.samples)
        pixels[:] = filled(pixels, boxes)
    else:
        plane = numbers.reshape(shape.rows, shape.columns)
        plane[:] = filled(plane, boxes)
    return numbers.tobytes()


def filled(frame: Frame, boxes: list[Box]) -> Frame:
    """The frame with each box in the value that is most common around it: nothing of the letters is left.

    What lies in another box is none of its surroundings: a slanted line and a barcode have several. Where nothing else
    is around, the box gets its mean: a value of its own, a bar's for example, would leave what has that value.
    """
    result = frame.copy()
    free = np.ones(frame.shape[:2], dtype=bool)
    for left, top, right, bottom in boxes:
        free[top:bottom, left:right] = False
    for left, top, right, bottom in boxes:
        around = _around(frame, free, (left, top, right, bottom))
        if len(around):
            values, counts = np.unique(around, axis=0, return_counts=True)
            result[top:bottom, left:right] = values[counts.argmax()]
        else:
            result[top:bottom, left:right] = frame[top:bottom, left:right].mean(axis=(0, 1)).astype(frame.dtype)
    return result


def _around(frame: Frame, free: NDArray[np.bool_], box: Box) -> Frame:
    """The values of the free pixels beside a box; if there are none, of all that are free."""
    left, top, right, bottom = box
    rows, columns = frame.shape[:2]
    sides = [
        (slice(max(0, top - 1), top), slice(left, right)),
        (slice(bottom, min(rows, bottom + 1)), slice(left, right)),
        (slice(top, bottom), slice(max(0, left - 1), left)),
        (slice(top, bottom), slice(right, min(columns, right + 1))),
    ]
    beside = np.concatenate([frame[side][free[side]] for side in sides])
    return beside if len(beside) else frame[free]


def _dark(luma: NDArray[np.float32]) -> bool:
    return float(np.median(luma)) < 128


def images_of(source: BinaryIO, file: File, shape: Shape) -> Images | None:
    """The frames of a data set; None if it has none that can be looked at (bits, floats, sizes out of bounds)."""
    elements, encoding = file.elements, file.encoding
    values = {e.tag: e.value for e in elements if e.tag >> 16 == 0x0028 and isinstance(e.value, bytes)}
    element = next((e for e in elements if is_pixels(e.tag)), None)
    if element is None or element.tag != tags.PixelData or shape.length == 0 or shape.allocated not in (8, 16, 32):
        return None
    if isinstance(element.value, list) or (shape.photometric == "YBR_FULL_422" and shape.columns % 2):
        return None
    if shape.rows * shape.columns * shape.samples * shape.allocated // 8 > LARGEST_FRAME:
        return None

    def flag(tag: int) -> bool:
        return any(values.get(tag, b"\0\0")[:2])

    palette = _palette(elements, encoding) if shape.photometric == "PALETTE COLOR" else None
    flags = flag(tags.PlanarConfiguration), flag(tags.PixelRepresentation)
    bits = bits_of(elements, encoding)
    return Images(source, element.value, shape, encoding, file.transfer_syntax, *flags, palette, bits)


def _palette(elements: list[Element], encoding: Encoding) -> NDArray[np.uint8] | None:
    tables = []
    for tag in (
        tags.RedPaletteColorLookupTableData,
        tags.GreenPaletteColorLookupTableData,
        tags.BluePaletteColorLookupTableData,
    ):
        value = next((e.value for e in elements if e.tag == tag), b"")
        value = value.read() if isinstance(value, Bulk) else value
        if not isinstance(value, bytes) or len(value) < 512:
            return None
        tables.append(np.frombuffer(value[: len(value) & ~1], dtype=f"{encoding.order}u2") >> 8)
    entries = min(len(t) for t in tables)
    return np.stack([t[:entries] for t in tables], axis=1).astype(np.uint8)
