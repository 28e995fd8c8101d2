"""Procedural chest CT: every organ is a formula, so every voxel's truth is known and no person is in it.

Coordinates are the patient's (LPS, mm): x to the left, y to the back, z to the head; the carina is the origin.
Only numpy, so that the demo can make its phantom without the training's requirements.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating[Any]]
Rng = np.random.Generator

BACK = 12.0  # mm by which the back is thicker than the front: spine and its muscles
BACKGROUND, LUNG, MEDIASTINUM, BONE, NODULE = range(5)


@dataclass(frozen=True)
class Grid:
    """Where the voxels lie: `size` pixels of `pixel` mm in x and y, centred on the origin, and the slices' z."""

    size: int
    pixel: float
    zs: tuple[float, ...]

    def axis(self) -> Field:
        """The pixel centres along x (and y), in mm."""
        return ((np.arange(self.size) - (self.size - 1) / 2) * self.pixel).astype(np.float32)


@dataclass(frozen=True)
class Lesion:
    """A nodule or mass. `centre` and lengths in mm; `texture` is solid, part-solid or ground-glass."""

    centre: tuple[float, float, float]
    diameter: float
    texture: str = "solid"
    hu: float = 40.0
    spicules: int = 0
    cavity: float = 0.0  # radius of the air inside, as a share of the lesion's
    seed: int = 0


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


@dataclass
class Volume:
    """A rendered phantom: densities, the class of every voxel and the lesions that are visible in it."""

    hu: Field  # [slice, row, column]
    labels: NDArray[np.uint8]
    grid: Grid
    lesions: list[Lesion] = field(default_factory=list)


# ---------------------------------------------------------------- fields


def _ellipse(x: Field, y: Field, cx: float, cy: float, a: float, b: float, n: float = 2.0) -> Field:
    """About the distance to a superellipse's edge, in mm, negative inside."""
    dx, dy = np.abs(x - cx), np.abs(y - cy)
    f = (dx / a) ** 2 + (dy / b) ** 2 if n == 2.0 else (dx / a) ** n + (dy / b) ** n
    f = np.maximum(f ** (1.0 / n), 1e-3)
    r = np.sqrt(dx * dx + dy * dy)
    return np.asarray(np.where(f < 0.2, -min(a, b) * (1 - f), r - r / f), dtype=np.float32)


def _cover(distance: Field, soft: float) -> Field:
    """How much of a pixel lies inside, given the distance to the edge."""
    return np.asarray(np.clip(0.5 - distance / soft, 0.0, 1.0))


def _paint(hu: Field, distance: Field, value: float | Field, soft: float) -> None:
    share = _cover(distance, soft)
    hu += share * (value - hu)


def blobs(rng: Rng, shape: tuple[int, int], cell: int) -> Field:
    """Smooth noise of unit variance with features of about `cell` pixels."""
    h, w = shape[0] // cell + 3, shape[1] // cell + 3
    coarse = rng.standard_normal((h, w)).astype(np.float32)
    rows, cols = np.arange(shape[0]) / cell, np.arange(shape[1]) / cell
    r0, c0 = rows.astype(int), cols.astype(int)
    fr, fc = (rows - r0).astype(np.float32), (cols - c0).astype(np.float32)
    fr, fc = fr * fr * (3 - 2 * fr), fc * fc * (3 - 2 * fc)
    across = coarse[:, c0] * (1 - fc) + coarse[:, c0 + 1] * fc
    noise = across[r0] * (1 - fr)[:, None] + across[r0 + 1] * fr[:, None]
    return np.asarray(noise / max(float(noise.std()), 1e-3), dtype=np.float32)


# ---------------------------------------------------------------- sampling


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


def _cavity(thorax: Thorax, z: float) -> tuple[float, float]:
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
        tubes.append(Tube(_point(top), _point(bottom), float(rng.uniform(3.5, 8.0)), thorax.vessel_hu))  # lower lobe
        for tree in range(2):
            for _ in range(int(rng.integers(4, 7))):
                direction = np.array([side * rng.uniform(0.2, 1.0), rng.normal(0, 0.7), rng.normal(0, 0.9)])
                start = np.array([side * rng.uniform(30, 42), rng.uniform(-12, 14), rng.uniform(-32, 4)])
                _grow(tubes, rng, start, direction / np.linalg.norm(direction), rng.uniform(2.6, 6.5), thorax, 0)
                if tree == 0 and rng.random() < 0.5:
                    offset = start + np.array([0.0, 6.0, 3.0])
                    tip = offset + direction / np.linalg.norm(direction) * rng.uniform(25, 60)
                    tubes.append(Tube(_point(offset), _point(tip), 3.2, thorax.soft_hu - 200))
                    tubes.append(Tube(_point(offset), _point(tip), 2.0, -950.0))
    return tubes


def _grow(
    tubes: list[Tube], rng: Rng, start: NDArray[np.float64], direction: NDArray[np.float64], radius: float,
    thorax: Thorax, depth: int,
) -> None:  # fmt: skip
    if radius < 0.55 or depth > 8:
        return
    length = rng.uniform(7, 13) * (0.55 + radius / 3.5)
    end = start + direction * length
    tubes.append(Tube(_point(start), _point(end), radius, thorax.vessel_hu))
    for k in range(2):
        turned = direction + rng.normal(0, 0.33 if k == 0 else 0.62, 3) + np.array([0.06 * np.sign(end[0]), 0, 0])
        shrink = rng.uniform(0.8, 0.93) if k == 0 else rng.uniform(0.5, 0.8)
        _grow(tubes, rng, end, turned / np.linalg.norm(turned), radius * shrink, thorax, depth + 1)


def _point(p: NDArray[np.float64]) -> tuple[float, float, float]:
    return (float(p[0]), float(p[1]), float(p[2]))


def _scars(thorax: Thorax, rng: Rng) -> list[Tube]:
    """Bands and scars: what is long and thin is no nodule."""
    tubes = []
    for _ in range(int(rng.poisson(0.8))):
        a, b = _cavity(thorax, 0)
        x = rng.choice([-1, 1]) * rng.uniform(0.45, 0.9) * a
        start = np.array([x, rng.uniform(-0.2, 0.75) * b, rng.uniform(-70, 60)])
        direction = rng.normal(0, 1, 3) * np.array([1, 1, 0.3])
        end = start + direction / np.linalg.norm(direction) * rng.uniform(15, 50)
        tubes.append(Tube(_point(start), _point(end), float(rng.uniform(0.6, 1.6)), float(rng.uniform(-300, 40))))
    return tubes


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
    return thorax.effusion > 0 and x * thorax.effusion_side > 0 and y > _fluid_level(thorax, z) - diameter / 2


def _place(rng: Rng, thorax: Thorax, z_range: tuple[float, float], size: float) -> tuple[float, float, float]:
    manner = rng.choice(["free", "wall", "vessel"], p=[0.55, 0.25, 0.2])
    for _ in range(200):
        z = float(rng.uniform(*z_range))
        a, b = _cavity(thorax, z)
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
    return float(_lung_distance(thorax, *point, z)[0, 0]) < -margin


# ---------------------------------------------------------------- the organs of one slice


def _spine_y(thorax: Thorax, z: float) -> float:
    return _cavity(thorax, 0)[1] * 0.72 + 6 * math.sin(z / 90)


def _mediastinal_parts(thorax: Thorax, x: Field, y: Field, z: float) -> list[tuple[Field, str]]:
    """The structures between the lungs: distance and kind (vessel, soft, air)."""
    ys, wide = _spine_y(thorax, z), thorax.heart
    parts: list[tuple[Field, str]] = [
        (_ellipse(x, y, thorax.aorta[0], ys - thorax.aorta[1], thorax.aorta[2], thorax.aorta[2]), "vessel"),
        (_ellipse(x, y, 4, ys - 26, 8, 6), "soft"),  # oesophagus
        (_ellipse(x, y, -9, ys - 19, 4, 4), "vessel"),  # azygos vein
        (_ellipse(x, y, -28, -22, 9, 10), "vessel"),  # superior vena cava
    ]
    if -75 < z < 38:
        parts.append((_ellipse(x, y, -8, -28, 16 * wide, 16 * wide), "vessel"))  # ascending aorta
    if 28 < z < 52:
        parts.append((_ellipse(x, y, 8, -4, 14, 34), "vessel"))  # arch
    if -55 < z < 2:
        parts.append((_ellipse(x, y, 22 * wide, -32, 15 * wide, 14), "vessel"))  # pulmonary trunk
        right = _ellipse(x, y, -14, -6, 32, 9 + z * 0.05) if z > -28 else _ellipse(x, y, 0, -10, 30 * wide, 18)
        parts.append((right, "vessel"))  # right pulmonary artery, and the left atrium below it
    if -48 < z < 10:
        grow = 11 - abs(z + 18) * 0.15
        parts += [(_ellipse(x, y, s * 38, -2 + 4 * s, grow + 3, grow), "vessel") for s in (-1, 1)]  # hila
    if z < -12:
        dz = min(1.0, abs(z + 58) / 62)
        size = math.sqrt(max(0.05, 1 - dz * dz)) * wide
        parts.append((_ellipse(x, y, 22 * wide, -26, 58 * size, 44 * size), "vessel"))  # heart
    if z > 50:
        parts += [(_ellipse(x, y, cx, cy, 5, 5), "vessel") for cx, cy in ((-18, -12), (8, -16), (20, -4))]
    if z > 0:
        parts.append((_ellipse(x, y, -3, 4, 8, 9), "air"))  # trachea
    elif z > -35:
        parts += [(_ellipse(x, y, s * (9 - z * 0.75), 6 - z * 0.15, 6.5, 5.5), "air") for s in (-1, 1)]  # main bronchi
    return parts


def _mediastinum_distance(thorax: Thorax, x: Field, y: Field, z: float) -> Field:
    """Distance to the mediastinum's edge: its structures, the fat that wraps them and the strip behind the sternum."""
    parts = _mediastinal_parts(thorax, x, y, z)
    near = np.minimum.reduce([d for d, _ in parts]) - thorax.mediastinal_fat
    depth = _cavity(thorax, z)[1]
    strip = _ellipse(x, y, 2, -depth * 0.75, 6 + thorax.mediastinal_fat, depth * 0.45)
    core = _ellipse(
        x, y, 2, _spine_y(thorax, z) * 0.35, thorax.waist + thorax.mediastinal_fat, _spine_y(thorax, z) * 0.7
    )
    return np.asarray(np.minimum(near, np.minimum(strip, core)), dtype=np.float32)


def _lung_distance(thorax: Thorax, x: Field, y: Field, z: float) -> Field:
    """Distance to the lungs' edge, negative inside: the cavity less mediastinum, spine and diaphragm."""
    a, b = _cavity(thorax, z)
    if a < 12:
        return np.full_like(x, 99.0)
    cavity = _ellipse(x, y, 0, 0, a, b, 2.2)
    spine = _ellipse(x, y, 0, _spine_y(thorax, z) + 14, 25, 28)
    out = np.maximum(cavity, np.maximum(-_mediastinum_distance(thorax, x, y, z), -spine))
    for side in (-1, 1):
        top = thorax.dome + (6 if side < 0 else -6)
        dome = top - 40 * (((x - side * 70) / 75) ** 2 + ((y + 5) / 75) ** 2)
        out = np.maximum(out, np.where(x * side > 0, (dome - z) * 0.7, -99.0))
    return np.asarray(out, dtype=np.float32)


def _wall(thorax: Thorax, hu: Field, labels: NDArray[np.uint8], x: Field, y: Field, z: float, soft: float) -> None:
    """Skin, fat, muscle, ribs, spine, sternum, shoulder blades."""
    a, b = _cavity(thorax, z)
    angle = np.arctan2(y, x)
    if thorax.breasts and -100 < z < 45:
        _breasts(thorax, hu, x, y, z, soft)
    body = _ellipse(x, y, 0, BACK, thorax.half_width, thorax.half_depth, thorax.squareness)
    _paint(hu, body, 10.0, soft)
    _paint(hu, body + 2.0, -100.0, soft)
    uneven = thorax.fat * (0.85 + 0.25 * np.cos(2 * angle) + 0.15 * np.cos(5 * angle + thorax.seed % 7))
    muscle = np.maximum(body + uneven, -_ellipse(x, y, 0, 0, max(a, 1) + 1, max(b, 1) + 1, 2.2))
    flesh: float | Field = thorax.soft_hu + 8
    if thorax.streaks:
        grain = np.random.default_rng([thorax.seed, (int(z // 12) + 40) % 1000])  # no seed is negative, wherever z is
        mix = blobs(grain, (len(x), len(x)), round(9 / soft))
        flesh = np.where(mix > 2.0 - thorax.streaks, -95.0, flesh)
    _paint(hu, muscle, flesh, soft)
    _paint(hu, np.abs(muscle + thorax.wall * 0.35 + 3 * np.cos(7 * angle)) - 1.2, -80.0, soft)
    shell = _ellipse(x, y, 0, 0, max(a, 12.0), max(b, 12.0), 2.2)
    bone = _ribs(thorax, shell, angle, z)
    bone = np.minimum(bone, _ellipse(x, y, 0, -b - 10, 17, 6.5))  # sternum
    if thorax.scapulae and -75 < z < 100:
        for side in (-1, 1):
            lean = (x - side * (a + 8)) * 0.8 * side + (y - b * 0.55)
            along = np.hypot(x - side * (a * 0.86 + 12), y - b * 0.72) - (34 + z * 0.06)
            bone = np.minimum(bone, np.maximum(np.abs(lean) * 0.75 - 3.0 - 2 * (z > 40), along))
    _bone(thorax, hu, labels, bone, soft)
    _spine(thorax, hu, labels, x, y, z, soft)


def _breasts(thorax: Thorax, hu: Field, x: Field, y: Field, z: float, soft: float) -> None:
    """Fat with islands of gland in front of the chest."""
    height = thorax.breasts * math.sqrt(max(0.0, 1 - ((z + 28) / 74) ** 2))
    gland = blobs(np.random.default_rng([thorax.seed, int(z // 10) + 90]), (len(x), len(x)), round(8 / soft))
    for side in (-1, 1):
        lump = _ellipse(x, y, side * thorax.half_width * 0.48, BACK - thorax.half_depth * 0.9, 62, height + 12)
        _paint(hu, lump, 10.0, soft)
        _paint(hu, lump + 2, -100.0, soft)
        _paint(hu, np.maximum(lump + 10, (0.4 - gland) * 5), 25.0, soft)


def _ribs(thorax: Thorax, shell: Field, angle: Field, z: float) -> Field:
    """Ribs lie in the chest wall and fall from back to front, so a slice cuts several at once."""
    front = np.abs(np.abs(angle - math.pi / 2 + 2 * math.pi * (angle < -math.pi / 2)))  # 0 at the back, pi in front
    height = z + front * 24 + (thorax.seed % 25)
    phase = np.abs((height % 25.0) - 12.5) - 6.2
    return np.asarray(np.maximum(np.maximum(phase * 0.9, np.abs(shell - 7.5) - thorax.rib), (front - 2.5) * 30))


def _bone(thorax: Thorax, hu: Field, labels: NDArray[np.uint8], distance: Field, soft: float) -> None:
    _paint(hu, distance, thorax.cortex_hu, soft)
    _paint(hu, distance + 0.6 * thorax.rib, thorax.marrow_hu, soft)
    labels[distance < 0] = BONE


def _spine(thorax: Thorax, hu: Field, labels: NDArray[np.uint8], x: Field, y: Field, z: float, soft: float) -> None:
    ys = _spine_y(thorax, z) + 14
    _paint(hu, _ellipse(x, y, 0, ys, 27, 27), thorax.soft_hu, soft)  # what wraps the spine
    vertebra = _ellipse(x, y, 0, ys - 2, 18, 15)
    if (z + thorax.seed % 28) % 28 < 5:
        _paint(hu, vertebra, 80.0, soft)  # disc
    else:
        _bone(thorax, hu, labels, vertebra, soft)
    arch = np.abs(_ellipse(x, y, 0, ys + 19, 13, 12)) - 3.2
    process = np.minimum(_ellipse(x, y, 0, ys + 38, 4, 12), _ellipse(x, y, 0, ys + 22, 32, 4.5))
    _bone(thorax, hu, labels, np.minimum(arch, process), soft)
    _paint(hu, _ellipse(x, y, 0, ys + 19, 9, 8), 25.0, soft)


def _inside(thorax: Thorax, hu: Field, labels: NDArray[np.uint8], x: Field, y: Field, z: float, soft: float) -> Field:
    """Mediastinum, what lies under the diaphragm, and the lungs; returns the lungs' share of every pixel."""
    a, b = _cavity(thorax, z)
    cavity = _ellipse(x, y, 0, 0, max(a, 12.0), max(b, 12.0), 2.2)
    _paint(hu, cavity, thorax.soft_hu + 0.25 * thorax.vessel_hu, soft)  # liver, spleen: the lungs are cut out below
    middle = np.maximum(cavity, _mediastinum_distance(thorax, x, y, z))
    _paint(hu, middle, -70.0, soft)
    bone_before = labels == BONE
    labels[(middle < 0) & ~bone_before] = MEDIASTINUM
    for distance, kind in _mediastinal_parts(thorax, x, y, z):
        value = {"vessel": thorax.vessel_hu, "soft": thorax.soft_hu, "air": -990.0}[kind]
        if kind == "air":
            _paint(hu, distance - 1.2, 20.0, soft)
        _paint(hu, np.maximum(distance, cavity), value, soft)
    lung = _lung_distance(thorax, x, y, z)
    share = _cover(lung, soft)
    labels[(lung < 0) & ~bone_before] = LUNG
    return share


def _fluid_level(thorax: Thorax, z: float) -> float:
    """The y behind which fluid lies in the chest."""
    return _cavity(thorax, z)[1] - thorax.effusion - 0.08 * (z + 80)


def _parenchyma(thorax: Thorax, rng: Rng, y: Field, z: float, pixel: float, share: Field, x: Field) -> Field:
    """The lungs' own density: denser at the back, mottled, with fissures, emphysema and fluid."""
    depth = _cavity(thorax, z)[1]
    lung = thorax.lung_hu + thorax.lung_gradient * y / max(depth, 20.0)
    lung = lung + thorax.texture * blobs(rng, (share.shape[0], share.shape[1]), max(2, round(3.0 / pixel)))
    if thorax.emphysema:
        holes = blobs(rng, (share.shape[0], share.shape[1]), max(2, round(9.0 / pixel)))
        lung = np.where(holes > 1.6 - thorax.emphysema, -975.0, lung)
    fissure = np.abs(y + 0.55 * z - 12 + 0.0012 * x * x) - 0.5
    lung = lung + 130.0 * _cover(fissure, 2 * pixel)
    if thorax.effusion:
        fluid = _cover(_fluid_level(thorax, z) - y, 2 * pixel) * (x * thorax.effusion_side > 0)
        lung = lung + fluid * (12.0 - lung)
    return np.asarray(lung, dtype=np.float32)


def _around(thorax: Thorax, hu: Field, x: Field, y: Field, soft: float) -> None:
    """The table and arms beside the body."""
    if thorax.table >= 0:
        curve = thorax.half_depth + BACK + thorax.table - 0.0009 * x * x
        _paint(hu, np.maximum(np.abs(y - curve - 2) - 1.6, np.abs(x) - 210), 40.0, soft)
        _paint(hu, np.maximum(np.abs(y - curve - 22) - 17, np.abs(x) - 200), -930.0, soft)
    if thorax.cover:
        rng = np.random.default_rng([thorax.seed, 7])
        for _ in range(3):
            gap = rng.uniform(3, 25)
            line = _ellipse(x, y, 0, BACK, thorax.half_width + gap, thorax.half_depth + gap, rng.uniform(2.0, 2.9))
            line = np.abs(line) - 0.8
            _paint(hu, np.maximum(line, y - 20), float(rng.uniform(-900, -500)), soft)
    if thorax.arms:
        for side in (-1, 1):
            centre = side * (thorax.half_width + 42)
            _paint(hu, _ellipse(x, y, centre, 22, 40, 44), -95.0, soft)
            _paint(hu, _ellipse(x, y, centre, 22, 31, 34), 50.0, soft)
            _paint(hu, _ellipse(x, y, centre, 22, 11, 11), 900.0, soft)
            _paint(hu, _ellipse(x, y, centre, 22, 6, 6), -40.0, soft)


# ---------------------------------------------------------------- rendering


def render(thorax: Thorax, grid: Grid) -> Volume:
    """Renders every voxel. Noise and blur are the scanner's: `scan` adds them."""
    axis = grid.axis()
    x, y = np.meshgrid(axis, axis)
    x, y = x.astype(np.float32), y.astype(np.float32)
    rng = np.random.default_rng(thorax.seed)
    shape = (len(grid.zs), grid.size, grid.size)
    hu, labels = np.full(shape, -1000.0, np.float32), np.zeros(shape, np.uint8)
    lungs = np.zeros(shape, np.float32)
    soft = max(grid.pixel, 0.9)
    for k, z in enumerate(grid.zs):
        _around(thorax, hu[k], x, y, soft)
        _wall(thorax, hu[k], labels[k], x, y, z, soft)
        share = _inside(thorax, hu[k], labels[k], x, y, z, soft)
        hu[k] += share * (_parenchyma(thorax, rng, y, z, grid.pixel, share, x) - hu[k])
        lungs[k] = share
    thickness = _spacing(grid)
    for tube in thorax.tubes:
        _draw_tube(hu, lungs, tube, grid, thickness)
    seen = [lesion for lesion in thorax.lesions if _draw_lesion(hu, labels, lungs, lesion, grid, thickness)]
    return Volume(hu, labels, grid, seen)


def _spacing(grid: Grid) -> float:
    return abs(grid.zs[1] - grid.zs[0]) if len(grid.zs) > 1 else 2.5


def _window(
    grid: Grid, low: tuple[float, ...], high: tuple[float, ...]
) -> tuple[slice, slice, slice, Field, Field, Field] | None:
    """The voxels between two corners, and their coordinates; None where there are none."""
    zs = np.asarray(grid.zs, np.float32)
    rows = np.nonzero((zs >= low[2]) & (zs <= high[2]))[0]
    half = (grid.size - 1) / 2
    left, right = math.floor(low[0] / grid.pixel + half), math.ceil(high[0] / grid.pixel + half) + 1
    top, bottom = math.floor(low[1] / grid.pixel + half), math.ceil(high[1] / grid.pixel + half) + 1
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, grid.size), min(bottom, grid.size)
    if not len(rows) or left >= right or top >= bottom:
        return None
    axis = grid.axis()
    return (
        slice(int(rows[0]), int(rows[-1]) + 1), slice(top, bottom), slice(left, right),
        zs[rows[0] : rows[-1] + 1, None, None], axis[None, top:bottom, None], axis[None, None, left:right],
    )  # fmt: skip


def _draw_tube(hu: Field, lungs: Field, tube: Tube, grid: Grid, thickness: float) -> None:
    reach = tube.radius + max(grid.pixel, thickness / 2)
    low = tuple(min(p, q) - reach for p, q in zip(tube.start, tube.end, strict=True))
    high = tuple(max(p, q) + reach for p, q in zip(tube.start, tube.end, strict=True))
    window = _window(grid, low, high)
    if window is None:
        return
    zz, yy, xx, z, y, x = window
    share = _capsule(x, y, z, tube.start, tube.end, tube.radius, grid.pixel, thickness) * lungs[zz, yy, xx]
    part = hu[zz, yy, xx]
    hu[zz, yy, xx] = part + share * (tube.hu - part)


def _capsule(
    x: Field, y: Field, z: Field, start: tuple[float, ...], end: tuple[float, ...], radius: float, pixel: float,
    thickness: float,
) -> Field:  # fmt: skip
    """The share of each voxel inside a capsule; thin ones fade as thick slices average them away."""
    p, d = start, tuple(e - s for s, e in zip(start, end, strict=True))
    length2 = max(sum(v * v for v in d), 1e-6)
    t = np.clip(((x - p[0]) * d[0] + (y - p[1]) * d[1] + (z - p[2]) * d[2]) / length2, 0, 1)
    gap2 = (x - p[0] - t * d[0]) ** 2 + (y - p[1] - t * d[1]) ** 2 + (z - p[2] - t * d[2]) ** 2
    steep = abs(d[2]) / math.sqrt(length2)
    soft = max(pixel, 0.9) * steep + max(pixel, 0.9, thickness * 0.8) * (1 - steep)
    share = np.clip(0.5 - (np.sqrt(gap2) - radius) / soft, 0, 1) * min(1.0, 2.2 * radius / soft)
    return np.asarray(share, dtype=np.float32)


def _draw_lesion(
    hu: Field, labels: NDArray[np.uint8], lungs: Field, lesion: Lesion, grid: Grid, thickness: float
) -> bool:
    """Draws one lesion into the lungs; False where the slices miss it."""
    radius = lesion.diameter / 2
    reach = radius * (2.2 if lesion.spicules else 1.5) + thickness
    window = _window(grid, tuple(c - reach for c in lesion.centre), tuple(c + reach for c in lesion.centre))
    if window is None:
        return False
    zz, yy, xx, z, y, x = window
    rng = np.random.default_rng(lesion.seed)
    distance = _lump(rng, x, y, z, lesion)
    edge = max(grid.pixel, 0.9) + 0.25 * thickness
    part, inside = hu[zz, yy, xx], lungs[zz, yy, xx]
    share = _cover(distance, edge)
    if lesion.texture != "solid":
        haze = -450.0 + 250.0 * rng.random()
        part = part + share * inside * np.maximum(haze - part, 0)
        share = _cover(distance + radius * (0.55 if lesion.texture == "part-solid" else 9.0), edge)
    part = part + share * inside * (lesion.hu - part)
    if lesion.cavity:
        hole = _lump(rng, x, y, z, lesion, scale=lesion.cavity)
        part = part + _cover(hole, edge) * inside * (-950.0 - part)
    for _ in range(lesion.spicules):
        direction = rng.normal(0, 1, 3)
        direction /= np.linalg.norm(direction)
        base = np.array(lesion.centre) + direction * radius * 0.7
        tip = base + direction * radius * rng.uniform(0.4, 1.3)
        ray = _capsule(x, y, z, _point(base), _point(tip), rng.uniform(0.4, 1.1), grid.pixel, thickness)
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


# ---------------------------------------------------------------- the scanner


def scan(hu: Field, rng: Rng, *, noise: float, blur: float) -> Field:
    """What a scanner makes of the truth: blur (sigma in pixels), noise (HU) with the grain of its kernel, clipping."""
    out = _gauss(hu, blur) if blur > 0.2 else hu.copy()
    for k in range(len(out)):
        grain = _gauss(rng.standard_normal(out[k].shape).astype(np.float32)[None], max(0.35, blur * 0.8))[0]
        shade = blobs(rng, (out.shape[1], out.shape[2]), max(8, out.shape[1] // 4))
        out[k] += grain * (noise / max(float(grain.std()), 1e-3)) + 3.0 * shade
    return np.asarray(np.clip(out, -1024, 3071))


def _gauss(volume: Field, sigma: float) -> Field:
    reach = max(1, math.ceil(2.5 * sigma))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    taps = (taps / taps.sum()).astype(np.float32)
    out = volume
    for axis in (1, 2):
        pad = [(0, 0)] * 3
        pad[axis] = (reach, reach)
        wide, size = np.pad(out, pad, mode="edge"), out.shape[axis]
        out = np.zeros_like(volume)
        for k, tap in enumerate(taps):
            out += tap * np.take(wide, range(k, k + size), axis=axis)
    return out


# ---------------------------------------------------------------- what is no chest


def _head(rng: Rng, x: Field, y: Field, z: float) -> Field:
    a, b = 75 + rng.uniform(-6, 8), 92 + rng.uniform(-8, 8)
    hu = np.full_like(x, -1000.0)
    for distance, value in ((0.0, 20.0), (5.0, 1100.0), (12.0, 35.0)):
        _paint(hu, _ellipse(x, y, 0, 0, a, b, 2.2) + distance, value, 1.2)
    for side in (-1, 1):
        _paint(hu, _ellipse(x, y, side * 12, 5, 7, 24), 8.0, 2.0)
        if z < -20:
            _paint(hu, _ellipse(x, y, side * 24, -55, 15, 14), -990.0, 1.2)  # sinuses
    return hu


def _abdomen(rng: Rng, x: Field, y: Field, z: float) -> Field:
    a, b = 165 + rng.uniform(-20, 25), 112 + rng.uniform(-15, 20)
    hu = np.full_like(x, -1000.0)
    _paint(hu, _ellipse(x, y, 0, 0, a, b, 2.5), -100.0, 1.5)
    _paint(hu, _ellipse(x, y, 0, 0, a - 25, b - 20, 2.3), 50.0, 1.5)
    _paint(hu, _ellipse(x, y, 0, 5, a - 40, b - 35, 2.2), -90.0, 1.5)
    _paint(hu, _ellipse(x, y, -65, -5, 60, 62), 70.0, 1.5)
    for _ in range(9):
        cx, cy, r = rng.uniform(-100, 100), rng.uniform(-70, 40), rng.uniform(8, 26)
        _paint(hu, _ellipse(x, y, cx, cy, r + 3, r + 2), 40.0, 1.5)
        _paint(hu, _ellipse(x, y, cx, cy, r, r * 0.8), float(rng.choice([-990.0, 15.0, 200.0])), 1.5)
    _paint(hu, _ellipse(x, y, 0, 62, 20, 17), 300.0, 1.5)
    return hu


def _legs(rng: Rng, x: Field, y: Field, z: float) -> Field:
    hu = np.full_like(x, -1000.0)
    for side in (-1, 1):
        for r, value in ((75.0, -100.0), (62.0, 55.0), (16.0, 1000.0), (9.0, -40.0)):
            _paint(hu, _ellipse(x, y, side * 85, 0, r, r), value, 1.5)
    return hu


def _bottle(rng: Rng, x: Field, y: Field, z: float) -> Field:
    hu = np.full_like(x, -1000.0)
    _paint(hu, _ellipse(x, y, 0, 0, 110, 110), 100.0, 1.5)
    _paint(hu, _ellipse(x, y, 0, 0, 106, 106), 0.0, 1.5)
    for _ in range(4):
        _paint(hu, _ellipse(x, y, rng.uniform(-60, 60), rng.uniform(-60, 60), 12, 12), rng.uniform(-900, 900), 1.5)
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
