"""What chests and lesions are drawn with: grids, shapes, soft edges and smooth noise. Lengths in mm."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating[Any]]


Rng = np.random.Generator


BACKGROUND, LUNG, MEDIASTINUM, BONE, NODULE = range(5)


@dataclass(frozen=True)
class Grid:
    """Where the voxels lie: `size` pixels of `pixel` mm in x and y, centred on the origin, and the slices' z."""

    size: int
    pixel: float
    zs: tuple[float, ...]

    def axis(self) -> Field:
        """The pixel centres along x (and y), in mm."""
        return ((np.arange(self.size) - (self.size - 1) / 2) * self.pixel).astype(np.float32)


@dataclass(frozen=True)
class Lesion:
    """A nodule or mass. `centre` and lengths in mm; `texture` is solid, part-solid or ground-glass."""

    centre: tuple[float, float, float]
    diameter: float
    texture: str = "solid"
    hu: float = 40.0
    spicules: int = 0
    cavity: float = 0.0  # radius of the air inside, as a share of the lesion's
    seed: int = 0


@dataclass
class Volume:
    """A rendered phantom: densities, the class of every voxel and the lesions that are visible in it."""

    hu: Field  # [slice, row, column]
    labels: NDArray[np.uint8]
    grid: Grid
    lesions: list[Lesion] = field(default_factory=list)


def ellipse(x: Field, y: Field, cx: float, cy: float, a: float, b: float, n: float = 2.0) -> Field:
    """About the distance to a superellipse's edge, in mm, negative inside."""
    dx, dy = np.abs(x - cx), np.abs(y - cy)
    f = (dx / a) ** 2 + (dy / b) ** 2 if n == 2.0 else (dx / a) ** n + (dy / b) ** n
    f = np.maximum(f ** (1.0 / n), 1e-3)
    r = np.sqrt(dx * dx + dy * dy)
    return np.asarray(np.where(f < 0.2, -min(a, b) * (1 - f), r - r / f), dtype=np.float32)


def cover(distance: Field, soft: float) -> Field:
    """How much of a pixel lies inside, given the distance to the edge."""
    return np.asarray(np.clip(0.5 - distance / soft, 0.0, 1.0))


def paint(hu: Field, distance: Field, value: float | Field, soft: float) -> None:
    share = cover(distance, soft)
    hu += share * (value - hu)


def blobs(rng: Rng, shape: tuple[int, int], cell: int) -> Field:
    """Smooth noise of unit variance with features of about `cell` pixels."""
    h, w = shape[0] // cell + 3, shape[1] // cell + 3
    coarse = rng.standard_normal((h, w)).astype(np.float32)
    rows, cols = np.arange(shape[0]) / cell, np.arange(shape[1]) / cell
    r0, c0 = rows.astype(int), cols.astype(int)
    fr, fc = (rows - r0).astype(np.float32), (cols - c0).astype(np.float32)
    fr, fc = fr * fr * (3 - 2 * fr), fc * fc * (3 - 2 * fc)
    across = coarse[:, c0] * (1 - fc) + coarse[:, c0 + 1] * fc
    noise = across[r0] * (1 - fr)[:, None] + across[r0 + 1] * fr[:, None]
    return np.asarray(noise / max(float(noise.std()), 1e-3), dtype=np.float32)


def spacing_of(grid: Grid) -> float:
    return abs(grid.zs[1] - grid.zs[0]) if len(grid.zs) > 1 else 2.5


def window_of(
    grid: Grid, low: tuple[float, ...], high: tuple[float, ...]
) -> tuple[slice, slice, slice, Field, Field, Field] | None:
    """The voxels between two corners, and their coordinates; None where there are none."""
    zs = np.asarray(grid.zs, np.float32)
    rows = np.nonzero((zs >= low[2]) & (zs <= high[2]))[0]
    half = (grid.size - 1) / 2
    left, right = math.floor(low[0] / grid.pixel + half), math.ceil(high[0] / grid.pixel + half) + 1
    top, bottom = math.floor(low[1] / grid.pixel + half), math.ceil(high[1] / grid.pixel + half) + 1
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, grid.size), min(bottom, grid.size)
    if not len(rows) or left >= right or top >= bottom:
        return None
    axis = grid.axis()
    return (
        slice(int(rows[0]), int(rows[-1]) + 1), slice(top, bottom), slice(left, right),
        zs[rows[0] : rows[-1] + 1, None, None], axis[None, top:bottom, None], axis[None, None, left:right],
    )  # fmt: skip


def capsule(
    x: Field, y: Field, z: Field, start: tuple[float, ...], end: tuple[float, ...], radius: float, pixel: float,
    thickness: float,
) -> Field:  # fmt: skip
    """The share of each voxel inside a capsule; thin ones fade as thick slices average them away."""
    p, d = start, tuple(e - s for s, e in zip(start, end, strict=True))
    length2 = max(sum(v * v for v in d), 1e-6)
    t = np.clip(((x - p[0]) * d[0] + (y - p[1]) * d[1] + (z - p[2]) * d[2]) / length2, 0, 1)
    gap2 = (x - p[0] - t * d[0]) ** 2 + (y - p[1] - t * d[1]) ** 2 + (z - p[2] - t * d[2]) ** 2
    steep = abs(d[2]) / math.sqrt(length2)
    soft = max(pixel, 0.9) * steep + max(pixel, 0.9, thickness * 0.8) * (1 - steep)
    share = np.clip(0.5 - (np.sqrt(gap2) - radius) / soft, 0, 1) * min(1.0, 2.2 * radius / soft)
    return np.asarray(share, dtype=np.float32)


def gauss(volume: Field, sigma: float) -> Field:
    reach = max(1, math.ceil(2.5 * sigma))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    taps = (taps / taps.sum()).astype(np.float32)
    out = volume
    for axis in (1, 2):
        pad = [(0, 0)] * 3
        pad[axis] = (reach, reach)
        wide, size = np.pad(out, pad, mode="edge"), out.shape[axis]
        out = np.zeros_like(volume)
        for k, tap in enumerate(taps):
            out += tap * np.take(wide, range(k, k + size), axis=axis)
    return out
