"""Whether a frame could hold burned-in text at all: a look of milliseconds where the search takes a second.

Letters are thin, alike in height, stand in a row, and are drawn in one value; anatomy is not. What is thinner than a
stroke is kept (brighter or darker than what it lies on), its connected parts are measured, and a row of three of one
value, or one part with the strokes of a whole word, is reason enough to search. Wrong alarms cost time, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from readfirst.domain.deid.pixels.text import Box, networks

Numbers = NDArray[Any]

_IN_A_ROW = 3  # of one ink without noise; four of nearly one
_LETTER = (5, 56)  # pixels of a letter's longer side
_AROUND = 40  # pixels beside what looks like letters, for the search to see them in their place
_LOWEST = 4  # pixels of a letter's height
_SPIKE = 48  # pixels of one value among the thin ones: ink without noise
_CROSSED = 0.5  # of a word's height, in which its strokes stand side by side
_BLOCK = 16  # pixels: noise is measured in blocks of this size
_FAINTEST = 4.0  # of 255 grey levels
_SAME, _NEARLY = 0.002, 0.01  # of the picture's range: levels of one ink


def places(frame: Numbers) -> list[Box]:
    """Where a grey frame could hold text: around rows of letters and single words. Raises NoDetector."""
    cv2 = networks()[0]
    low, high = np.percentile(frame[::2, ::2], (0.2, 99.9))
    span = max(float(high - low), 1.0)
    grey = np.clip((frame.astype(np.float32) - low) * (255 / span), 0, 255).astype(np.uint8)
    kernel = np.ones((9, 9), np.uint8)
    found: list[Box] = []
    for operation, sign in ((cv2.MORPH_TOPHAT, 1), (cv2.MORPH_BLACKHAT, -1)):
        thin = cv2.morphologyEx(grey, operation, kernel)
        part = thin[::2, ::2]
        mask = (thin >= min(60, max(14, int(part.mean() + 3 * part.std())))).astype(np.uint8)
        levels = frame.astype(np.int64) * sign
        found += [*_one_value(cv2, mask, levels), *_alike(cv2, mask, levels, span)]
        faint = ((thin >= _over_noise(cv2, thin)) & ~cv2.dilate(mask, kernel).astype(bool)).astype(np.uint8)
        found += [*_one_value(cv2, faint, levels, _IN_A_ROW + 1), *_alike(cv2, faint, levels, span, _IN_A_ROW + 1)]
    height, width = frame.shape
    return [(max(0, b[0]), max(0, b[1]), min(width, b[2]), min(height, b[3])) for b in found]


def _over_noise(cv2: Any, thin: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Above which value a thin pixel is more than the noise of its own surroundings: faint letters on even tissue.

    The noise is the middle one of the blocks around, so that a few lines of text do not count as noise themselves.
    """
    height, width = thin.shape
    blocks = max(1, width // _BLOCK), max(1, height // _BLOCK)
    values = thin.astype(np.float32)
    mean = cv2.resize(values, blocks, interpolation=cv2.INTER_AREA)
    square = cv2.resize(values * values, blocks, interpolation=cv2.INTER_AREA)
    noise = mean + 3 * np.sqrt(np.maximum(square - mean * mean, 0))
    middle = cv2.medianBlur(np.clip(2 * noise, 0, 255).astype(np.uint8), 7).astype(np.float32) / 2
    return np.asarray(np.maximum(_FAINTEST, cv2.resize(middle, (width, height), interpolation=cv2.INTER_LINEAR)))


def _one_value(cv2: Any, mask: NDArray[np.uint8], levels: NDArray[np.int64], row: int = _IN_A_ROW) -> Iterator[Box]:
    """Rows of thin pixels of one exact value: letters that touch come apart in it."""
    values, counts = np.unique(levels[mask > 0], return_counts=True)
    for index in np.argsort(-counts)[:2]:
        if counts[index] < _SPIKE:
            return
        only = ((levels == values[index]) & (mask > 0)).astype(np.uint8)
        stats = cv2.connectedComponentsWithStats(only, connectivity=8)[2][1:]
        longer = stats[:, 2:4].max(axis=1)
        letters = stats[(stats[:, 4] >= 3) & (longer >= _LETTER[0] - 1) & (longer <= _LETTER[1])][:, :4]
        yield from _rows(letters, np.zeros(len(letters)), 1.0, row)


def _alike(
    cv2: Any, mask: NDArray[np.uint8], levels: NDArray[np.int64], span: float, row: int = _IN_A_ROW
) -> Iterator[Box]:
    """Rows of parts of one level, and parts that have the strokes of a word."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    longer, shorter = stats[:, 2:4].max(axis=1), stats[:, 2:4].min(axis=1)
    fill = stats[:, 4] / np.maximum(1, stats[:, 2] * stats[:, 3])
    stats[0] = longer[0] = 0
    letters = np.flatnonzero((stats[:, 4] >= 6) & (longer >= _LETTER[0]) & (longer <= _LETTER[1]))
    if len(letters) >= _IN_A_ROW:
        highest = np.full(count, np.iinfo(np.int64).min)
        inside = labels > 0
        np.maximum.at(highest, labels[inside], levels[inside])
        boxes, inks = stats[letters][:, :4], highest[letters].astype(float)
        yield from _rows(boxes, inks, _SAME * span, row)
        yield from _rows(boxes, inks, _NEARLY * span, row + 1)
    flat = (longer > 20) & (longer <= 420) & (shorter >= 6) & (shorter <= 34) & (longer >= 2.2 * shorter)
    for index in np.flatnonzero(flat & (fill >= 0.3) & (fill <= 0.85)):
        if _strokes(labels, levels, stats[index], int(index)):
            x, y, width, height = map(int, stats[index][:4])
            yield x - _AROUND, y - _AROUND, x + width + _AROUND, y + height + _AROUND


def _strokes(labels: NDArray[np.int32], levels: NDArray[np.int64], box: NDArray[np.int32], index: int) -> bool:
    """Whether a flat part is crossed by as many strokes as a word of its length has."""
    x, y, width, height = box[:4]
    part = labels[y : y + height, x : x + width] == index
    values = levels[y : y + height, x : x + width]
    top, bottom = values[part].max(), values[part].min()
    core = part & (values >= top - 0.2 * (top - bottom))
    if height > width:
        core = core.T
    strokes = (core & ~np.pad(core, ((0, 0), (1, 0)))[:, :-1]).sum(axis=1)
    return bool((strokes >= max(4, max(width, height) / min(width, height))).mean() >= _CROSSED)


def _rows(boxes: NDArray[np.int32], levels: NDArray[np.float64], tolerance: float, count: int) -> Iterator[Box]:
    """Around boxes (left, top, width, height) of one level that follow each other as letters do, level or upright."""
    for x, y, height in _ends(boxes, levels, tolerance, count):
        yield x - 12 * height, y - _AROUND, x + 6 * height + _AROUND, y + height + _AROUND
    for y, x, height in _ends(boxes[:, [1, 0, 3, 2]], levels, tolerance, count):
        yield x - _AROUND, y - 12 * height, x + height + _AROUND, y + 6 * height + _AROUND


def _ends(
    boxes: NDArray[np.int32], levels: NDArray[np.float64], tolerance: float, count: int
) -> list[tuple[int, int, int]]:
    """Left, top and height of the boxes that are at least the count-th in a row."""
    tall = (boxes[:, 3] >= _LOWEST) & (boxes[:, 2] <= 2.5 * boxes[:, 3])  # pieces of a thin line are no letters
    boxes, levels = boxes[tall], levels[tall]
    order = np.argsort(boxes[:, 0], kind="stable")[:2000]
    left, top, width, height = boxes[order].T.astype(np.float64)
    levels, base = levels[order], top + height
    taller = np.maximum(height[:, None], height)
    follows = np.abs(height[:, None] - height) <= np.maximum(2, 0.35 * taller)
    follows &= np.abs(base[:, None] - base) <= np.maximum(2, 0.25 * taller)
    gap = left - (left + width)[:, None]
    follows &= (gap >= -1) & (gap <= 1.5 * taller)
    follows &= np.abs(levels[:, None] - levels) <= tolerance
    np.fill_diagonal(follows, False)
    last = follows.any(axis=0)  # second of two in a row; then third of three, and so on
    for _ in range(count - 2):
        last = (follows & last[:, None]).any(axis=0)
    return [(int(left[i]), int(top[i]), int(height[i])) for i in np.flatnonzero(last)]
