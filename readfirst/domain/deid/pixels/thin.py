"""What of a grey frame is thinner than a stroke of a letter, brighter or darker than what it lies on, as masks.

One frame takes a dozen planes of its size. Memory that is new to a process costs more than the arithmetic in it, so
that of the last frame is used for the next one of the same size.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[Any]
Mask = NDArray[np.bool_]

_KERNEL = np.ones((9, 9), np.uint8)
_BLOCK = 16  # pixels: noise is measured in blocks of this size
_FAINTEST = 4.0  # of 255 grey levels
_TOGETHER = 1 << 14  # pixels that are made grey at a time: their numbers stay in the processor's cache
_KEPT = 1 << 20  # pixels of the largest frame whose memory is kept, 17 bytes for each


class Planes:
    """Memory for what is made of one frame."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.grey, self.thin = np.empty(shape, np.uint8), np.empty(shape, np.uint8)
        self.clear, self.faint, self.bright = (np.empty(shape, np.bool_) for _ in range(3))
        self.values, self.limits = np.empty(shape, np.float32), np.empty(shape, np.float32)
        self._labels = np.empty(shape[0] * shape[1], np.int32)

    def labels(self, height: int, width: int) -> NDArray[np.int32]:
        """For the labels of a part of the frame."""
        return self._labels[: height * width].reshape(height, width)


class _Last(threading.local):
    planes: Planes | None = None


_last = _Last()


def planes_for(shape: tuple[int, ...]) -> Planes:
    """Memory for a frame of this size (rows, columns), until the thread asks for the next."""
    planes = _last.planes
    if planes is None or planes.shape != shape:
        planes = Planes(shape)
        _last.planes = planes if shape[0] * shape[1] <= _KEPT else None
    return planes


def counted(levels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The different levels, rising, and how often each is there: counted where their range allows, not sorted."""
    low, high = int(levels.min(initial=0)), int(levels.max(initial=0))
    if high - low > 4 * len(levels) + 1024:
        return np.unique(levels, return_counts=True)
    counts = np.bincount(levels - low)
    there = counts.nonzero()[0]
    return there + low, counts[there]


def darkest_and_brightest(frame: Numbers) -> tuple[float, float]:
    """The levels below which 0.2 % and 99.9 % of every fourth pixel lie, as `np.percentile` has them."""
    levels, counts = counted(frame[::2, ::2].ravel().astype(np.int64))
    upto, last = counts.cumsum(), int(counts.sum()) - 1
    found = []
    for percent in (0.2, 99.9):
        place = last * (percent / 100)
        part = place - int(place)
        below, above = levels[upto.searchsorted([int(place), min(int(place) + 1, last)], "right")].tolist()
        found.append(below + (above - below) * part if part < 0.5 else above - (above - below) * (1 - part))
    return float(found[0]), float(found[1])


@dataclass(frozen=True)
class Thin:
    """Where a frame has thin things of one `sign` (1: brighter than what they lie on, -1: darker).

    `clear`: they stand out against all others of the frame; `faint`: against the noise of their place alone.
    """

    sign: int
    clear: Mask
    faint: Mask


def thin_things(cv2: Any, frame: Numbers, low: float, span: float, planes: Planes) -> Iterator[Thin]:
    """The bright ones, then the dark ones; the masks lie in `planes` and last until the next are asked for.

    `low`, `span`: the level that is shown black, and how many levels there are from it to white.
    """
    _make_grey(frame, low, span, planes.grey)
    thin, values, limits = planes.thin, planes.values, planes.limits
    for operation, sign in ((cv2.MORPH_TOPHAT, 1), (cv2.MORPH_BLACKHAT, -1)):
        cv2.morphologyEx(planes.grey, operation, _KERNEL, dst=thin)
        np.copyto(values, thin)
        clear = _clear(cv2, thin[::2, ::2])
        np.greater_equal(thin, clear, out=planes.clear)
        _over_noise(cv2, values, limits)
        np.greater_equal(values, limits, out=planes.faint)
        # The edges of what is bright are no faint letters; pixels that noise alone lifts over the limit have none.
        np.add(limits, clear, out=limits)
        np.greater_equal(values, limits, out=planes.bright)
        cv2.dilate(planes.bright.view(np.uint8), _KERNEL, dst=planes.bright.view(np.uint8))
        np.greater(planes.faint, planes.bright, out=planes.faint)
        yield Thin(sign, planes.clear, planes.faint)


def _make_grey(frame: Numbers, low: float, span: float, grey: NDArray[np.uint8]) -> None:
    """The frame in 256 greys from `low` on, a few rows at a time."""
    scale, rows = 255 / span, max(1, _TOGETHER // frame.shape[1])
    for top in range(0, len(frame), rows):
        numbers = frame[top : top + rows].astype(np.float32).astype(np.float64)
        numbers -= low
        numbers *= scale
        np.copyto(grey[top : top + rows], np.clip(numbers, 0, 255, out=numbers), casting="unsafe")


def _clear(cv2: Any, part: NDArray[np.uint8]) -> int:
    """From which value on a thin pixel stands out against all others."""
    mean, deviation = cv2.meanStdDev(part)
    over = float(mean[0, 0] + 3 * deviation[0, 0])
    if abs(over - round(over)) < 1e-3:  # OpenCV rounds otherwise in the last digits
        over = float(part.mean() + 3 * part.std())
    return min(60, max(14, int(over)))


def _over_noise(cv2: Any, values: NDArray[np.float32], limits: NDArray[np.float32]) -> None:
    """Above which value a thin pixel is more than the noise of its own surroundings: faint letters on even tissue.

    The noise is the middle one of the blocks around, so that a few lines of text do not count as noise themselves.
    """
    height, width = values.shape
    blocks = max(1, width // _BLOCK), max(1, height // _BLOCK)
    mean = cv2.resize(values, blocks, interpolation=cv2.INTER_AREA)
    square = cv2.resize(np.multiply(values, values, out=limits), blocks, interpolation=cv2.INTER_AREA)
    noise = mean + 3 * np.sqrt(np.maximum(square - mean * mean, 0))
    middle = cv2.medianBlur(np.clip(2 * noise, 0, 255).astype(np.uint8), 7).astype(np.float32) / 2
    cv2.resize(middle, (width, height), dst=limits, interpolation=cv2.INTER_LINEAR)
    np.maximum(limits, _FAINTEST, out=limits)
