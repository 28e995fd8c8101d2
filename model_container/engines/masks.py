"""Masks in three dimensions: their connected pieces, and how long they are.

Without scipy: lesions are few, and the job's image stays small.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from model_container.engines.engine import Mask
from model_container.images.volume import Volume


def pieces(mask: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """The connected pieces of a mask [slice, row, column], each as [voxel, 3] indexes; corners connect.

    Works on runs along the columns, so it costs what the mask holds, not what the volume holds.
    """
    runs = _runs(mask)
    if not len(runs):
        return []
    parent = list(range(len(runs)))

    def root(k: int) -> int:
        while parent[k] != k:
            parent[k] = parent[parent[k]]
            k = parent[k]
        return k

    lines: dict[tuple[int, int], list[int]] = {}
    for k, (z, row, _, _) in enumerate(runs):
        lines.setdefault((int(z), int(row)), []).append(k)
    for (z, row), here in lines.items():
        for other in ((z, row - 1), (z - 1, row), (z - 1, row - 1), (z - 1, row + 1)):
            for a, b in _touching(runs, here, lines.get(other, [])):
                parent[root(a)] = root(b)
    members: dict[int, list[int]] = {}
    for k in range(len(runs)):
        members.setdefault(root(k), []).append(k)
    return [np.concatenate([_voxels(runs[k]) for k in group]) for group in members.values()]


def _runs(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """[run, (slice, row, first column, one past the last)] in order."""
    edges = np.diff(np.pad(mask, ((0, 0), (0, 0), (1, 1))).astype(np.int8), axis=2)
    starts, ends = np.argwhere(edges == 1), np.argwhere(edges == -1)
    return np.concatenate([starts, ends[:, 2:]], axis=1)


def _touching(runs: NDArray[np.intp], here: list[int], there: list[int]) -> list[tuple[int, int]]:
    """Pairs of runs of two lines that overlap or meet at a corner; both lists are ordered by column."""
    pairs, j = [], 0
    for a in here:
        while j < len(there) and runs[there[j], 3] < runs[a, 2]:
            j += 1
        k = j
        while k < len(there) and runs[there[k], 2] <= runs[a, 3]:
            pairs.append((a, there[k]))
            k += 1
    return pairs


def _voxels(run: NDArray[np.intp]) -> NDArray[np.intp]:
    z, row, first, last = (int(v) for v in run)
    columns = np.arange(first, last)
    return np.stack([np.full_like(columns, z), np.full_like(columns, row), columns], axis=1)


def longest_diameter(mask: Mask, volume: Volume) -> float:
    """The longest diameter in the slice with the largest section, in mm (as in RECIST 1.1: axial, outer edge)."""
    plane = mask.voxels[int(mask.voxels.sum((1, 2)).argmax())]
    points = np.argwhere(plane) * np.array(volume.pixel)
    angles = np.linspace(0, math.pi, 36, endpoint=False)
    reach = points @ np.stack([np.sin(angles), np.cos(angles)])
    return float((reach.max(0) - reach.min(0)).max() + sum(volume.pixel) / 2)
