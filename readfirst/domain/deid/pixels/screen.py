"""Whether a frame could hold burned-in text at all: a look of milliseconds where the search takes a second.

Letters are thin, alike in height, stand in a row, and are drawn in one value; anatomy is not. What is thinner than a
stroke is kept (brighter or darker than what it lies on), its connected parts are measured, and a row of three of one
value, or one part with the strokes of a whole word, is reason enough to search. Wrong alarms cost time, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from readfirst.domain.deid.pixels.text import Box, networks
from readfirst.domain.deid.pixels.thin import (
    Mask,
    Numbers,
    Planes,
    counted,
    darkest_and_brightest,
    planes_for,
    thin_things,
)

_IN_A_ROW = 3  # of one ink without noise; four of nearly one
_LETTER = (5, 56)  # pixels of a letter's longer side
_AROUND = 24  # pixels beside what looks like letters, for the search to see them in their place
_LOWEST = 4  # pixels of a letter's height
_SPIKE = 48  # pixels of one value among the thin ones: ink without noise
_VALUES = 64  # different values, from which a picture's own are many and a spike among them shows
_CROSSED = 0.5  # of a word's height, in which its strokes stand side by side
_SAME, _NEARLY = 0.002, 0.01  # of the picture's range: levels of one ink


def places(frame: Numbers) -> list[Box]:
    """Where a grey frame could hold text: around rows of letters and single words. Raises NoDetector."""
    cv2 = networks()[0]
    frame = np.ascontiguousarray(frame, frame.dtype.newbyteorder("="))
    low, high = darkest_and_brightest(frame)
    span = max(high - low, 1.0)
    planes = planes_for(frame.shape)
    found: list[Box] = []
    for thin in thin_things(cv2, frame, low, span, planes):
        for where, row in ((thin.clear, _IN_A_ROW), (thin.faint, _IN_A_ROW + 1)):
            parts = _parts(cv2, where, frame, thin.sign, planes)
            found += [*_one_value(cv2, parts, planes, row), *_alike(parts, span, row)]
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
    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    levels: NDArray[np.int64]


def _parts(cv2: Any, mask: Mask, frame: Numbers, sign: int, planes: Planes) -> _Parts:
    """Measured on the mask's pixels alone, which are few: OpenCV's own measuring goes over the picture."""
    where = mask.ravel().nonzero()[0]
    if not where.size:
        none, nowhere = np.zeros(0, np.int64), np.zeros(0, np.int32)
        return _Parts(np.zeros((0, 4), np.int64), none, none, none, nowhere, nowhere, none)
    columns = where.astype(np.int32)
    rows = columns // mask.shape[1]
    columns -= rows * mask.shape[1]
    # Only what lies around them is labelled, from an even row and column on: OpenCV goes by blocks of two by two.
    top, left, bottom, right = int(rows[0]) & ~1, int(columns.min()) & ~1, int(rows[-1]) + 1, int(columns.max()) + 1
    labels = planes.labels(bottom - top, right - left)
    count, labels = cv2.connectedComponents(mask[top:bottom, left:right].view(np.uint8), labels, connectivity=8)
    of = labels.ravel().take((rows - top) * (right - left) + columns - left)
    # Labels of 16 bits are sorted by counting.
    order = (of.astype(np.uint16) if count <= 1 << 16 else of).argsort(kind="stable")
    of, where, rows, columns = of.take(order), where.take(order), rows.take(order), columns.take(order)
    levels = frame.ravel().take(where).astype(np.int64) * sign
    starts = np.concatenate(([0], (of[1:] != of[:-1]).nonzero()[0] + 1))
    areas = np.concatenate((starts[1:], [len(of)])) - starts
    boxes = np.empty((len(starts), 4), np.int64)
    boxes[:, 0], boxes[:, 1] = np.minimum.reduceat(columns, starts), rows[starts]
    boxes[:, 2] = np.maximum.reduceat(columns, starts) - boxes[:, 0] + 1
    boxes[:, 3] = rows[starts + areas - 1] - boxes[:, 1] + 1  # a part's pixels come row by row
    return _Parts(boxes, areas, np.maximum.reduceat(levels, starts), starts, rows, columns, levels)


def _one_value(cv2: Any, parts: _Parts, planes: Planes, row: int) -> Iterator[Box]:
    """Rows of thin pixels of one exact value: letters that touch come apart in it."""
    values, counts = counted(parts.levels)
    if counts.max(initial=0) < _SPIKE:
        return
    for index in np.argsort(-counts)[:2]:
        if counts[index] < _SPIKE:
            return
        if len(counts) > _VALUES and counts[index] < 2 * median(counts[max(0, index - 8) : index + 9].tolist()):
            continue  # no spike among the values around it: what is left of a picture's own noise
        here = parts.levels == values[index]
        yield from _rows_of_ink(cv2, parts.rows[here], parts.columns[here], planes, row)


def _rows_of_ink(
    cv2: Any, rows: NDArray[np.int32], columns: NDArray[np.int32], planes: Planes, row: int
) -> Iterator[Box]:
    """Rows of letters among some pixels."""
    top, left = int(rows.min()) & ~1, int(columns.min()) & ~1
    only = np.zeros((int(rows.max()) + 1 - top, int(columns.max()) + 1 - left), np.bool_)
    only[rows - top, columns - left] = True
    ink = _parts(cv2, only, only, 0, planes)
    longer = np.maximum(ink.boxes[:, 2], ink.boxes[:, 3])
    letters = ink.boxes[(ink.areas >= 3) & (longer >= _LETTER[0] - 1) & (longer <= _LETTER[1])]
    letters[:, :2] += left, top
    yield from _rows(letters, np.zeros(len(letters)), ((1.0, row),))


def _alike(parts: _Parts, span: float, row: int) -> Iterator[Box]:
    """Rows of parts of one level, and parts that have the strokes of a word."""
    width, height = parts.boxes[:, 2], parts.boxes[:, 3]
    longer, shorter = np.maximum(width, height), np.minimum(width, height)
    letters = (parts.areas >= 6) & (longer >= _LETTER[0]) & (longer <= _LETTER[1])
    inks = parts.highest[letters].astype(float)
    yield from _rows(parts.boxes[letters], inks, ((_SAME * span, row), (_NEARLY * span, row + 1)))
    flat = (longer > 20) & (longer <= 420) & (shorter >= 6) & (shorter <= 34) & (longer >= 2.2 * shorter)
    for index in flat.nonzero()[0].tolist():
        if not 0.3 <= parts.areas[index] / (longer[index] * shorter[index]) <= 0.85:
            continue
        if _strokes(parts, index):
            x, y, wide, high = parts.boxes[index].tolist()
            yield x - _AROUND, y - _AROUND, x + wide + _AROUND, y + high + _AROUND


def _strokes(parts: _Parts, index: int) -> bool:
    """Whether a flat part is crossed by as many strokes as a word of its length has."""
    x, y, width, height = parts.boxes[index].tolist()
    own = slice(parts.starts[index], parts.starts[index] + parts.areas[index])
    levels = parts.levels[own]
    highest = levels.max()
    core = levels >= highest - 0.2 * (highest - levels.min())
    across, along = parts.rows[own][core] - y, parts.columns[own][core] - x
    short, long = height, width
    if height > width:
        short, long, across, along = width, height, along, across
    place = np.sort(across * (long + 1) + along)  # one after the other along each line across the strokes
    begins = place[np.concatenate(([True], place[1:] != place[:-1] + 1))]
    strokes = np.bincount(begins // (long + 1), minlength=short)
    return bool((strokes >= max(4, long / short)).mean() >= _CROSSED)


Asked = tuple[tuple[float, int], ...]  # how much the levels of a row may differ, and how many letters it must have


def _rows(boxes: NDArray[np.int64], levels: NDArray[np.float64], asked: Asked) -> Iterator[Box]:
    """Around boxes (left, top, width, height) of one level that follow each other as letters do, level or upright."""
    for x, y, height in _ends(boxes, levels, asked):
        yield x - 12 * height, y - _AROUND, x + 6 * height + _AROUND, y + height + _AROUND
    for y, x, height in _ends(boxes[:, [1, 0, 3, 2]], levels, asked):
        yield x - _AROUND, y - 12 * height, x + height + _AROUND, y + 6 * height + _AROUND


def _ends(boxes: NDArray[np.int64], levels: NDArray[np.float64], asked: Asked) -> list[tuple[int, int, int]]:
    """Left, top and height of the boxes that are at least the asked-for in a row."""
    # Pieces of a thin line are no letters.
    tall = ((boxes[:, 3] >= _LOWEST) & (boxes[:, 2] <= 2.5 * boxes[:, 3])).nonzero()[0]
    least = min(count for _, count in asked)
    if len(tall) < least:
        return []
    order = tall[(boxes[tall, 1] + boxes[tall, 3]).argsort(kind="stable")]
    left, top, width, height = boxes[order].T.astype(np.float64)
    base, levels = top + height, levels[order]
    one, other = _near_in_height(base, height)
    # Few are of one level and near each other; what costs more is asked of those alone.
    apart, gap = np.abs(levels[one] - levels[other]), left[other] - left[one] - width[one]
    near = (apart <= max(tolerance for tolerance, _ in asked)) & (gap >= -1) & (gap <= 1.5 * height.max())
    near = (near & (one != other)).nonzero()[0]
    if len(near) < least - 1:
        return []
    one, other, apart, gap = one[near], other[near], apart[near], gap[near]
    taller = np.maximum(height[one], height[other])
    follows = (np.abs(height[one] - height[other]) <= np.maximum(2, 0.35 * taller)) & (gap <= 1.5 * taller)
    follows &= np.abs(base[one] - base[other]) <= np.maximum(2, 0.25 * taller)
    ends = np.zeros(len(order), dtype=bool)
    for tolerance, count in asked:
        within = follows & (apart <= tolerance)
        ends |= _chained(one[within], other[within], len(order), count)
    return [(int(left[i]), int(top[i]), int(height[i])) for i in ends.nonzero()[0]]


def _near_in_height(
    base: NDArray[np.float64], height: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of boxes, sorted by their bases, that may stand on one line: few of all pairs."""
    reach = np.maximum(2, 0.25 * np.maximum(height / 0.65, height + 2))
    first, last = base.searchsorted(base - reach, "left"), base.searchsorted(base + reach, "right")
    counts = last - first
    one = np.arange(len(base)).repeat(counts)
    ends = counts.cumsum()
    return one, np.arange(ends[-1]) - (ends - counts - first).repeat(counts)


def _chained(one: NDArray[np.int64], other: NDArray[np.int64], boxes: int, count: int) -> NDArray[np.bool_]:
    """Which boxes are at least the count-th of a row, where one is followed by the other."""
    last = np.zeros(boxes, dtype=bool)
    last[other] = True  # second of two in a row; then third of three, and so on
    for _ in range(count - 2):
        follower = other[last[one]]
        last[:] = False
        last[follower] = True
    return last
