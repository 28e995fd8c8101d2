"""Whether a frame could hold burned-in text at all: a look of milliseconds where the search takes a second.

Letters are thin, alike in height, stand in a row, and are drawn in one value; anatomy is not. What is thinner than a
stroke is kept (brighter or darker than what it lies on), its connected parts are measured, and a row of three of one
value, or one part with the strokes of a whole word, is reason enough to search. Wrong alarms cost time, nothing else.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from readfirst.domain.deid.pixels.text import networks

Numbers = NDArray[Any]

_IN_A_ROW = 3
_LETTER = (5, 56)  # pixels of a letter's longer side
_SPIKE = 48  # pixels of one value among the thin ones: ink without noise
_SAME = 0.01  # of the picture's range: levels of one ink


def may_hold_text(frame: Numbers) -> bool:
    """Whether a grey frame must be searched. Raises NoDetector where the search is not installed."""
    cv2 = networks()[0]
    low, high = np.percentile(frame[::2, ::2], (0.2, 99.9))
    span = max(float(high - low), 1.0)
    grey = np.clip((frame.astype(np.float32) - low) * (255 / span), 0, 255).astype(np.uint8)
    kernel = np.ones((9, 9), np.uint8)
    for operation, sign in ((cv2.MORPH_TOPHAT, 1), (cv2.MORPH_BLACKHAT, -1)):
        thin = cv2.morphologyEx(grey, operation, kernel)
        part = thin[::2, ::2]
        mask = (thin >= min(60, max(14, int(part.mean() + 3 * part.std())))).astype(np.uint8)
        levels = frame.astype(np.int64) * sign
        if _one_value(cv2, mask, levels) or _alike(cv2, mask, levels, _SAME * span):
            return True
    return False


def _one_value(cv2: Any, mask: NDArray[np.uint8], levels: NDArray[np.int64]) -> bool:
    """Whether the thin pixels of one exact value stand in a row: letters that touch come apart in it."""
    values, counts = np.unique(levels[mask > 0], return_counts=True)
    for index in np.argsort(-counts)[:2]:
        if counts[index] < _SPIKE:
            return False
        only = ((levels == values[index]) & (mask > 0)).astype(np.uint8)
        stats = cv2.connectedComponentsWithStats(only, connectivity=8)[2][1:]
        longer = stats[:, 2:4].max(axis=1)
        letters = stats[(stats[:, 4] >= 3) & (longer >= _LETTER[0] - 1) & (longer <= _LETTER[1])][:, :4]
        if _in_a_row(letters, np.zeros(len(letters)), 1.0):
            return True
    return False


def _alike(cv2: Any, mask: NDArray[np.uint8], levels: NDArray[np.int64], tolerance: float) -> bool:
    """Whether parts of one level stand in a row, or one part has the strokes of a word."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    longer, shorter = stats[:, 2:4].max(axis=1), stats[:, 2:4].min(axis=1)
    fill = stats[:, 4] / np.maximum(1, stats[:, 2] * stats[:, 3])
    stats[0] = longer[0] = 0
    letters = np.flatnonzero((stats[:, 4] >= 6) & (longer >= _LETTER[0]) & (longer <= _LETTER[1]))
    if len(letters) >= _IN_A_ROW:
        highest = np.full(count, np.iinfo(np.int64).min)
        inside = labels > 0
        np.maximum.at(highest, labels[inside], levels[inside])
        if _in_a_row(stats[letters][:, :4], highest[letters].astype(float), tolerance):
            return True
    flat = (longer > 20) & (longer <= 420) & (shorter >= 6) & (shorter <= 34) & (longer >= 2.2 * shorter)
    words = np.flatnonzero(flat & (fill >= 0.3) & (fill <= 0.85))
    return any(_strokes(labels, levels, stats[index], int(index)) for index in words)


def _strokes(labels: NDArray[np.int32], levels: NDArray[np.int64], box: NDArray[np.int32], index: int) -> bool:
    """Whether a flat part is crossed by as many strokes as a word of its length has."""
    x, y, width, height = box[:4]
    part = labels[y : y + height, x : x + width] == index
    values = levels[y : y + height, x : x + width]
    top, bottom = values[part].max(), values[part].min()
    core = part & (values >= top - 0.2 * (top - bottom))
    if height > width:
        core = core.T
    starts = core & ~np.pad(core, ((0, 0), (1, 0)))[:, :-1]
    return bool(starts.sum(axis=1).max() >= max(4, max(width, height) / min(width, height)))


def _in_a_row(boxes: NDArray[np.int32], levels: NDArray[np.float64], tolerance: float) -> bool:
    """Whether three boxes (left, top, width, height) of one level follow each other as letters do, level or upright."""
    if len(boxes) < _IN_A_ROW:
        return False
    return _row(boxes, levels, tolerance) or _row(boxes[:, [1, 0, 3, 2]], levels, tolerance)


def _row(boxes: NDArray[np.int32], levels: NDArray[np.float64], tolerance: float) -> bool:
    order = np.argsort(boxes[:, 0])[:2000]
    left, top, width, height = boxes[order].T.astype(np.float64)
    levels, base = levels[order], top + height
    taller = np.maximum(height[:, None], height)
    follows = np.abs(height[:, None] - height) <= np.maximum(2, 0.35 * taller)
    follows &= np.abs(base[:, None] - base) <= np.maximum(2, 0.25 * taller)
    gap = left - (left + width)[:, None]
    follows &= (gap >= -1) & (gap <= 1.5 * taller)
    follows &= np.abs(levels[:, None] - levels) <= tolerance
    np.fill_diagonal(follows, False)
    # Three in a row: one that follows another that follows a third.
    return bool((follows.any(axis=0) & follows.any(axis=1)).any())
