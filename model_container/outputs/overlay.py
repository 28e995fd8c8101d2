"""Key images that a person wants to look at: the slice, and the finding outlined, measured and enlarged."""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from model_container.engines.engine import Detection
from model_container.images.volume import Volume, windowed

LUNG_WINDOW = (-600.0, 1500.0)  # centre, width in HU
SOFT_WINDOW = (40.0, 400.0)
_SIDE, _INSET = 768, 384
_OUTLINE, _INK, _QUIET = (255, 196, 0), (236, 240, 244), (150, 160, 170)


def outline(mask: NDArray[np.bool_]) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """The mask's border as line pieces (column, row) between pixel corners."""
    padded = np.pad(mask, 1)
    pieces = []
    for row, column in np.argwhere(padded[1:] != padded[:-1]):
        pieces.append(((column - 1.0, float(row)), (float(column), float(row))))
    for row, column in np.argwhere(padded[:, 1:] != padded[:, :-1]):
        pieces.append(((float(column), row - 1.0), (float(column), float(row))))
    return pieces


def draw(volume: Volume, detection: Detection, label: str, disclaimer: str) -> Image.Image:
    """A picture of 1152x800: the whole slice, and the finding enlarged in the lung and the soft-tissue window."""
    z = detection.key_slice
    upright = _Upright(volume, z, detection)
    canvas = Image.new("RGB", (_SIDE + _INSET, _SIDE + 32), (0, 0, 0))
    canvas.paste(_whole(upright, label), (0, 32))
    for k, (window, name) in enumerate(((LUNG_WINDOW, "lung window"), (SOFT_WINDOW, "soft tissue window"))):
        canvas.paste(_enlarged(upright, window, name), (_SIDE, 32 + k * _INSET))
    pen = ImageDraw.Draw(canvas)
    place = volume.point(z, 0, 0)[2]
    pen.text((12, 16), f"Slice {z + 1} of {len(volume.hu)}   z {place:+.1f} mm", _INK, _font(16), anchor="lm")
    pen.text((_SIDE + _INSET - 12, 16), disclaimer, (255, 120, 90), _font(16), anchor="rm")
    pen.line([(_SIDE, 32), (_SIDE, 32 + _SIDE)], (40, 46, 52))
    pen.line([(_SIDE, 32 + _INSET), (_SIDE + _INSET, 32 + _INSET)], (40, 46, 52))
    return canvas


def png(picture: Image.Image) -> bytes:
    """The picture as a file."""
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=3)
    return out.getvalue()


class _Upright:
    """One slice turned as radiologists look at it: the patient's right on the left, the back below."""

    def __init__(self, volume: Volume, z: int, detection: Detection) -> None:
        flips = (
            slice(None, None, -1 if volume.along_rows[1] < 0 else 1),
            slice(None, None, -1 if volume.along_columns[0] < 0 else 1),
        )
        full = np.zeros(volume.hu.shape[1:], np.bool_)
        plane = detection.mask.plane(z) if detection.mask else None
        if detection.mask is not None and plane is not None:
            _, top, left = detection.mask.start
            full[top : top + plane.shape[0], left : left + plane.shape[1]] = plane
        turned = abs(volume.along_columns[0]) < abs(volume.along_rows[0])  # rows of pixels run from front to back
        if turned:
            flips = (
                slice(None, None, -1 if volume.along_rows[0] < 0 else 1),
                slice(None, None, -1 if volume.along_columns[1] < 0 else 1),
            )
        self.hu, self.mask = volume.hu[z][flips], full[flips]
        if turned:
            self.hu, self.mask = self.hu.T, self.mask.T
        self.pixel = volume.pixel[::-1] if turned else volume.pixel
        rows, columns = np.nonzero(self.mask)
        self.centre = (float(rows.mean()) + 0.5, float(columns.mean()) + 0.5)
        self.diameter = detection.diameter_mm


def _whole(slice_: _Upright, label: str) -> Image.Image:
    rows, columns = slice_.hu.shape
    scale = _SIDE / max(rows * slice_.pixel[0], columns * slice_.pixel[1])  # picture pixels per mm
    size = (round(columns * slice_.pixel[1] * scale), round(rows * slice_.pixel[0] * scale))
    picture = Image.fromarray(windowed(slice_.hu, LUNG_WINDOW)).resize(size, Image.Resampling.BICUBIC).convert("RGB")
    canvas = Image.new("RGB", (_SIDE, _SIDE))
    canvas.paste(picture, ((_SIDE - size[0]) // 2, (_SIDE - size[1]) // 2))
    pen = ImageDraw.Draw(canvas)
    zoom = (slice_.pixel[1] * scale, slice_.pixel[0] * scale)
    shift = ((_SIDE - size[0]) / 2, (_SIDE - size[1]) / 2)
    _trace(pen, slice_.mask, zoom, shift, 2)
    x, y = slice_.centre[1] * zoom[0] + shift[0], slice_.centre[0] * zoom[1] + shift[1]
    reach = max(22.0, slice_.diameter * scale / 2 + 12)
    _label(pen, x, y, reach, label)
    _sides(pen, _SIDE)
    _scale_bar(pen, scale, 50, (_SIDE - 24, _SIDE - 24))
    return canvas


def _enlarged(slice_: _Upright, window: tuple[float, float], name: str) -> Image.Image:
    field = max(60.0, slice_.diameter * 2.2)  # mm across
    scale = _INSET / field
    half = (field / 2 / slice_.pixel[0], field / 2 / slice_.pixel[1])
    box = (
        slice_.centre[1] - half[1],
        slice_.centre[0] - half[0],
        slice_.centre[1] + half[1],
        slice_.centre[0] + half[0],
    )
    grey = Image.fromarray(windowed(slice_.hu, window))
    picture = grey.transform((_INSET, _INSET), Image.Transform.EXTENT, box, Image.Resampling.BICUBIC).convert("RGB")
    pen = ImageDraw.Draw(picture)
    if window == LUNG_WINDOW:
        zoom = (slice_.pixel[1] * scale, slice_.pixel[0] * scale)
        _trace(pen, slice_.mask, zoom, (-box[0] * zoom[0], -box[1] * zoom[1]), 2)
    _scale_bar(pen, scale, 10, (_INSET - 14, _INSET - 14))
    pen.text((12, 12), name, _QUIET, _font(14))
    return picture


def _trace(
    pen: ImageDraw.ImageDraw, mask: NDArray[np.bool_], zoom: tuple[float, float], shift: tuple[float, float], width: int
) -> None:
    for start, end in outline(mask):
        a = (start[0] * zoom[0] + shift[0], start[1] * zoom[1] + shift[1])
        b = (end[0] * zoom[0] + shift[0], end[1] * zoom[1] + shift[1])
        pen.line([a, b], _OUTLINE, width)


def _label(pen: ImageDraw.ImageDraw, x: float, y: float, reach: float, label: str) -> None:
    """The finding's text beside it, on the side with more room, joined by a thin line."""
    side = -1 if x > _SIDE / 2 else 1
    up = -1 if y > _SIDE / 3 else 1
    start = (x + side * reach * math.cos(0.8), y + up * reach * math.sin(0.8))
    end = (start[0] + side * 34, start[1] + up * 34)
    pen.line([start, end], _OUTLINE, 1)
    font = _font(18)
    anchor = "lm" if side > 0 else "rm"
    box = pen.textbbox((end[0] + side * 6, end[1]), label, font, anchor=anchor)
    pen.rectangle((box[0] - 6, box[1] - 4, box[2] + 6, box[3] + 4), (0, 0, 0), _OUTLINE)
    pen.text((end[0] + side * 6, end[1]), label, _INK, font, anchor=anchor)


def _sides(pen: ImageDraw.ImageDraw, size: int) -> None:
    for text, x, y in (
        ("R", 20, size // 2),
        ("L", size - 20, size // 2),
        ("A", size // 2, 20),
        ("P", size // 2, size - 20),
    ):
        pen.text((x, y), text, _INK, _font(24), anchor="mm", stroke_width=2, stroke_fill=(0, 0, 0))


def _scale_bar(pen: ImageDraw.ImageDraw, scale: float, length: int, corner: tuple[int, int]) -> None:
    """A bar of `length` mm that ends at `corner`, with ticks at its ends."""
    right, bottom = corner
    left = right - length * scale
    for colour, width in (((0, 0, 0), 5), (_INK, 2)):
        pen.line([(left, bottom), (right, bottom)], colour, width)
        for x in (left, right):
            pen.line([(x, bottom - 6), (x, bottom + 6)], colour, width)
    pen.text(
        ((left + right) / 2, bottom - 8),
        f"{length} mm",
        _INK,
        _font(15),
        anchor="mb",
        stroke_width=2,
        stroke_fill=(0, 0, 0),
    )


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
