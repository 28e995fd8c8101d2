"""Lesions: how large they are, where in the lung they lie, and how they are drawn."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from model_container.phantoms.shapes import NODULE, Field, Grid, Lesion, Rng, capsule, cover, window_of
from model_container.phantoms.thorax import Thorax, cavity_at, fluid_level, lung_distance, point_of


def sample_lesion(rng: Rng, thorax: Thorax, z_range: tuple[float, float], diameter: float | None = None) -> Lesion:
    """A lesion of 4 to 40 mm in a lung: free, on a vessel or on the wall; smooth or spiculated; solid or not."""
    size = float(diameter if diameter is not None else np.exp(rng.uniform(math.log(4), math.log(40))))
    centre = _place(rng, thorax, z_range, size)
    texture = str(rng.choice(["solid", "part-solid", "ground-glass"], p=[0.72, 0.2, 0.08]))
    if size < 6:
        texture = "solid"
    return Lesion(
        centre=centre,
        diameter=size,
        texture=texture,
        hu=float(rng.uniform(-20, 110) if rng.random() < 0.9 else rng.uniform(150, 500)),
        spicules=int(rng.integers(5, 22)) if size > 9 and rng.random() < 0.45 else 0,
        cavity=float(rng.uniform(0.2, 0.6)) if size > 14 and rng.random() < 0.2 else 0.0,
        seed=int(rng.integers(1 << 31)),
    )


def sample_clear_lesions(
    rng: Rng, thorax: Thorax, z_range: tuple[float, float], diameters: Iterable[float]
) -> list[Lesion]:
    """Solid lesions with lung all around, apart from one another and from fluid: what nobody should miss."""
    clear: list[Lesion] = []
    for diameter in diameters:
        for _ in range(200):
            lesion = sample_lesion(rng, thorax, z_range, diameter=diameter)
            lesion = replace(lesion, texture="solid", hu=45.0, cavity=0.0)
            apart = all(math.dist(lesion.centre, k.centre) > (diameter + k.diameter) / 2 + 8 for k in clear)
            if (
                apart
                and _in_lung(thorax, *lesion.centre, diameter / 2)
                and not _drowned(thorax, lesion.centre, diameter)
            ):
                break
        clear.append(lesion)
    return clear


def _drowned(thorax: Thorax, centre: tuple[float, float, float], diameter: float) -> bool:
    """Whether a lesion would lie in the fluid behind a lung."""
    x, y, z = centre
    return thorax.effusion > 0 and x * thorax.effusion_side > 0 and y > fluid_level(thorax, z) - diameter / 2


def _place(rng: Rng, thorax: Thorax, z_range: tuple[float, float], size: float) -> tuple[float, float, float]:
    manner = rng.choice(["free", "wall", "vessel"], p=[0.55, 0.25, 0.2])
    for _ in range(200):
        z = float(rng.uniform(*z_range))
        a, b = cavity_at(thorax, z)
        if a < 25:
            continue
        if manner == "vessel" and thorax.tubes:
            tube = thorax.tubes[int(rng.integers(len(thorax.tubes)))]
            x, y, z = tube.end
            if not z_range[0] <= z <= z_range[1]:
                continue
        else:
            angle = rng.uniform(0, 2 * math.pi)
            reach = rng.uniform(0.9, 0.99) if manner == "wall" else math.sqrt(rng.uniform(0.1, 0.8))
            x, y = a * reach * math.cos(angle), b * reach * math.sin(angle)
        if not _drowned(thorax, (x, y, z), size) and _in_lung(thorax, x, y, z, margin=min(2.0, size / 4)):
            return (x, y, z)
    return (0.55 * a, 0.3 * b, z)


def _in_lung(thorax: Thorax, x: float, y: float, z: float, margin: float) -> bool:
    point = (np.full((1, 1), x, np.float32), np.full((1, 1), y, np.float32))
    return float(lung_distance(thorax, *point, z)[0, 0]) < -margin


def draw_lesion(
    hu: Field, labels: NDArray[np.uint8], lungs: Field, lesion: Lesion, grid: Grid, thickness: float
) -> bool:
    """Draws one lesion into the lungs; False where the slices miss it."""
    radius = lesion.diameter / 2
    reach = radius * (2.2 if lesion.spicules else 1.5) + thickness
    window = window_of(grid, tuple(c - reach for c in lesion.centre), tuple(c + reach for c in lesion.centre))
    if window is None:
        return False
    zz, yy, xx, z, y, x = window
    rng = np.random.default_rng(lesion.seed)
    distance = _lump(rng, x, y, z, lesion)
    edge = max(grid.pixel, 0.9) + 0.25 * thickness
    part, inside = hu[zz, yy, xx], lungs[zz, yy, xx]
    share = cover(distance, edge)
    if lesion.texture != "solid":
        haze = -450.0 + 250.0 * rng.random()
        part = part + share * inside * np.maximum(haze - part, 0)
        share = cover(distance + radius * (0.55 if lesion.texture == "part-solid" else 9.0), edge)
    part = part + share * inside * (lesion.hu - part)
    if lesion.cavity:
        hole = _lump(rng, x, y, z, lesion, scale=lesion.cavity)
        part = part + cover(hole, edge) * inside * (-950.0 - part)
    for _ in range(lesion.spicules):
        direction = rng.normal(0, 1, 3)
        direction /= np.linalg.norm(direction)
        base = np.array(lesion.centre) + direction * radius * 0.7
        tip = base + direction * radius * rng.uniform(0.4, 1.3)
        ray = capsule(x, y, z, point_of(base), point_of(tip), rng.uniform(0.4, 1.1), grid.pixel, thickness)
        part = part + 0.8 * ray * inside * (lesion.hu - part)
    hu[zz, yy, xx] = part
    mark = labels[zz, yy, xx]
    visible = (distance < 0) & (inside > 0.5)
    mark[visible] = NODULE
    return bool(visible.any())


def _lump(rng: Rng, x: Field, y: Field, z: Field, lesion: Lesion, scale: float = 1.0) -> Field:
    """Distance to a bumpy ellipsoid's edge."""
    cx, cy, cz = lesion.centre
    radius = lesion.diameter / 2 * scale
    stretch = np.exp(rng.normal(0, 0.13, 3))
    stretch /= np.prod(stretch) ** (1 / 3)
    dx, dy, dz = (x - cx) / stretch[0], (y - cy) / stretch[1], (z - cz) / stretch[2]
    r = np.sqrt(dx * dx + dy * dy + dz * dz) + 1e-3
    bumps = np.zeros_like(r)
    for _ in range(5):
        k = rng.normal(0, 2.2, 3)
        bumps = bumps + 0.07 * np.sin((dx * k[0] + dy * k[1] + dz * k[2]) / r + rng.uniform(0, 6.3))
    return np.asarray(r - radius * (1 + bumps), dtype=np.float32)
