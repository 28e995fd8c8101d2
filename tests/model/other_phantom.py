"""Chests drawn another way than `phantoms` draws them, to see what the model learnt beyond those.

Everything here is made of voxels: organs are warped solids, vessels are the tracks of wandering balls, lesions are
clusters of balls, and noise has the spectrum of filtered back projection. The training never sees any of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from model_container.images.volume import Volume


@dataclass(frozen=True)
class OtherLesion:
    """What was drawn: the centre as (slice, row, column), and the diameter of a ball of the same volume, in mm."""

    centre: tuple[float, float, float]
    diameter: float


def draw(
    seed: int,
    diameters: Sequence[float] = (),
    *,
    kind: str = "free",
    pixel: float = 1.1,
    spacing: float = 2.5,
    slices: int = 24,
    noise: float = 18.0,
    contrast: bool = True,
) -> tuple[Volume, list[OtherLesion]]:
    """An invented chest with lesions of these diameters: free in the lung, or on its wall."""
    rng = np.random.default_rng([seed, 77])
    size = int(380 / pixel)
    axis = (np.arange(size) - size / 2) * pixel
    z = ((np.arange(slices) - slices / 2) * spacing)[:, None, None]
    y, x = axis[None, :, None] + _sway(rng, slices, size, 7), axis[None, None, :] + _sway(rng, slices, size, 7)
    a, b = rng.uniform(150, 172), rng.uniform(100, 122)
    hu = np.full((slices, size, size), -1000.0, np.float32)
    body = (np.abs(x) / a) ** 2.3 + (np.abs(y) / b) ** 2.3
    hu[body < 1] = -105
    hu[body < 0.86] = 48
    lungs = _lungs(rng, x, y, z, a, b)
    _skeleton(rng, hu, x, y, z, a, b, body, lungs)
    blood = rng.uniform(150, 320) if contrast else 42.0
    hu[_ball(x, y, z, (18, -18, -60), (52, 40, 62)) & ~lungs] = blood  # the heart
    hu[_ball(x, y, z, (22, b * 0.42, 0), (12, 12, 999)) & ~lungs] = blood  # the aorta
    level = rng.uniform(-890, -790)
    hu[lungs] = level + (y + 0 * hu)[lungs] * 0.4 + 12 * _sway(rng, slices, size, 1, cells=40)[lungs]
    _vessels(rng, hu, lungs, pixel, spacing, blood)
    lesions = []
    for diameter in diameters:
        lesions.append(_lesion(rng, hu, lungs, diameter, kind, pixel, spacing, lesions))
    hu[_ball(x, y, z, (0, 0, 60), (8, 9, 50))] = -995  # the trachea
    hu[:, int(size * 0.93) : int(size * 0.93) + 3] = 90  # the table
    out = np.stack([_scanned(rng, plane, noise, pixel) for plane in hu])
    positions = np.array([[0.0, 0.0, k * spacing] for k in range(slices)])
    volume = Volume(
        np.clip(np.round(out), -1024, 3071).astype(np.int16), positions, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]),
        (pixel, pixel), spacing, (), (1,) * slices,
    )  # fmt: skip
    return volume, lesions


def _sway(rng, slices, size, amount, cells=4):
    """A smooth random field of this many mm (or HU)."""
    coarse = rng.standard_normal((3, cells, cells)).astype(np.float32) * amount
    planes = [np.asarray(Image.fromarray(c).resize((size, size), Image.Resampling.BICUBIC)) for c in coarse]
    t = np.linspace(0, 2, slices)
    return np.stack(
        [
            planes[min(int(v), 1)] * (1 - v + min(int(v), 1)) + planes[min(int(v), 1) + 1] * (v - min(int(v), 1))
            for v in t
        ]
    )


def _ball(x, y, z, centre, radii):
    return sum(((v - c) / r) ** 2 for v, c, r in zip((x, y, z), centre, radii, strict=True)) < 1


def _lungs(rng, x, y, z, a, b):
    out = np.zeros(np.broadcast_shapes(x.shape, y.shape, z.shape), bool)
    for side in (-1, 1):
        middle = (side * a * rng.uniform(0.42, 0.47), rng.uniform(-4, 6), rng.uniform(-20, 20))
        out |= _ball(x, y, z, middle, (a * 0.37, b * rng.uniform(0.68, 0.74), 150))
    spine = _ball(x, y, z, (0, b * 0.55, 0), (26, 30, 999))
    heart = _ball(x, y, z, (18, -18, -60), (58, 46, 66))
    return out & ~spine & ~heart & (np.abs(x) > 16)


def _skeleton(rng, hu, x, y, z, a, b, body, lungs):
    turn = np.arctan2(np.abs(x), -y)
    rib = (body > 0.62) & (body < 0.74) & (np.sin((z + 30 * turn) / 4.2) > 0.35) & ~lungs
    hu[rib] = rng.uniform(250, 500)
    hu[_ball(x, y, z, (0, b * 0.6, 0), (17, 15, 999))] = rng.uniform(160, 300)
    hu[_ball(x, y, z, (0, b * 0.82, 0), (5, 14, 999))] = 350


def _vessels(rng, hu, lungs, pixel, spacing, blood):
    """Balls wander from near the middle outwards and shrink on the way."""
    scale = np.array([spacing, pixel, pixel])
    places = np.argwhere(lungs)
    middle = np.array(hu.shape) / 2
    inner = places[np.abs(places[:, 2] - middle[2]) * pixel < 75]
    for _ in range(70):
        at = inner[rng.integers(len(inner))] * scale
        radius = rng.uniform(1.2, 4.0)
        course = rng.standard_normal(3) + np.array([0, 0, 1.5 * np.sign(at[2] / pixel - middle[2])])
        while radius > 0.7:
            course = course / np.linalg.norm(course) + rng.normal(0, 0.16, 3)
            at = at + course / np.linalg.norm(course) * 1.3
            radius *= 0.988
            _stamp(hu, lungs, at, radius, blood, pixel, spacing)


def _stamp(hu, lungs, at, radius, value, pixel, spacing):
    scale = np.array([spacing, pixel, pixel])
    low = np.maximum(0, np.floor((at - radius - scale) / scale)).astype(int)
    high = np.minimum(hu.shape, np.ceil((at + radius + scale) / scale).astype(int) + 1)
    if (low >= high).any():
        return
    box = tuple(slice(p, q) for p, q in zip(low, high, strict=True))
    grid = np.stack(np.meshgrid(*(np.arange(p, q) for p, q in zip(low, high, strict=True)), indexing="ij"), -1) * scale
    share = np.clip(0.5 - (np.linalg.norm(grid - at, axis=-1) - radius) / max(pixel, 1.0), 0, 1) * lungs[box]
    hu[box] = np.maximum(hu[box], hu[box] + share * (value - hu[box]))


def _lesion(rng, hu, lungs, diameter, kind, pixel, spacing, others):
    """A cluster of balls: in the lung with lung all around, or partly in its wall."""
    scale = np.array([spacing, pixel, pixel])
    places = np.argwhere(lungs)
    ball = rng.standard_normal((400, 3))
    ball *= (rng.random(400) ** (1 / 3) / np.linalg.norm(ball, axis=1))[:, None]
    low, high = (0.98, 1.01) if kind == "free" else (0.6, 0.85)
    for _ in range(4000):
        at = places[rng.integers(len(places))] * scale
        around = np.round((at + ball * (diameter / 2 + 2 * (kind == "free"))) / scale).astype(int)
        if (around < 0).any() or (around >= hu.shape).any():
            continue
        apart = all(np.linalg.norm(at - np.array(o.centre) * scale) > diameter + o.diameter for o in others)
        if apart and low <= lungs[tuple(around.T)].mean() <= high:
            break
    else:
        raise ValueError("no room for this lesion")
    parts = [(at + rng.normal(0, 0.13, 3) * diameter, rng.uniform(0.32, 0.46) * diameter) for _ in range(7)]
    value = rng.uniform(20, 70)
    for centre, radius in [(at, 0.4 * diameter), *parts]:
        _stamp(hu, lungs, centre, radius, value, pixel, spacing)
    return OtherLesion(tuple(at / scale), diameter)


def _scanned(rng, plane, noise, pixel):
    """Blur of the kernel, and noise that grows with the frequency before it falls."""
    fy, fx = np.fft.fftfreq(plane.shape[0], pixel)[:, None], np.fft.rfftfreq(plane.shape[1], pixel)[None]
    f = np.hypot(fx, fy)
    kernel = np.exp(-((f / 0.42) ** 2))
    grain = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(plane.shape)) * f * kernel, plane.shape)
    return np.fft.irfft2(np.fft.rfft2(plane) * kernel, plane.shape) + grain * (noise / grain.std())
