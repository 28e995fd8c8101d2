"""What the network sees of a place: a small box around it, as wide as what lies there asks for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model_container.engines.chest.candidates import Level, Scene

SHAPE = (24, 32, 32)
OUTSIDE = -2048.0
"""The value of what lies outside the volume: no scanner gives it, and the network knows it."""
_VOXELS_ACROSS = 9.0  # a lesion's diameter in voxels of its box


def voxel_of(diameter: float) -> float:
    """The edge of a box's voxels in mm, for a lesion of this diameter."""
    return min(5.0, max(1.0, diameter / _VOXELS_ACROSS))


def level_of(scene: Scene, voxel: float) -> Level:
    """The level that holds the detail which voxels of this size can show, and no more."""
    return scene.levels[0 if voxel < 2 else 1 if voxel < 4 else 2]


def cut(scene: Scene, at: Sequence[float], voxel: float) -> NDArray[np.float32]:
    """The box around a place of the scene, in HU, with cubic voxels."""
    level = level_of(scene, voxel)
    weights, window = [], []
    for axis, count in enumerate(SHAPE):
        places = at[axis] + (np.arange(count) - (count - 1) / 2) * voxel
        index = (places - level.first[axis]) / level.step[axis]
        size = level.hu.shape[axis]
        inside = np.clip(index, 0, size - 1)
        low = int(inside.min())
        matrix = np.maximum(0, 1 - np.abs(inside[:, None] - np.arange(low, int(inside.max()) + 2)))
        matrix[(index < -0.5) | (index > size - 0.5)] = np.nan
        weights.append(matrix[:, : size - low].astype(np.float32))
        window.append(slice(low, low + weights[-1].shape[1]))
    box = level.hu[tuple(window)]
    beyond = [np.isnan(m[:, 0]) for m in weights]
    z, row, column = (np.nan_to_num(m) for m in weights)
    box = np.matmul(row, box) @ column.T
    box = np.tensordot(z, box, axes=(1, 0))
    box[beyond[0]], box[:, beyond[1]], box[:, :, beyond[2]] = OUTSIDE, OUTSIDE, OUTSIDE
    return np.asarray(box, dtype=np.float32)
