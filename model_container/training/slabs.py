"""Training and test slabs: phantoms in the space that the network sees, with scanners of many kinds."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_container.training.anatomy import (
    ELSEWHERE,
    Grid,
    Lesion,
    Volume,
    render,
    render_elsewhere,
    sample_lesion,
    sample_thorax,
    scan,
    with_lesions,
)

PIXEL, SPACING = 1.5, 2.5  # mm: the network's own space, whatever the scanner's was
SIZE, DEPTH = 272, 12  # pixels and slices of a training slab

TRAINING, TUNING, HELD_OUT = 11, 22, 33  # first part of every seed: the three sets share no phantom


@dataclass(frozen=True)
class Slab:
    """A scanned phantom with its truth."""

    hu: NDArray[np.int16]  # [slice, row, column]
    labels: NDArray[np.uint8]
    lesions: tuple[Lesion, ...]
    zs: tuple[float, ...]
    kind: str = "chest"


def make_slab(part: int, index: int, *, depth: int = DEPTH, lesions: int | None = None) -> Slab:
    """Slab `index` of a set: a chest, or (one in eight, training only) something that is no chest."""
    rng = np.random.default_rng([part, index])
    if part == TRAINING and rng.random() < 0.12:
        kind = str(rng.choice(sorted(ELSEWHERE)))
        volume = render_elsewhere(kind, int(rng.integers(1 << 31)), _grid(rng, depth, SPACING))
        return _scanned(volume, rng, kind)
    thorax = sample_thorax(rng)
    thick = rng.random() < 0.25
    grid = _grid(rng, depth // 2 + 1 if thick else depth, 2 * SPACING if thick else SPACING)
    count = lesions if lesions is not None else int(rng.choice([0, 1, 2, 3, 4], p=[0.2, 0.3, 0.25, 0.15, 0.1]))
    inner = (grid.zs[1], grid.zs[-2])
    volume = render(with_lesions(thorax, [sample_lesion(rng, thorax, inner) for _ in range(count)]), grid)
    return _scanned(_halved(volume) if thick else volume, rng, "chest")


def _grid(rng: np.random.Generator, depth: int, spacing: float) -> Grid:
    bottom = rng.uniform(-95, 105 - depth * spacing)
    return Grid(SIZE, PIXEL, tuple(float(bottom + spacing * k) for k in range(depth)))


def _halved(volume: Volume) -> Volume:
    """Thick slices as the job resamples them: every second slice of the network's space lies between two real ones."""
    hu = np.empty((2 * len(volume.hu) - 1, *volume.hu.shape[1:]), np.float32)
    hu[::2], hu[1::2] = volume.hu, (volume.hu[:-1] + volume.hu[1:]) / 2
    labels = np.empty(hu.shape, np.uint8)
    labels[::2] = volume.labels
    labels[1::2] = np.where(volume.labels[:-1] == volume.labels[1:], volume.labels[1:], volume.labels[:-1])
    zs = np.linspace(volume.grid.zs[0], volume.grid.zs[-1], len(hu))
    return Volume(hu, labels, Grid(volume.grid.size, volume.grid.pixel, tuple(map(float, zs))), volume.lesions)


def _scanned(volume: Volume, rng: np.random.Generator, kind: str) -> Slab:
    noise = float(np.exp(rng.uniform(np.log(4), np.log(45))))
    hu = scan(volume.hu, rng, noise=noise, blur=float(rng.uniform(0.2, 0.85)))
    return Slab(np.round(hu).astype(np.int16), volume.labels, tuple(volume.lesions), volume.grid.zs, kind)


def _made(job: tuple[int, int]) -> Slab:
    return make_slab(*job)


def make_set(part: int, count: int, cache: Path, workers: int = 2) -> list[Slab]:
    """`count` slabs of a set; rendered once and kept in `cache`."""
    path = cache / f"slabs-{part}-{count}.npz"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with multiprocessing.Pool(workers) as pool:
            slabs = pool.map(_made, [(part, k) for k in range(count)], chunksize=4)
        _write(path, slabs)
    return _read(path)


def _write(path: Path, slabs: Sequence[Slab]) -> None:
    arrays: dict[str, Any] = {}
    for k, slab in enumerate(slabs):
        arrays[f"hu{k}"], arrays[f"labels{k}"] = slab.hu, slab.labels
        arrays[f"about{k}"] = np.array([slab.lesions, slab.zs, slab.kind], dtype=object)
    np.savez(path, count=len(slabs), **arrays)


def _read(path: Path) -> list[Slab]:
    slabs = []
    with np.load(path, allow_pickle=True) as data:  # our own cache, written above
        for k in range(int(data["count"])):
            lesions, zs, kind = data[f"about{k}"]
            slabs.append(Slab(data[f"hu{k}"], data[f"labels{k}"], lesions, zs, kind))
    return slabs
