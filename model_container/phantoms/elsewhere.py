"""What is not a chest: a head, an abdomen, legs and a bottle, for the model to refuse."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from model_container.phantoms.shapes import Field, Grid, Rng, Volume, ellipse, paint


def _head(rng: Rng, x: Field, y: Field, z: float) -> Field:
    a, b = 75 + rng.uniform(-6, 8), 92 + rng.uniform(-8, 8)
    hu = np.full_like(x, -1000.0)
    for distance, value in ((0.0, 20.0), (5.0, 1100.0), (12.0, 35.0)):
        paint(hu, ellipse(x, y, 0, 0, a, b, 2.2) + distance, value, 1.2)
    for side in (-1, 1):
        paint(hu, ellipse(x, y, side * 12, 5, 7, 24), 8.0, 2.0)
        if z < -20:
            paint(hu, ellipse(x, y, side * 24, -55, 15, 14), -990.0, 1.2)  # sinuses
    return hu


def _abdomen(rng: Rng, x: Field, y: Field, z: float) -> Field:
    a, b = 165 + rng.uniform(-20, 25), 112 + rng.uniform(-15, 20)
    hu = np.full_like(x, -1000.0)
    paint(hu, ellipse(x, y, 0, 0, a, b, 2.5), -100.0, 1.5)
    paint(hu, ellipse(x, y, 0, 0, a - 25, b - 20, 2.3), 50.0, 1.5)
    paint(hu, ellipse(x, y, 0, 5, a - 40, b - 35, 2.2), -90.0, 1.5)
    paint(hu, ellipse(x, y, -65, -5, 60, 62), 70.0, 1.5)
    for _ in range(9):
        cx, cy, r = rng.uniform(-100, 100), rng.uniform(-70, 40), rng.uniform(8, 26)
        paint(hu, ellipse(x, y, cx, cy, r + 3, r + 2), 40.0, 1.5)
        paint(hu, ellipse(x, y, cx, cy, r, r * 0.8), float(rng.choice([-990.0, 15.0, 200.0])), 1.5)
    paint(hu, ellipse(x, y, 0, 62, 20, 17), 300.0, 1.5)
    return hu


def _legs(rng: Rng, x: Field, y: Field, z: float) -> Field:
    hu = np.full_like(x, -1000.0)
    for side in (-1, 1):
        for r, value in ((75.0, -100.0), (62.0, 55.0), (16.0, 1000.0), (9.0, -40.0)):
            paint(hu, ellipse(x, y, side * 85, 0, r, r), value, 1.5)
    return hu


def _bottle(rng: Rng, x: Field, y: Field, z: float) -> Field:
    hu = np.full_like(x, -1000.0)
    paint(hu, ellipse(x, y, 0, 0, 110, 110), 100.0, 1.5)
    paint(hu, ellipse(x, y, 0, 0, 106, 106), 0.0, 1.5)
    for _ in range(4):
        paint(hu, ellipse(x, y, rng.uniform(-60, 60), rng.uniform(-60, 60), 12, 12), rng.uniform(-900, 900), 1.5)
    return hu


ELSEWHERE: dict[str, Callable[[Rng, Field, Field, float], Field]] = {
    "head": _head, "abdomen": _abdomen, "legs": _legs, "bottle": _bottle,
}  # fmt: skip


def render_elsewhere(kind: str, seed: int, grid: Grid) -> Volume:
    """A region that the model must not score: head, abdomen, legs or a calibration bottle."""
    axis = grid.axis()
    x, y = (c.astype(np.float32) for c in np.meshgrid(axis, axis))
    hu = np.stack([ELSEWHERE[kind](np.random.default_rng(seed), x, y, z) for z in grid.zs])
    return Volume(hu, np.zeros(hu.shape, np.uint8), grid)
