"""Where to look in a chest CT: the lungs, and the places in them that are rounder and denser than lung.

Formulas and thresholds, no network: what is found here depends on densities and shapes only, so it does not depend on
what a network was trained on. It is meant to miss nothing; the network then judges every place.
Everything is measured in the scene: mm from the centre of the volume's first voxel, axes (slice, row, column), turned
so that left and back come last.
"""

from __future__ import annotations

import itertools
import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model_container.engines.masks import pieces
from model_container.images.volume import Volume

FINE = 1.0  # mm: pixels of the finest level; the next ones have 2 and 4 mm
_THINNEST = 1.2  # mm: thinner slices are averaged, for they hold noise rather than detail
_LUNG_BELOW, _OUTSIDE_BELOW = -400.0, -940.0  # HU
_LUNG_MEDIAN = (-985.0, -450.0)  # HU: bowel gas and the air around the body are emptier
_LUNG_CM3 = 8.0
_WIDEST_GAP = 22.0  # mm: half of the largest mass that the lungs' outline is drawn around
_SCALES = ((0, 5.0), (1, 8.0), (1, 13.0), (2, 19.0), (2, 28.0), (2, 40.0))  # level, and a lesion's diameter in mm
_PER_SCALE = (190, 130, 60, 28, 16, 10)  # places kept in 100 mm of chest
_WEAKEST = 0.02
_DIRECTIONS = tuple(d for d in itertools.product((-1, 0, 1), repeat=3) if d > (0, 0, 0))


@dataclass(frozen=True)
class Level:
    """The volume on a grid of its own."""

    hu: NDArray[np.float32]  # [slice, row, column]
    step: NDArray[np.float64]  # mm per voxel
    first: NDArray[np.float64]  # the scene's coordinates of voxel (0, 0, 0)

    def place(self, index: NDArray[np.float64]) -> NDArray[np.float64]:
        """Voxels' places in the scene."""
        return np.asarray(self.first + index * self.step)


@dataclass(frozen=True)
class Scene:
    """A volume turned to the usual side and seen at three resolutions."""

    levels: tuple[Level, Level, Level]
    flip: tuple[bool, bool]  # rows, columns were turned


@dataclass(frozen=True)
class Lungs:
    """The lungs on the grids of levels 1 and 2."""

    air: NDArray[np.bool_]  # level 1: what is lung and nothing else
    whole: NDArray[np.bool_]  # level 1: with the vessels and lesions in them
    areas: NDArray[np.float64]  # per slice of level 2, mm²: lungs, body
    median_hu: float


@dataclass(frozen=True)
class Spot:
    """A place worth a look, in the scene, and about how wide what lies there is."""

    at: tuple[float, float, float]
    diameter: float
    score: float


# ---------------------------------------------------------------- levels


def to_scene(volume: Volume) -> Scene:
    """Averages a volume to pixels of 1, 2 and 4 mm (never finer than it is)."""
    flip = (bool(volume.along_rows[1] < 0), bool(volume.along_columns[0] < 0))
    group = max(1, round(1.25 / volume.spacing)) if volume.spacing < _THINNEST else 1
    rows, columns = volume.hu.shape[1:]
    size = tuple(max(8, min(n, round(n * p / FINE))) for n, p in zip((rows, columns), volume.pixel, strict=True))

    def plane(k: int) -> NDArray[np.float32]:
        stack = volume.hu[k * group : (k + 1) * group]
        image = stack[0].astype(np.float32) if len(stack) == 1 else stack.mean(0, dtype=np.float32)
        if size != image.shape:
            image = np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BOX))
        return np.asarray(image[:: -1 if flip[0] else 1, :: -1 if flip[1] else 1], dtype=np.float32)

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        planes = np.stack(list(pool.map(plane, range(max(1, len(volume.hu) // group)))))
    step = np.array([volume.spacing * group, rows * volume.pixel[0] / size[0], columns * volume.pixel[1] / size[1]])
    first = np.array([(group - 1) / 2 * volume.spacing, *((step[1:] - np.array(volume.pixel)) / 2)])
    fine = Level(planes, step, first)
    middle = _halved(fine, 1.6)
    return Scene((fine, middle, _halved(middle, 3.2)), flip)


def _halved(level: Level, thick: float) -> Level:
    """Pairs of rows and columns averaged, and pairs of slices where they are thinner than `thick`."""
    hu, step, first = level.hu, level.step.copy(), level.first.copy()
    for axis in range(3):
        if axis == 0 and (step[0] >= thick or len(hu) < 2):
            continue
        odd = [slice(None)] * 3
        odd[axis] = slice(0, hu.shape[axis] // 2 * 2)
        whole = hu[tuple(odd)]
        even, other = [slice(None)] * 3, [slice(None)] * 3
        even[axis], other[axis] = slice(0, None, 2), slice(1, None, 2)
        hu = (whole[tuple(even)] + whole[tuple(other)]) * np.float32(0.5)
        first[axis] += step[axis] / 2
        step[axis] *= 2
    return Level(hu, step, first)


# ---------------------------------------------------------------- lungs


def find_lungs(scene: Scene) -> Lungs:
    """Air inside the body with the density of lung, and the outline around it that vessels and masses do not dent."""
    coarse, middle = scene.levels[2], scene.levels[1]
    lung, outside = _lung_pieces(coarse)
    areas = np.stack([lung.sum((1, 2)), (~outside).sum((1, 2))], 1) * coarse.step[1] * coarse.step[2]
    inside = _spread(_grown(lung, 1), coarse, middle)
    air = inside & (middle.hu < _LUNG_BELOW)
    whole = np.zeros_like(air)
    if air.any():
        centre = round(float(np.nonzero(air.any((0, 1)))[0].mean()))
        reach = max(1, round(_WIDEST_GAP / middle.step[1]))
        for side in (slice(0, centre), slice(centre, None)):  # one by one: what lies between the lungs is none
            whole[:, :, side] = _closed(air[:, :, side], reach)
    return Lungs(air, whole, areas, float(np.median(coarse.hu[lung])) if lung.any() else 0.0)


def _lung_pieces(level: Level) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The lungs, and the air around the body, on the coarse grid."""
    lung, outside = np.zeros(level.hu.shape, np.bool_), np.zeros(level.hu.shape, np.bool_)
    rows, columns = level.hu.shape[1:]
    smallest = _LUNG_CM3 * 1000 / float(np.prod(level.step))
    for piece in pieces(level.hu < _LUNG_BELOW):
        index = tuple(piece.T)
        edge = (piece[:, 1:] == 0).any(1) | (piece[:, 1] == rows - 1) | (piece[:, 2] == columns - 1)
        values = level.hu[index]
        if (edge & (values < _OUTSIDE_BELOW)).any():
            outside[index] = True
        elif len(piece) >= smallest and _LUNG_MEDIAN[0] <= np.median(values) <= _LUNG_MEDIAN[1]:
            lung[index] = True
    return lung, outside


def _spread(mask: NDArray[np.bool_], source: Level, target: Level) -> NDArray[np.bool_]:
    """A mask on a finer grid, by the nearest voxel."""
    index = [
        np.clip(np.round((target.first[k] + np.arange(n) * target.step[k] - source.first[k]) / source.step[k]), 0,
                mask.shape[k] - 1).astype(np.intp)
        for k, n in enumerate(target.hu.shape)
    ]  # fmt: skip
    return mask[np.ix_(*index)]


def _grown(mask: NDArray[np.bool_], rounds: int, diagonal: bool = True) -> NDArray[np.bool_]:
    """Dilated within the slices: squares and crosses in turn make an octagon."""
    for k in range(rounds):
        out = mask.copy()
        out[:, 1:] |= mask[:, :-1]
        out[:, :-1] |= mask[:, 1:]
        across = out if diagonal and k % 2 == 0 else mask
        wide = out.copy()
        wide[:, :, 1:] |= across[:, :, :-1]
        wide[:, :, :-1] |= across[:, :, 1:]
        mask = wide
    return mask


def _closed(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Dents and holes of up to twice `reach` pixels filled, within the slices."""
    padded = np.pad(mask, ((0, 0), (reach, reach), (reach, reach)))
    shut = ~_grown(~_grown(padded, reach), reach)
    return shut[:, reach:-reach, reach:-reach] | mask


# ---------------------------------------------------------------- spots


def find_spots(scene: Scene, lungs: Lungs) -> list[Spot]:
    """Round dense places in the lungs, the best of every size; vessels, which are long, come last."""
    if not lungs.air.any():
        return []
    box = tuple(slice(int(i.min()), int(i.max()) + 1) for i in np.nonzero(lungs.whole))
    middle = scene.levels[1]
    low = middle.place(np.array([s.start for s in box], float)) - 4
    high = middle.place(np.array([s.stop - 1 for s in box], float)) + 4
    length = float(len(scene.levels[0].hu) * scene.levels[0].step[0])
    dense = [_density(level, lungs, middle, low, high) for level in scene.levels]

    def at_scale(k: int) -> list[Spot]:
        level, diameter = _SCALES[k]
        return _peaks(*dense[level], diameter, max(3, round(_PER_SCALE[k] * max(length, 60.0) / 100)))

    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        found = [spot for spots in pool.map(at_scale, range(len(_SCALES))) for spot in spots]
    return found


def _density(
    level: Level, lungs: Lungs, middle: Level, low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[NDArray[np.float32], Level]:
    """How far each voxel is from lung (0) to soft tissue (1), nothing outside the lungs' outline."""
    first = np.maximum(0, np.floor((low - level.first) / level.step)).astype(int)
    last = np.minimum(level.hu.shape, np.ceil((high - level.first) / level.step).astype(int) + 1)
    window = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
    part = Level(level.hu[window], level.step, level.place(first))
    base = np.float32(min(-500.0, lungs.median_hu + 120))
    share = np.clip((part.hu - base) / (-base), 0, 1)
    share *= _spread(lungs.whole, middle, part)
    return share, part


def _blurred(values: NDArray[np.float32], sigma: NDArray[np.float64]) -> NDArray[np.float32]:
    """A Gaussian; sigma in voxels per axis. The edges go on as they are."""
    for axis, width in enumerate(sigma):
        if width < 0.3:
            continue
        reach = min(max(1, math.ceil(2.2 * width)), values.shape[axis])
        taps = np.exp(-0.5 * (np.arange(reach + 1) / width) ** 2)
        taps = (taps / (taps[0] + 2 * taps[1:].sum())).astype(np.float32)
        pad = [(0, 0)] * 3
        pad[axis] = (reach, reach)
        wide, count = np.pad(values, pad, mode="edge"), values.shape[axis]
        shifted = [
            wide[tuple(slice(k, k + count) if a == axis else slice(None) for a in range(3))]
            for k in range(2 * reach + 1)
        ]
        values = taps[0] * shifted[reach]
        for k in range(1, reach + 1):
            values += taps[k] * (shifted[reach - k] + shifted[reach + k])
    return values


def _peaks(dense: NDArray[np.float32], level: Level, diameter: float, most: int) -> list[Spot]:
    """Local maxima of what is denser than its surroundings in every direction."""
    sigma = diameter / 4 / level.step
    core = _blurred(dense, sigma)
    stands_out = core - _blurred(core, sigma * 1.6)
    top = stands_out.copy()
    for axis in range(3):
        near = top.copy()
        ahead, behind = [slice(None)] * 3, [slice(None)] * 3
        ahead[axis], behind[axis] = slice(1, None), slice(0, -1)
        np.maximum(near[tuple(ahead)], top[tuple(behind)], out=near[tuple(ahead)])
        np.maximum(near[tuple(behind)], top[tuple(ahead)], out=near[tuple(behind)])
        top = near
    index = np.argwhere((stands_out >= top) & (stands_out > _WEAKEST))
    if not len(index):
        return []
    height = core[tuple(index.T)]
    score = np.full(len(index), np.inf)
    last = np.array(dense.shape) - 1
    for direction in _DIRECTIONS:
        offset = np.round(np.array(direction) / np.linalg.norm(direction) * diameter / level.step).astype(int)
        if not offset.any():
            continue
        ends = [core[tuple(np.clip(index + sign * offset, 0, last).T)] for sign in (-1, 1)]
        score = np.minimum(score, height - (ends[0] + ends[1]) / 2)
    score += 0.5 * stands_out[tuple(index.T)]
    best = np.argsort(-score, kind="stable")[:most]
    places = level.place(index[best].astype(float))
    return [
        Spot((float(p[0]), float(p[1]), float(p[2])), diameter, float(score[k]))
        for p, k in zip(places, best, strict=True) if score[k] > 0.02
    ]  # fmt: skip
