"""A thorax as numbers: its organs, its vessels, its lesions; and the distances that its organs are drawn by."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from model_container.phantoms.shapes import Field, Lesion, Rng, ellipse

BACK = 12.0  # mm by which the back is thicker than the front: spine and its muscles


@dataclass(frozen=True)
class Tube:
    """A capsule between two points: a piece of a vessel, a bronchus or a scar."""

    start: tuple[float, float, float]
    end: tuple[float, float, float]
    radius: float
    hu: float


@dataclass(frozen=True)
class Thorax:
    """One invented chest. Lengths in mm, densities in HU."""

    half_width: float = 178.0
    half_depth: float = 128.0
    squareness: float = 2.5
    fat: float = 16.0
    wall: float = 32.0
    vessel_hu: float = 180.0
    soft_hu: float = 45.0
    lung_hu: float = -870.0
    lung_gradient: float = 50.0
    heart: float = 1.0
    mediastinal_fat: float = 5.0
    waist: float = 20.0  # half the width of what lies between the lungs behind the heart
    aorta: tuple[float, float, float] = (22.0, 20.0, 12.0)  # descending: to the left, before the spine, radius
    scapulae: bool = True
    arms: bool = False
    table: float = 14.0  # gap under the back; negative: no table
    effusion: float = 0.0  # height of fluid behind the lung
    effusion_side: int = 1
    emphysema: float = 0.0
    texture: float = 18.0
    dome: float = -78.0
    cortex_hu: float = 620.0
    marrow_hu: float = 210.0
    rib: float = 3.6  # half the thickness
    breasts: float = 0.0  # half the height of the breasts; fat and gland in front of the chest
    streaks: float = 0.0  # how much fat and muscle of the wall mix
    cover: bool = False  # clothes, cables and blankets around the body
    seed: int = 0
    tubes: tuple[Tube, ...] = ()
    lesions: tuple[Lesion, ...] = ()


def sample_thorax(rng: Rng) -> Thorax:
    """An invented chest of any build, contrast phase and common companion disease; without lesions."""
    build = rng.uniform(0.82, 1.18)
    contrast = rng.choice([0.0, rng.uniform(60, 160), rng.uniform(160, 420)], p=[0.35, 0.3, 0.35])
    fat = float(rng.gamma(2.6, 8.0) + 5)
    wall = float(rng.uniform(16, 30))
    thorax = Thorax(
        half_width=float((132 + rng.uniform(-8, 10)) * build + fat + wall * 0.7),
        half_depth=float((94 + rng.uniform(-10, 12)) * build + fat * 0.8 + wall * 0.5 + BACK),
        squareness=float(rng.uniform(2.1, 2.9)),
        fat=fat,
        wall=wall,
        vessel_hu=float(45 + contrast),
        soft_hu=float(rng.uniform(30, 60)),
        lung_hu=float(rng.uniform(-910, -770)),
        lung_gradient=float(rng.uniform(0, 110)),
        heart=float(rng.uniform(0.8, 1.25)),
        mediastinal_fat=float(rng.uniform(0.5, 9)),
        waist=float(rng.uniform(9, 24)),
        aorta=(float(rng.uniform(12, 36)), float(rng.uniform(2, 26)), float(rng.uniform(9.5, 16))),
        scapulae=bool(rng.random() < 0.8),
        arms=bool(rng.random() < 0.2),
        table=float(rng.uniform(2, 30)) if rng.random() < 0.85 else -1.0,
        effusion=float(rng.uniform(8, 45)) if rng.random() < 0.12 else 0.0,
        effusion_side=int(rng.choice([-1, 1])),
        emphysema=float(rng.uniform(0.3, 1.0)) if rng.random() < 0.2 else 0.0,
        texture=float(rng.uniform(5, 30)),
        dome=float(rng.uniform(-95, -60)),
        cortex_hu=float(rng.uniform(280, 850)),
        marrow_hu=float(rng.uniform(90, 280)),
        rib=float(rng.uniform(2.2, 4.2)),
        breasts=float(rng.uniform(15, 48)) if rng.random() < 0.45 else 0.0,
        streaks=float(rng.uniform(0.0, 1.2)),
        cover=bool(rng.random() < 0.4),
        seed=int(rng.integers(1 << 31)),
    )
    return replace(thorax, tubes=tuple(_trees(thorax, rng) + _scars(thorax, rng)))


def with_lesions(thorax: Thorax, lesions: Iterable[Lesion]) -> Thorax:
    """The same chest with these lesions."""
    return replace(thorax, lesions=tuple(lesions))


def cavity_at(thorax: Thorax, z: float) -> tuple[float, float]:
    """Half width and half depth of the chest's inside at height z; zero above the apex."""
    top = 125.0
    scale = 1.0 if z < 0 else math.sqrt(max(0.0, 1 - (z / top) ** 2.4))
    base = 1.0 + min(0.0, z) * -0.0005
    return (
        (thorax.half_width - thorax.fat - thorax.wall * 0.7) * scale * base,
        (thorax.half_depth - thorax.fat * 0.8 - thorax.wall * 0.5 - BACK) * (0.35 + 0.65 * scale) * base,
    )


def _trees(thorax: Thorax, rng: Rng) -> list[Tube]:
    """Arteries and veins of both lungs, branching from the hila, with air-filled bronchi beside the first ones."""
    tubes: list[Tube] = []
    for side in (-1, 1):
        top = np.array([side * rng.uniform(30, 42), rng.uniform(-4, 14), rng.uniform(-12, 2)])
        bottom = top + np.array([side * rng.uniform(0, 14), rng.uniform(0, 22), -rng.uniform(25, 60)])
        tubes.append(Tube(point_of(top), point_of(bottom), float(rng.uniform(3.5, 8.0)), thorax.vessel_hu))
        for tree in range(2):
            for _ in range(int(rng.integers(4, 7))):
                direction = np.array([side * rng.uniform(0.2, 1.0), rng.normal(0, 0.7), rng.normal(0, 0.9)])
                start = np.array([side * rng.uniform(30, 42), rng.uniform(-12, 14), rng.uniform(-32, 4)])
                _grow(tubes, rng, start, direction / np.linalg.norm(direction), rng.uniform(2.6, 6.5), thorax, 0)
                if tree == 0 and rng.random() < 0.5:
                    offset = start + np.array([0.0, 6.0, 3.0])
                    tip = offset + direction / np.linalg.norm(direction) * rng.uniform(25, 60)
                    tubes.append(Tube(point_of(offset), point_of(tip), 3.2, thorax.soft_hu - 200))
                    tubes.append(Tube(point_of(offset), point_of(tip), 2.0, -950.0))
    return tubes


def _grow(
    tubes: list[Tube], rng: Rng, start: NDArray[np.float64], direction: NDArray[np.float64], radius: float,
    thorax: Thorax, depth: int,
) -> None:  # fmt: skip
    if radius < 0.55 or depth > 8:
        return
    length = rng.uniform(7, 13) * (0.55 + radius / 3.5)
    end = start + direction * length
    tubes.append(Tube(point_of(start), point_of(end), radius, thorax.vessel_hu))
    for k in range(2):
        turned = direction + rng.normal(0, 0.33 if k == 0 else 0.62, 3) + np.array([0.06 * np.sign(end[0]), 0, 0])
        shrink = rng.uniform(0.8, 0.93) if k == 0 else rng.uniform(0.5, 0.8)
        _grow(tubes, rng, end, turned / np.linalg.norm(turned), radius * shrink, thorax, depth + 1)


def point_of(p: NDArray[np.float64]) -> tuple[float, float, float]:
    return (float(p[0]), float(p[1]), float(p[2]))


def _scars(thorax: Thorax, rng: Rng) -> list[Tube]:
    """Bands and scars: what is long and thin is no nodule."""
    tubes = []
    for _ in range(int(rng.poisson(0.8))):
        a, b = cavity_at(thorax, 0)
        x = rng.choice([-1, 1]) * rng.uniform(0.45, 0.9) * a
        start = np.array([x, rng.uniform(-0.2, 0.75) * b, rng.uniform(-70, 60)])
        direction = rng.normal(0, 1, 3) * np.array([1, 1, 0.3])
        end = start + direction / np.linalg.norm(direction) * rng.uniform(15, 50)
        tubes.append(Tube(point_of(start), point_of(end), float(rng.uniform(0.6, 1.6)), float(rng.uniform(-300, 40))))
    return tubes


def spine_y(thorax: Thorax, z: float) -> float:
    return cavity_at(thorax, 0)[1] * 0.72 + 6 * math.sin(z / 90)


def mediastinal_parts(thorax: Thorax, x: Field, y: Field, z: float) -> list[tuple[Field, str]]:
    """The structures between the lungs: distance and kind (vessel, soft, air)."""
    ys, wide = spine_y(thorax, z), thorax.heart
    parts: list[tuple[Field, str]] = [
        (ellipse(x, y, thorax.aorta[0], ys - thorax.aorta[1], thorax.aorta[2], thorax.aorta[2]), "vessel"),
        (ellipse(x, y, 4, ys - 26, 8, 6), "soft"),  # oesophagus
        (ellipse(x, y, -9, ys - 19, 4, 4), "vessel"),  # azygos vein
        (ellipse(x, y, -28, -22, 9, 10), "vessel"),  # superior vena cava
    ]
    if -75 < z < 38:
        parts.append((ellipse(x, y, -8, -28, 16 * wide, 16 * wide), "vessel"))  # ascending aorta
    if 28 < z < 52:
        parts.append((ellipse(x, y, 8, -4, 14, 34), "vessel"))  # arch
    if -55 < z < 2:
        parts.append((ellipse(x, y, 22 * wide, -32, 15 * wide, 14), "vessel"))  # pulmonary trunk
        right = ellipse(x, y, -14, -6, 32, 9 + z * 0.05) if z > -28 else ellipse(x, y, 0, -10, 30 * wide, 18)
        parts.append((right, "vessel"))  # right pulmonary artery, and the left atrium below it
    if -48 < z < 10:
        grow = 11 - abs(z + 18) * 0.15
        parts += [(ellipse(x, y, s * 38, -2 + 4 * s, grow + 3, grow), "vessel") for s in (-1, 1)]  # hila
    if z < -12:
        dz = min(1.0, abs(z + 58) / 62)
        size = math.sqrt(max(0.05, 1 - dz * dz)) * wide
        parts.append((ellipse(x, y, 22 * wide, -26, 58 * size, 44 * size), "vessel"))  # heart
    if z > 50:
        parts += [(ellipse(x, y, cx, cy, 5, 5), "vessel") for cx, cy in ((-18, -12), (8, -16), (20, -4))]
    if z > 0:
        parts.append((ellipse(x, y, -3, 4, 8, 9), "air"))  # trachea
    elif z > -35:
        parts += [(ellipse(x, y, s * (9 - z * 0.75), 6 - z * 0.15, 6.5, 5.5), "air") for s in (-1, 1)]  # main bronchi
    return parts


def mediastinum_distance(thorax: Thorax, x: Field, y: Field, z: float) -> Field:
    """Distance to the mediastinum's edge: its structures, the fat that wraps them and the strip behind the sternum."""
    parts = mediastinal_parts(thorax, x, y, z)
    near = np.minimum.reduce([d for d, _ in parts]) - thorax.mediastinal_fat
    depth = cavity_at(thorax, z)[1]
    strip = ellipse(x, y, 2, -depth * 0.75, 6 + thorax.mediastinal_fat, depth * 0.45)
    core = ellipse(x, y, 2, spine_y(thorax, z) * 0.35, thorax.waist + thorax.mediastinal_fat, spine_y(thorax, z) * 0.7)
    return np.asarray(np.minimum(near, np.minimum(strip, core)), dtype=np.float32)


def lung_distance(thorax: Thorax, x: Field, y: Field, z: float) -> Field:
    """Distance to the lungs' edge, negative inside: the cavity less mediastinum, spine and diaphragm."""
    a, b = cavity_at(thorax, z)
    if a < 12:
        return np.full_like(x, 99.0)
    cavity = ellipse(x, y, 0, 0, a, b, 2.2)
    spine = ellipse(x, y, 0, spine_y(thorax, z) + 14, 25, 28)
    out = np.maximum(cavity, np.maximum(-mediastinum_distance(thorax, x, y, z), -spine))
    for side in (-1, 1):
        top = thorax.dome + (6 if side < 0 else -6)
        dome = top - 40 * (((x - side * 70) / 75) ** 2 + ((y + 5) / 75) ** 2)
        out = np.maximum(out, np.where(x * side > 0, (dome - z) * 0.7, -99.0))
    return np.asarray(out, dtype=np.float32)


def fluid_level(thorax: Thorax, z: float) -> float:
    """The y behind which fluid lies in the chest."""
    return cavity_at(thorax, z)[1] - thorax.effusion - 0.08 * (z + 80)
