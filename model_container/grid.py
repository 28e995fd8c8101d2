"""Where a segmentation's planes lie, so that every reader places them: evenly, and straight above each other.

Slices of a tilted gantry are stacked askew: each is moved within its plane against the one below. Few readers of
segmentations follow that. Others take the stack for upright, and put a finding beside its place. So each mask stays
in the plane of its slice, not one voxel more or less, and moves there by full pixels onto a grid that all can place:
at most half a pixel from where it was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_container.engines.engine import Mask
from model_container.images.volume import Volume
from readfirst.domain.analysis.segment_rle import pixels_between

_DRIFT = 0.1  # pixels that slices may move within their planes and still be called straight above each other
_UNEVEN = 0.004  # of a step that heights may be off; readers ask for steps that are equal within 1 %


@dataclass(frozen=True)
class Grid:
    """Planes for the slices of a volume, and where in them each slice begins."""

    positions: NDArray[np.float64]  # [slice, 3]: the centre of each plane's first pixel, in mm
    starts: NDArray[np.int64]  # [slice, 2]: the row and column of the plane that the slice's first pixel has
    shape: tuple[int, int]  # rows and columns of a plane
    as_scanned: bool  # the planes are the slices themselves

    def segments(self, masks: Sequence[Mask]) -> NDArray[np.unsignedinteger]:
        """Each voxel's segment, from 1; where two share a voxel, a layer for each, which takes far more memory."""
        numbers = np.zeros((len(self.positions), *self.shape), np.min_scalar_type(len(masks)))
        if all(self._write(numbers, mask, k) for k, mask in enumerate(masks, start=1)):
            return numbers
        layers = np.zeros((*numbers.shape, len(masks)), np.uint8)
        for k, mask in enumerate(masks):
            self._write(layers[..., k], mask, 1)
        return layers

    def _write(self, numbers: NDArray[np.unsignedinteger], mask: Mask, value: int) -> bool:
        """Whether no voxel of the mask had a number yet; else nothing more is written."""
        first, top, left = mask.start
        for k, voxels in enumerate(mask.voxels, start=first):
            row, column = self.starts[k] + (top, left)
            here = numbers[k, row : row + voxels.shape[0], column : column + voxels.shape[1]]
            if here[voxels].any():
                return False
            here[voxels] = value
        return True


def upright(volume: Volume) -> Grid:
    """The grid for a volume: its own slices where they lie well, else planes that do."""
    directions = (volume.along_rows, volume.along_columns)
    normal = np.cross(*directions)
    first = volume.positions[0]
    heights = (volume.positions - first) @ normal
    drift = np.stack([(volume.positions - first) @ way / step
                      for way, step in zip(directions, volume.pixel, strict=True)], axis=1)  # fmt: skip
    even = _even(heights)
    if np.abs(drift).max() <= _DRIFT and np.abs(even - heights).max() <= _UNEVEN * volume.spacing:
        return Grid(volume.positions, np.zeros((len(heights), 2), np.int64), volume.hu.shape[1:], True)
    moved = np.array([pixels_between(first, place, directions, volume.pixel) for place in volume.positions])
    lowest = moved.min(0)
    corner = first + sum(n * step * way for n, step, way in zip(lowest, volume.pixel, directions, strict=True))
    rows, columns = volume.hu.shape[1:] + moved.max(0) - lowest
    return Grid(corner + even[:, None] * normal, moved - lowest, (int(rows), int(columns)), False)


def _even(heights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The heights at equal steps, where none is more than half a step from it; else as they are."""
    if len(heights) < 3:
        return heights
    numbers = np.arange(len(heights))
    step, low = np.polyfit(numbers, heights, 1)
    even = np.asarray(low + step * numbers)
    return even if np.abs(even - heights).max() <= abs(step) / 2 else heights
