"""Training and test slabs: phantoms as scanners of many kinds would show them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model_container.images.volume import Volume
from model_container.phantoms.anatomy import render, scan
from model_container.phantoms.lesions import sample_lesion
from model_container.phantoms.shapes import Grid, Lesion
from model_container.phantoms.thorax import sample_thorax, with_lesions

TRAINING, TUNING, HELD_OUT = 11, 22, 33  # first part of every seed: the three sets share no phantom
_SPACINGS = (1.0, 1.25, 1.5, 2.0, 2.5, 2.5, 2.5, 3.0, 5.0)
_MARGIN = 24.0  # mm by which a chest may lie beside the picture's centre


@dataclass(frozen=True)
class Slab:
    """A scanned phantom with its truth."""

    hu: NDArray[np.int16]  # [slice, row, column]
    labels: NDArray[np.uint8]
    lesions: tuple[Lesion, ...]
    zs: tuple[float, ...]
    pixel: float
    corner: tuple[float, float]  # x and y of the first pixel

    def volume(self) -> Volume:
        """As the job would have read it from files."""
        positions = np.array([[*self.corner, z] for z in self.zs])
        count = len(self.hu)
        return Volume(
            self.hu, positions, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (self.pixel, self.pixel),
            self.zs[1] - self.zs[0], (), (1,) * count,
        )  # fmt: skip

    def in_scene(self, lesion: Lesion) -> NDArray[np.float64]:
        """The lesion's centre in the scene: mm from the first voxel, as (slice, row, column)."""
        x, y, z = lesion.centre
        return np.array([z - self.zs[0], y - self.corner[1], x - self.corner[0]])


def make_slab(part: int, index: int) -> Slab:
    """Slab `index` of a set."""
    rng = np.random.default_rng([part, index])
    thorax = sample_thorax(rng)
    pixel = float(rng.uniform(0.7, 1.0) if rng.random() < 0.2 else rng.uniform(1.0, 1.5))
    spacing = float(rng.choice(_SPACINGS))
    depth = int(np.clip(round(rng.uniform(26, 50) / spacing), 8, 22))
    bottom = rng.uniform(-95, 105 - depth * spacing)
    zs = tuple(float(bottom + spacing * k) for k in range(depth))
    size = 16 * math.ceil((2 * thorax.half_width * rng.uniform(0.96, 1.15) + 2 * _MARGIN) / pixel / 16)
    few = int(rng.choice([0, 1, 2, 3, 4], p=[0.2, 0.3, 0.25, 0.15, 0.1]))
    count = int(rng.integers(5, 12)) if part == TRAINING else few
    inner = (zs[1], zs[-2])
    lesions = _apart([sample_lesion(rng, thorax, inner) for _ in range(count)])
    volume = render(with_lesions(thorax, lesions), Grid(size, pixel, zs))
    cut = int(_MARGIN / pixel)
    top, left = (int(v) for v in rng.integers(0, 2 * cut + 1, 2))
    hu = _scanned(volume.hu[:, top : top + size - 2 * cut, left : left + size - 2 * cut], rng, pixel)
    labels = volume.labels[:, top : top + size - 2 * cut, left : left + size - 2 * cut]
    corner = -(size - 1) / 2 * pixel
    return Slab(
        np.round(hu).astype(np.int16), labels, tuple(volume.lesions), zs, pixel,
        (corner + left * pixel, corner + top * pixel),
    )  # fmt: skip


def _apart(lesions: list[Lesion]) -> list[Lesion]:
    """Lesions that do not touch one another: two that do are one."""
    kept: list[Lesion] = []
    for lesion in lesions:
        gaps = [math.dist(lesion.centre, k.centre) - (lesion.diameter + k.diameter) / 2 for k in kept]
        if min(gaps, default=99.0) > 6:
            kept.append(lesion)
    return kept


def _scanned(hu: NDArray[np.floating], rng: np.random.Generator, pixel: float) -> NDArray[np.floating]:
    """Noise, sharpness and calibration of a scanner of any kind."""
    noise = float(np.exp(rng.uniform(np.log(4), np.log(50))))
    out = scan(hu, rng, noise=noise, blur=float(rng.uniform(0.25, 0.9)) / pixel)
    if rng.random() < 0.3:  # a sharp kernel: edges overshoot, noise grows
        soft = scan(out, rng, noise=0.0, blur=1.1)
        out = out + float(rng.uniform(0.3, 1.0)) * (out - soft)
    out = (out + 1000) * float(rng.uniform(0.97, 1.03)) - 1000 + float(rng.normal(0, 8))
    return np.clip(out, -1024, 3071)
