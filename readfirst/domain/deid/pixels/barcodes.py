"""Barcodes in a picture: request forms, labels and wristbands carry the patient's number as one.

zxing-cpp reads them (linear codes, QR, Data Matrix, Aztec, PDF417), level or at any angle. What a code says is
dropped at once: only its place is of use, and its content is an identifier.
"""

from __future__ import annotations

import math
from importlib import util
from typing import Any

import numpy as np
from numpy.typing import NDArray

from readfirst.domain.deid.pixels.text import Grey, NoDetector, Text, networks, strips

_SMALL = 1024  # pixels of the longer side: up to here fine codes are also looked for in the picture at twice its size
_BARS = 0.5  # of a linear code's length: as tall as its bars may be around the rows that were read
_MARGIN = 0.2  # of a code's sides: a linear code is seen on some of its rows only


def find_barcodes(picture: Grey) -> list[Text]:
    """All barcodes of a grey picture, as text without a reading. Raises NoDetector."""
    if util.find_spec("zxingcpp") is None:
        raise NoDetector("zxing-cpp is not installed")
    cv2 = networks()[0]
    height, width = picture.shape
    found = _read(picture, np.eye(2, 3))
    if max(picture.shape) <= _SMALL:
        doubled = cv2.resize(picture, (2 * width, 2 * height), interpolation=cv2.INTER_CUBIC)
        found += _read(doubled, np.array([[2.0, 0, 0.5], [0, 2.0, 0.5]]))
    # Linear codes are read to about 30 degrees from the rows or columns: turned by 45, all others are.
    scale = 2.0 if max(picture.shape) <= _SMALL else 1.0
    side = math.ceil(scale * math.hypot(height, width))
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 45, scale)
    turn[:, 2] += side / 2 - width / 2, side / 2 - height / 2
    found += _read(cv2.warpAffine(picture, turn, (side, side), flags=cv2.INTER_CUBIC), turn)
    return [text for corners in found if (text := _place(corners, picture.shape)) is not None]


def _read(picture: Grey, way: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """The corners of each code, brought back along the affine way that the picture was made."""
    import zxingcpp

    linear, shift = way[:, :2], way[:, 2]
    corners: list[NDArray[np.float64]] = []
    for code in zxingcpp.read_barcodes(np.ascontiguousarray(picture)):
        at: Any = code.position
        points = [(p.x, p.y) for p in (at.top_left, at.top_right, at.bottom_right, at.bottom_left)]
        corners.append((np.array(points, dtype=np.float64) - shift) @ np.linalg.inv(linear).T)
    return corners


def _place(corners: NDArray[np.float64], shape: tuple[int, ...]) -> Text | None:
    cv2 = networks()[0]
    centre, sides, angle = cv2.minAreaRect(corners.astype(np.float32))
    wide, high = (side + 2 * max(6.0, _MARGIN * min(max(sides), 2 * side + 20)) for side in sides)
    if high > wide:
        wide, high, angle = high, wide, angle + 90
    if high < 0.7 * wide:  # a linear code, of which the reader may have seen a few rows only
        high = max(high, _BARS * wide)
    parts = strips(centre, wide, high, angle, shape)
    if not parts:
        return None
    lefts, tops, rights, bottoms = zip(*parts, strict=True)
    return Text((min(lefts), min(tops), max(rights), max(bottoms)), "", 1.0, parts)
