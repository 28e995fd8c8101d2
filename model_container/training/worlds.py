"""Boxes drawn on their own: a place in some lung, with a nodule or with what is mistaken for one.

No anatomy at all: walls of any curvature, tubes that fork, sheets, lumps. They widen what the network has seen beyond
the chests of `anatomy`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_container.engines.chest.crops import OUTSIDE, SHAPE, voxel_of

Rng = np.random.Generator
Values = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Box:
    """What the network gets, and what it should answer."""

    hu: NDArray[np.float32]
    mask: NDArray[np.float32]
    voxel: float
    spacing: float
    nodule: bool


def make_box(rng: Rng) -> Box:
    """One invented place."""
    nodule = bool(rng.random() < 0.45)
    diameter = float(np.exp(rng.uniform(math.log(3.8), math.log(42))))
    voxel = voxel_of(diameter * (float(rng.uniform(0.6, 1.6)) if nodule else 1.0))
    z, y, x = (((np.arange(n) - (n - 1) / 2) * voxel).astype(np.float32) for n in SHAPE)
    axes = list(np.meshgrid(z, y, x, indexing="ij", sparse=True))
    hu = np.full(SHAPE, rng.uniform(-940, -700), np.float32)
    hu += _cloud(rng, float(rng.uniform(0.7, 3))) * np.float32(rng.uniform(0, 45))
    hu += np.float32(rng.uniform(-2, 2)) * axes[1]
    wall = _wall(rng, axes, diameter, nodule)
    for _ in range(rng.poisson(3.0)):
        _tube(rng, hu, axes, voxel, diameter, _around(rng, 1.3 * diameter + 6), 0.35)
    if rng.random() < 0.15:
        _sheet(rng, hu, axes, voxel)
    if nodule:
        mask = _lesion(rng, hu, axes, voxel, diameter)
    else:
        mask = np.zeros(SHAPE, np.float32)
        _decoy(rng, hu, axes, voxel, diameter)
    if wall is not None:
        share = np.clip(0.5 - wall / voxel, 0, 1)
        hu += share * (_wall_hu(rng, wall) - hu)
        mask = mask * (wall > 0)
    spacing = float(rng.choice([1.25, 2.0, 2.5, 2.5, 3.0, 5.0]))
    hu, mask = _sliced(rng, hu, voxel, spacing), _sliced(None, mask, voxel, spacing, float(rng.random()))
    hu = np.clip(hu + _grain(rng), -1024, 3071)
    _cut_short(rng, hu, mask)
    return Box(hu.astype(np.float32), mask.astype(np.float32), voxel, spacing, nodule)


# ---------------------------------------------------------------- parts


def _cloud(rng: Rng, sigma: float) -> Values:
    """Smooth noise of unit variance."""
    noise = rng.standard_normal(SHAPE).astype(np.float32)
    taps = np.exp(-0.5 * (np.arange(-4, 5) / sigma) ** 2).astype(np.float32)
    for axis in range(3):
        pad = [(4, 4) if a == axis else (0, 0) for a in range(3)]
        wide = np.pad(noise, pad, mode="wrap")
        noise = sum(t * np.take(wide, range(k, k + SHAPE[axis]), axis) for k, t in enumerate(taps))
    return np.asarray(noise / max(float(noise.std()), 1e-3))


def _around(rng: Rng, reach: float) -> Values:
    return np.asarray(rng.uniform(-reach, reach, 3) * np.array([0.8, 1, 1]))


def _direction(rng: Rng) -> Values:
    v = rng.standard_normal(3)
    return np.asarray(v / np.linalg.norm(v))


def _wall(rng: Rng, axes: list[Values], diameter: float, nodule: bool) -> Values | None:
    """Distance to a wall, negative in it: flat, a hollow or a hump, smooth or wavy. None: there is none."""
    if rng.random() < 0.45:
        return None
    normal = _direction(rng) * np.array([0.5, 1, 1])
    normal /= np.linalg.norm(normal)
    gap = float(rng.uniform(-0.15, 1.4) if nodule else rng.uniform(-0.6, 1.6)) * diameter
    radius = float(np.exp(rng.uniform(math.log(12), math.log(150)))) + 0.6 * diameter
    kind = rng.choice(["plane", "hollow", "hump"], p=[0.3, 0.4, 0.3])
    flat = sum(n * a for n, a in zip(normal, axes, strict=True)) + gap
    if kind == "plane":
        out: Values = np.asarray(flat + np.zeros(SHAPE, np.float32))
    else:
        sign = 1.0 if kind == "hump" else -1.0
        centre = -normal * (gap + sign * radius)
        flatten = np.array([rng.uniform(0.2, 1.0), 1, 1])
        out = sign * (np.sqrt(sum(((a - c) * f) ** 2 for a, c, f in zip(axes, centre, flatten, strict=True))) - radius)
    if rng.random() < 0.5:
        for _ in range(3):
            k = rng.normal(0, 3.0 / max(diameter, 8), 3)
            wave = np.sin(sum(f * a for f, a in zip(k, axes, strict=True)) + rng.uniform(0, 6.3))
            out = out + float(rng.uniform(0, 0.07)) * diameter * wave
    return np.asarray(out, dtype=np.float32)


def _wall_hu(rng: Rng, wall: Values) -> Values:
    """Muscle, perhaps with fat before it and bone in it."""
    hu = np.full(wall.shape, rng.uniform(10, 80) if rng.random() < 0.7 else rng.uniform(80, 350), np.float32)
    if rng.random() < 0.4:
        hu[wall > -rng.uniform(1, 6)] = rng.uniform(-120, -40)
    if rng.random() < 0.4:
        depth = rng.uniform(4, 14)
        bone = (np.abs(wall + depth) < rng.uniform(2, 5)) & (_cloud(rng, 3.0) > rng.uniform(-1, 1))
        hu[bone] = rng.uniform(200, 900)
    return hu


def _capsule(axes: list[Values], start: Values, end: Values) -> Values:
    """Distance to the line between two points."""
    d = end - start
    length2 = max(float(d @ d), 1e-6)
    t = np.clip(sum((a - s) * v for a, s, v in zip(axes, start, d, strict=True)) / length2, 0, 1)
    return np.asarray(np.sqrt(sum((a - s - t * v) ** 2 for a, s, v in zip(axes, start, d, strict=True))))


def _stump(rng: Rng, hu: Values, axes: list[Values], voxel: float, diameter: float, tip: Values) -> None:
    """A straight vessel that ends here, bluntly, or a short rod: as wide as a nodule, but long."""
    radius = diameter * float(rng.uniform(0.15, 0.5))
    length = 60 * voxel if rng.random() < 0.7 else radius * float(rng.uniform(5, 10))
    way = _direction(rng)
    distance = _capsule(axes, tip - way * radius, tip - way * length)
    value = float(rng.uniform(20, 70) if rng.random() < 0.5 else rng.uniform(70, 420))
    hu += np.clip(0.5 - (distance - radius) / voxel, 0, 1) * min(1.0, 2 * radius / voxel) * (value - hu)


def _tube(
    rng: Rng, hu: Values, axes: list[Values], voxel: float, diameter: float, through: Values, widest: float
) -> None:
    """A vessel through a point, bent there; it may fork, be a bronchus, and it leaves the box."""
    radius = float(np.clip(np.exp(rng.normal(math.log(0.09 * diameter + 0.6), 0.6)), 0.5, max(widest * diameter, 1.0)))
    value = float(rng.uniform(20, 70) if rng.random() < 0.5 else rng.uniform(70, 420))
    ahead = _direction(rng)
    arms = [ahead, -ahead + rng.normal(0, 0.35, 3)]
    if rng.random() < 0.4:
        arms.append(ahead + rng.normal(0, 0.7, 3))
    hollow = rng.random() < 0.12
    for k, arm in enumerate(arms):
        thin = radius * (1.0 if k == 0 else float(rng.uniform(0.6, 1.0)))
        end = through + arm / np.linalg.norm(arm) * 60 * voxel
        distance = _capsule(axes, through, end)
        soft = voxel if thin > voxel / 2 else 2 * voxel
        share = np.clip(0.5 - (distance - thin) / soft, 0, 1) * min(1.0, 2 * thin / voxel)
        hu += share * (value - hu)
        if hollow and thin > 1:
            hu += np.clip(0.5 - (distance - 0.65 * thin) / voxel, 0, 1) * (-980 - hu)


def _sheet(rng: Rng, hu: Values, axes: list[Values], voxel: float) -> None:
    """A fissure or a band of collapsed lung."""
    normal, offset = _direction(rng), rng.uniform(-12, 12)
    distance = np.abs(sum(n * a for n, a in zip(normal, axes, strict=True)) + offset) - rng.uniform(0.3, 2.5)
    hu += np.clip(0.5 - distance / voxel, 0, 1) * (rng.uniform(-600, 30) - hu) * rng.uniform(0.4, 1.0)


def _lump(rng: Rng, axes: list[Values], centre: Values, radius: float) -> Values:
    if rng.random() < 0.15:  # a plain ball
        return np.asarray(np.sqrt(sum((a - c) ** 2 for a, c in zip(axes, centre, strict=True))) - radius, np.float32)
    stretch = np.exp(rng.normal(0, 0.16, 3))
    stretch /= np.prod(stretch) ** (1 / 3)
    d = [(a - c) / s for a, c, s in zip(axes, centre, stretch, strict=True)]
    r = np.sqrt(sum(v * v for v in d)) + 1e-3
    bumps = np.zeros(SHAPE, np.float32)
    for _ in range(4):
        k = rng.normal(0, 2.2, 3)
        bumps = bumps + 0.07 * np.sin(sum(f * v for f, v in zip(k, d, strict=True)) / r + rng.uniform(0, 6.3))
    return np.asarray(r - radius * (1 + bumps), dtype=np.float32)


def _lesion(rng: Rng, hu: Values, axes: list[Values], voxel: float, diameter: float) -> Values:
    """Draws a nodule or mass near the middle; returns its mask."""
    radius = diameter / 2
    centre = np.clip(rng.normal(0, 0.13, 3), -0.3, 0.3) * diameter
    if rng.random() < 0.25:
        _tube(rng, hu, axes, voxel, diameter, centre + _direction(rng) * radius * 0.8, 0.2)
    elif rng.random() < 0.1:
        _stump(rng, hu, axes, voxel, diameter * 0.4, centre + _direction(rng) * radius)
    distance = _lump(rng, axes, centre, radius)
    value = float(rng.uniform(-60, 120) if rng.random() < 0.85 else rng.uniform(120, 700))
    share = np.clip(0.5 - distance / voxel, 0, 1)
    texture = rng.random()
    if texture < 0.22 and diameter > 6:
        haze = float(rng.uniform(-500, -200))
        hu += share * np.maximum(haze - hu, 0)
        share = np.clip(0.5 - (distance + radius * rng.uniform(0.4, 0.7)) / voxel, 0, 1) * float(texture > 0.06)
    hu += share * (value - hu)
    if diameter > 12 and rng.random() < 0.2:
        hole = _lump(rng, axes, centre, radius * rng.uniform(0.2, 0.65))
        hu += np.clip(0.5 - hole / voxel, 0, 1) * (-950 - hu)
    if diameter > 8 and rng.random() < 0.35:
        for _ in range(int(rng.integers(4, 16))):
            ray = _direction(rng)
            far = centre + ray * radius * rng.uniform(1.1, 1.9)
            line = _capsule(axes, centre + ray * radius * 0.7, far) - rng.uniform(0.4, 1.2)
            hu += 0.8 * np.clip(0.5 - line / voxel, 0, 1) * min(1.0, 1.5 / voxel) * (value - hu)
    return np.asarray(distance < 0, dtype=np.float32)


def _decoy(rng: Rng, hu: Values, axes: list[Values], voxel: float, diameter: float) -> None:
    """What is mistaken for a nodule: a vessel, a fork, a blunt end, a nodule elsewhere, a crossing, or nothing."""
    kinds = ["vessel", "wide vessel", "stump", "crossing", "beside", "nothing"]
    kind = rng.choice(kinds, p=[0.35, 0.2, 0.15, 0.08, 0.12, 0.1])
    middle = rng.normal(0, 0.1, 3) * diameter
    if kind == "vessel":
        _tube(rng, hu, axes, voxel, diameter, middle, 0.4)
    elif kind == "wide vessel":
        _tube(rng, hu, axes, voxel, 4 * diameter, middle, 0.125)
    elif kind == "stump":
        for _ in range(int(rng.integers(1, 3))):
            _stump(rng, hu, axes, voxel, diameter, middle + _around(rng, 0.3 * diameter))
    elif kind == "crossing":
        _sheet(rng, hu, axes, voxel)
        _tube(rng, hu, axes, voxel, diameter, middle, 0.4)
        _tube(rng, hu, axes, voxel, diameter, middle, 0.4)
    elif kind == "beside":
        size = diameter * float(rng.uniform(0.5, 1.5))
        away = _direction(rng) * (diameter + size) * rng.uniform(0.6, 0.9)
        _lesion(rng, hu, [a - v for a, v in zip(axes, away, strict=True)], voxel, size)


# ---------------------------------------------------------------- the scanner


def _sliced(rng: Rng | None, box: Values, voxel: float, spacing: float, phase: float = 0.5) -> Values:
    """The box as slices of this spacing show it, and as it looks when it is cut out of them again."""
    if spacing <= voxel:
        return box
    phase = float(rng.random()) if rng is not None else phase
    z = (np.arange(SHAPE[0]) - (SHAPE[0] - 1) / 2) * voxel
    slices = np.arange(z[0] - spacing, z[-1] + 2 * spacing, spacing) + phase * spacing
    mixed = np.maximum(0, 1 - np.abs(z[None] - slices[:, None]) / max(spacing * 0.7, voxel)) + 1e-9
    mixed /= mixed.sum(1, keepdims=True)
    back = np.maximum(0, 1 - np.abs(z[:, None] - slices[None]) / spacing)
    weights = (back / back.sum(1, keepdims=True)) @ mixed
    return np.asarray(np.tensordot(weights.astype(np.float32), box, axes=(1, 0)))


def _grain(rng: Rng) -> Values:
    amount = float(np.exp(rng.uniform(math.log(2), math.log(60))))
    return _cloud(rng, float(rng.uniform(0.3, 1.2))) * np.float32(amount)


def _cut_short(rng: Rng, hu: Values, mask: Values) -> None:
    """Often the first or last slice of a series is near."""
    if rng.random() < 0.3:
        count = int(rng.integers(1, 11))
        end = slice(0, count) if rng.random() < 0.5 else slice(SHAPE[0] - count, None)
        hu[end], mask[end] = OUTSIDE, 0
