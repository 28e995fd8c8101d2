"""From slabs to what the network learns: boxes around every spot of the first stage, and around every true lesion."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from model_container.engines.chest.candidates import Level, find_lungs, find_spots, to_scene
from model_container.engines.chest.crops import OUTSIDE, SHAPE, voxel_of
from model_container.phantoms.shapes import NODULE
from model_container.training.slabs import TRAINING, Slab, make_slab
from model_container.training.worlds import Box, make_box

WORLD = 44  # first part of the seeds of boxes that are drawn on their own


@dataclass(frozen=True)
class Example:
    """A place in a slab: where, how wide, and whether a nodule lies there (None: neither yes nor no)."""

    slab: int
    at: NDArray[np.float64]
    diameter: float
    nodule: bool


@dataclass(frozen=True)
class Seen:
    """A slab as the job sees it: per level densities and the share of nodule (in percent), and its examples."""

    levels: tuple[tuple[Level, NDArray[np.uint8]], ...]
    spacing: float
    examples: list[tuple[NDArray[np.float64], float, bool]]
    lesions: list[tuple[NDArray[np.float64], float]]


def see(slab: Slab) -> Seen:
    """Runs the first stage on a slab and tells its spots by the truth."""
    volume = slab.volume()
    scene = to_scene(volume)
    truth = to_scene(replace(volume, hu=((slab.labels == NODULE) * 100).astype(np.int16)))
    levels = tuple(
        (Level(level.hu.astype(np.int16), level.step, level.first), marks.hu.astype(np.uint8))
        for level, marks in zip(scene.levels, truth.levels, strict=True)
    )
    lesions = [(slab.in_scene(lesion), lesion.diameter) for lesion in slab.lesions]
    examples = []
    for spot in find_spots(scene, find_lungs(scene)):
        at = np.array(spot.at)
        verdict = judge(at, spot.diameter, lesions)
        if verdict is not None:
            examples.append((at, spot.diameter, verdict))
    return Seen(levels, volume.spacing, examples, lesions)


def judge(
    at: NDArray[np.float64], diameter: float, lesions: Sequence[tuple[NDArray[np.float64], float]]
) -> bool | None:
    """Whether a spot is a lesion; None where it overlaps one but is not centred on it or has another size."""
    verdict: bool | None = False
    for centre, size in lesions:
        gap = float(np.linalg.norm(at - centre))
        if gap < 0.35 * size + 1 and 0.45 < diameter / size < 2.2:
            return True
        if gap < 0.6 * (size + diameter):
            verdict = None
    return verdict


def _see(index: int) -> Seen:
    torch.set_num_threads(1)
    return see(make_slab(TRAINING, index))


def _world(index: int) -> Box:
    return make_box(np.random.default_rng([WORLD, index]))


class Samples:
    """Batches: places of slabs, turned, shifted and scaled anew each time, and boxes of the drawn worlds."""

    def __init__(self, slabs: int, worlds: int, rng: np.random.Generator, workers: int = 2) -> None:
        os.environ["OMP_NUM_THREADS"] = "1"
        with ProcessPoolExecutor(workers) as pool:
            self.seen = list(pool.map(_see, range(slabs), chunksize=2))
            self.worlds = list(pool.map(_world, range(worlds), chunksize=20))
        self.rng = rng
        every = [Example(k, *e) for k, seen in enumerate(self.seen) for e in seen.examples]
        self.hits = [e for e in every if e.nodule]
        self.others = [e for e in every if not e.nodule]
        self.true = [Example(k, at, size, True) for k, seen in enumerate(self.seen) for at, size in seen.lesions]
        self.worry = np.full(len(self.others), 0.5)  # how much each of the others was taken for a nodule last time

    def batch(self, hits: int, true: int, others: int, worlds: int) -> tuple[list[Tensor], NDArray[np.intp]]:
        """[boxes, about, masks, labels], and which of `others` stand at `hits + true` and after."""
        rng = self.rng
        shares = self.worry + 0.03
        hard = rng.choice(len(self.others), others, p=shares / shares.sum())
        chosen = [self.hits[int(k)] for k in rng.integers(0, len(self.hits), hits)]
        parts = [self._place(e, 0.08) for e in chosen]
        parts += [self._place(self.true[int(k)], 0.22) for k in rng.integers(0, len(self.true), true)]
        parts += [self._place(self.others[int(k)], 0.08) for k in hard]
        parts += [self._drawn(self.worlds[int(k)]) for k in rng.integers(0, len(self.worlds), worlds)]
        return [torch.stack(column) for column in zip(*parts, strict=True)], hard

    def _place(self, example: Example, jitter: float) -> tuple[Tensor, ...]:
        rng, seen = self.rng, self.seen[example.slab]
        width = example.diameter * float(np.exp(rng.normal(0, jitter * 1.2)))
        voxel = voxel_of(width)
        at = example.at + np.clip(rng.normal(0, jitter, 3), -0.35, 0.35) * example.diameter
        level, marks = seen.levels[0 if voxel < 2 else 1 if voxel < 4 else 2]
        box, mask = _turned(level, marks, at, voxel * np.exp(rng.normal(0, 0.06, 3)), _turn(rng))
        return self._finish(box, mask, voxel, seen.spacing, example.nodule)

    def _drawn(self, box: Box) -> tuple[Tensor, ...]:
        hu, mask = torch.from_numpy(box.hu), torch.from_numpy(box.mask)
        flips = [axis for axis in range(3) if self.rng.random() < 0.5]
        hu, mask = hu.flip(flips), mask.flip(flips)
        if self.rng.random() < 0.5:
            hu, mask = hu.transpose(1, 2), mask.transpose(1, 2)
        return self._finish(hu, mask, box.voxel, box.spacing, box.nodule)

    def _finish(self, hu: Tensor, mask: Tensor, voxel: float, spacing: float, nodule: bool) -> tuple[Tensor, ...]:
        rng = self.rng
        gone = hu < OUTSIDE / 2 - 100
        grain = torch.from_numpy(rng.standard_normal(SHAPE, np.float32)) * float(rng.uniform(0, 15))
        hu = (hu + 1000) * float(rng.normal(1, 0.02)) - 1000 + float(rng.normal(0, 15)) + grain
        return (
            torch.where(gone, OUTSIDE, hu.clamp(-1024, 3071)), torch.tensor([voxel, spacing], dtype=torch.float32),
            mask, torch.tensor(float(nodule)),
        )  # fmt: skip


def _turn(rng: np.random.Generator) -> NDArray[np.float64]:
    """Flips, a turn within the slices, and often a small tilt."""
    turn = np.diag(rng.choice([-1.0, 1.0], 3))
    if rng.random() < 0.7:
        for (a, b), angle in (((1, 2), rng.uniform(0, 2 * np.pi)), ((0, 1), rng.normal(0, 0.12))):
            one = np.eye(3)
            one[a, a] = one[b, b] = np.cos(angle)
            one[a, b], one[b, a] = -np.sin(angle), np.sin(angle)
            turn = turn @ one
    return turn


def _turned(
    level: Level,
    marks: NDArray[np.uint8],
    at: NDArray[np.float64],
    voxel: NDArray[np.float64],
    turn: NDArray[np.float64],
) -> tuple[Tensor, Tensor]:
    """The box around a place, in any direction."""
    axes = [(torch.arange(n) - (n - 1) / 2) * float(v) for n, v in zip(SHAPE, voxel, strict=True)]
    offsets = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1) @ torch.from_numpy(turn.T.astype(np.float32))
    step = torch.from_numpy(level.step.astype(np.float32))
    index = offsets / step + torch.from_numpy(((at - level.first) / level.step).astype(np.float32))
    size = torch.tensor(level.hu.shape)
    gone = ((index < -0.5) | (index > size - 0.5)).any(-1)
    low = np.clip(np.floor(index.amin((0, 1, 2)).numpy()), 0, np.array(level.hu.shape) - 2).astype(int)
    high = np.clip(np.ceil(index.amax((0, 1, 2)).numpy()) + 2, low + 2, level.hu.shape).astype(int)
    window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    both = torch.from_numpy(np.stack([level.hu[window].astype(np.float32), marks[window].astype(np.float32) / 100]))
    extent = torch.from_numpy((high - low - 1).astype(np.float32))
    grid = ((index - torch.from_numpy(low.astype(np.float32))) / extent * 2 - 1).flip(-1)
    out = functional.grid_sample(both[None], grid[None], padding_mode="border", align_corners=True)[0]
    return torch.where(gone, OUTSIDE, out[0]), torch.where(gone, 0.0, out[1])
