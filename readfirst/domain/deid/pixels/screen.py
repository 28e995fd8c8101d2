"""Whether a frame could hold burned-in text at all: a look of milliseconds where the search takes a second.

Letters are thin, alike in height, stand in a row, and are drawn in one value; anatomy is not. What is thinner than a
stroke is kept (brighter or darker than what it lies on), its connected parts are measured, and a row of three of one
value, or one part with the strokes of a whole word, is reason enough to search. Wrong alarms cost time, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from readfirst.domain.deid.pixels.text import Box, networks

Numbers = NDArray[Any]

_IN_A_ROW = 3  # of one ink without noise; four of nearly one
_LETTER = (5, 56)  # pixels of a letter's longer side
_AROUND = 24  # pixels beside what looks like letters, for the search to see them in their place
_LOWEST = 4  # pixels of a letter's height
_SPIKE = 48  # pixels of one value among the thin ones: ink without noise
_VALUES = 64  # different values, from which a picture's own are many and a spike among them shows
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
        clear, noise = min(60, max(14, int(part.mean() + 3 * part.std()))), _over_noise(cv2, thin)
        mask = (thin >= clear).astype(np.uint8)
        # The edges of what is bright are no faint letters; pixels that noise alone lifts over the limit have none.
        bright = cv2.dilate((thin >= clear + noise).astype(np.uint8), kernel)
        faint = ((thin >= noise) & (bright == 0)).astype(np.uint8)
        for where, row in ((mask, _IN_A_ROW), (faint, _IN_A_ROW + 1)):
            parts = _parts(cv2, where, frame, sign)
            found += [*_one_value(cv2, parts, frame.shape, row), *_alike(parts, span, row)]
    height, width = frame.shape
    return [(max(0, b[0]), max(0, b[1]), min(width, b[2]), min(height, b[3])) for b in found]


@dataclass(frozen=True)
class _Parts:
    """The connected parts of a mask: which pixel belongs to which, and what each measures.

    Of parts: `boxes` (left, top, width, height), `areas`, `highest` (its highest level), `starts` (of its pixels).
    Of pixels, part by part: `rows`, `columns`, `levels`.
    """

    boxes: NDArray[np.int64]
    areas: NDArray[np.int64]
    highest: NDArray[np.int64]
    starts: NDArray[np.int64]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    levels: NDArray[np.int64]


def _parts(cv2: Any, mask: NDArray[np.uint8], frame: Numbers, sign: int) -> _Parts:
    """Measured on the mask's pixels alone, which are few: OpenCV's own measuring goes over the picture."""
    labels = cv2.connectedComponents(mask, connectivity=8)[1]
    points = cv2.findNonZero(mask)
    if points is None:
        none = np.zeros(0, np.int64)
        return _Parts(np.zeros((0, 4), np.int64), none, none, none, none, none, none)
    columns, rows = points[:, 0, 0], points[:, 0, 1]
    of = labels[rows, columns]
    order = np.argsort(of, kind="stable")
    of, columns, rows = of[order], columns[order].astype(np.int64), rows[order].astype(np.int64)
    levels = frame[rows, columns].astype(np.int64) * sign
    starts = np.flatnonzero(np.diff(of, prepend=0))
    left, right = np.minimum.reduceat(columns, starts), np.maximum.reduceat(columns, starts)
    top, bottom = np.minimum.reduceat(rows, starts), np.maximum.reduceat(rows, starts)
    boxes = np.stack([left, top, right - left + 1, bottom - top + 1], axis=1)
    areas = np.diff(starts, append=len(of))
    return _Parts(boxes, areas, np.maximum.reduceat(levels, starts), starts, rows, columns, levels)


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


def _one_value(cv2: Any, parts: _Parts, shape: tuple[int, ...], row: int) -> Iterator[Box]:
    """Rows of thin pixels of one exact value: letters that touch come apart in it."""
    values, counts = np.unique(parts.levels, return_counts=True)
    for index in np.argsort(-counts)[:2]:
        if counts[index] < _SPIKE:
            return
        if len(counts) > _VALUES and counts[index] < 2 * np.median(counts[max(0, index - 8) : index + 9]):
            continue  # no spike among the values around it: what is left of a picture's own noise
        here = parts.levels == values[index]
        only = np.zeros(shape, np.uint8)
        only[parts.rows[here], parts.columns[here]] = 1
        ink = _parts(cv2, only, only, 0)
        longer = ink.boxes[:, 2:].max(axis=1)
        letters = ink.boxes[(ink.areas >= 3) & (longer >= _LETTER[0] - 1) & (longer <= _LETTER[1])]
        yield from _rows(letters, np.zeros(len(letters)), ((1.0, row),))


def _alike(parts: _Parts, span: float, row: int) -> Iterator[Box]:
    """Rows of parts of one level, and parts that have the strokes of a word."""
    longer, shorter = parts.boxes[:, 2:].max(axis=1), parts.boxes[:, 2:].min(axis=1)
    letters = (parts.areas >= 6) & (longer >= _LETTER[0]) & (longer <= _LETTER[1])
    inks = parts.highest[letters].astype(float)
    yield from _rows(parts.boxes[letters], inks, ((_SAME * span, row), (_NEARLY * span, row + 1)))
    fill = parts.areas / np.maximum(1, parts.boxes[:, 2] * parts.boxes[:, 3])
    flat = (longer > 20) & (longer <= 420) & (shorter >= 6) & (shorter <= 34) & (longer >= 2.2 * shorter)
    for index in np.flatnonzero(flat & (fill >= 0.3) & (fill <= 0.85)):
        if _strokes(parts, int(index)):
            x, y, width, height = map(int, parts.boxes[index])
            yield x - _AROUND, y - _AROUND, x + width + _AROUND, y + height + _AROUND


def _strokes(parts: _Parts, index: int) -> bool:
    """Whether a flat part is crossed by as many strokes as a word of its length has."""
    x, y, width, height = parts.boxes[index]
    own = slice(parts.starts[index], parts.starts[index] + parts.areas[index])
    levels = parts.levels[own]
    core = np.zeros((height, width), dtype=bool)
    core[parts.rows[own] - y, parts.columns[own] - x] = levels >= levels.max() - 0.2 * (levels.max() - levels.min())
    if height > width:
        core = core.T
    strokes = (core & ~np.pad(core, ((0, 0), (1, 0)))[:, :-1]).sum(axis=1)
    return bool((strokes >= max(4, max(width, height) / min(width, height))).mean() >= _CROSSED)


Asked = tuple[tuple[float, int], ...]  # how much the levels of a row may differ, and how many letters it must have


def _rows(boxes: NDArray[np.int64], levels: NDArray[np.float64], asked: Asked) -> Iterator[Box]:
    """Around boxes (left, top, width, height) of one level that follow each other as letters do, level or upright."""
    for x, y, height in _ends(boxes, levels, asked):
        yield x - 12 * height, y - _AROUND, x + 6 * height + _AROUND, y + height + _AROUND
    for y, x, height in _ends(boxes[:, [1, 0, 3, 2]], levels, asked):
        yield x - _AROUND, y - 12 * height, x + height + _AROUND, y + 6 * height + _AROUND


def _ends(boxes: NDArray[np.int64], levels: NDArray[np.float64], asked: Asked) -> list[tuple[int, int, int]]:
    """Left, top and height of the boxes that are at least the asked-for in a row."""
    tall = (boxes[:, 3] >= _LOWEST) & (boxes[:, 2] <= 2.5 * boxes[:, 3])  # pieces of a thin line are no letters
    order = np.flatnonzero(tall)[np.argsort((boxes[:, 1] + boxes[:, 3])[tall], kind="stable")]
    left, top, width, height = boxes[order].T.astype(np.float64)
    base, levels = top + height, levels[order]
    one, other = _near_in_height(base, height)
    taller = np.maximum(height[one], height[other])
    gap = left[other] - left[one] - width[one]
    follows = (np.abs(height[one] - height[other]) <= np.maximum(2, 0.35 * taller)) & (one != other)
    follows &= np.abs(base[one] - base[other]) <= np.maximum(2, 0.25 * taller)
    follows &= (gap >= -1) & (gap <= 1.5 * taller)
    one, other = one[follows], other[follows]
    apart = np.abs(levels[one] - levels[other])
    ends = np.zeros(len(order), dtype=bool)
    for tolerance, count in asked:
        ends |= _chained(one[apart <= tolerance], other[apart <= tolerance], len(order), count)
    return [(int(left[i]), int(top[i]), int(height[i])) for i in np.flatnonzero(ends)]


def _near_in_height(
    base: NDArray[np.float64], height: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of boxes, sorted by their bases, that may stand on one line: few of all pairs."""
    reach = np.maximum(2, 0.25 * np.maximum(height / 0.65, height + 2))
    first, last = np.searchsorted(base, base - reach, "left"), np.searchsorted(base, base + reach, "right")
    counts = last - first
    one = np.repeat(np.arange(len(base)), counts)
    return one, np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts - first, counts)


def _chained(one: NDArray[np.int64], other: NDArray[np.int64], boxes: int, count: int) -> NDArray[np.bool_]:
    """Which boxes are at least the count-th of a row, where one is followed by the other."""
    last = np.zeros(boxes, dtype=bool)
    last[other] = True  # second of two in a row; then third of three, and so on
    for _ in range(count - 2):
        follower = other[last[one]]
        last[:] = False
        last[follower] = True
    return last
