"""A drawn chest: every organ is a formula, so every voxel's truth is known and no person is in it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from model_container.phantoms.lesions import draw_lesion
from model_container.phantoms.shapes import (
    BONE,
    LUNG,
    MEDIASTINUM,
    Field,
    Grid,
    Rng,
    Volume,
    blobs,
    capsule,
    cover,
    ellipse,
    gauss,
    paint,
    spacing_of,
    window_of,
)
from model_container.phantoms.thorax import (
    BACK,
    Thorax,
    Tube,
    cavity_at,
    fluid_level,
    lung_distance,
    mediastinal_parts,
    mediastinum_distance,
    spine_y,
)


def _wall(thorax: Thorax, hu: Field, labels: NDArray[np.uint8], x: Field, y: Field, z: float, soft: float) -> None:
    """Skin, fat, muscle, ribs, spine, sternum, shoulder blades."""
    a, b = cavity_at(thorax, z)
    angle = np.arctan2(y, x)
    if thorax.breasts and -100 < z < 45:
        _breasts(thorax, hu, x, y, z, soft)
    body = ellipse(x, y, 0, BACK, thorax.half_width, thorax.half_depth, thorax.squareness)
    paint(hu, body, 10.0, soft)
    paint(hu, body + 2.0, -100.0, soft)
    uneven = thorax.fat * (0.85 + 0.25 * np.cos(2 * angle) + 0.15 * np.cos(5 * angle + thorax.seed % 7))
    muscle = np.maximum(body + uneven, -ellipse(x, y, 0, 0, max(a, 1) + 1, max(b, 1) + 1, 2.2))
    flesh: float | Field = thorax.soft_hu + 8
    if thorax.streaks:
        grain = np.random.default_rng([thorax.seed, (int(z // 12) + 40) % 1000])  # no seed is negative, wherever z is
        mix = blobs(grain, (len(x), len(x)), round(9 / soft))
        flesh = np.where(mix > 2.0 - thorax.streaks, -95.0, flesh)
    paint(hu, muscle, flesh, soft)
    paint(hu, np.abs(muscle + thorax.wall * 0.35 + 3 * np.cos(7 * angle)) - 1.2, -80.0, soft)
    shell = ellipse(x, y, 0, 0, max(a, 12.0), max(b, 12.0), 2.2)
    bone = _ribs(thorax, shell, angle, z)
    bone = np.minimum(bone, ellipse(x, y, 0, -b - 10, 17, 6.5))  # sternum
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
        lump = ellipse(x, y, side * thorax.half_width * 0.48, BACK - thorax.half_depth * 0.9, 62, height + 12)
        paint(hu, lump, 10.0, soft)
        paint(hu, lump + 2, -100.0, soft)
        paint(hu, np.maximum(lump + 10, (0.4 - gland) * 5), 25.0, soft)


def _ribs(thorax: Thorax, shell: Field, angle: Field, z: float) -> Field:
    """Ribs lie in the chest wall and fall from back to front, so a slice cuts several at once."""
    front = np.abs(np.abs(angle - math.pi / 2 + 2 * math.pi * (angle < -math.pi / 2)))  # 0 at the back, pi in front
    height = z + front * 24 + (thorax.seed % 25)
    phase = np.abs((height % 25.0) - 12.5) - 6.2
    return np.asarray(np.maximum(np.maximum(phase * 0.9, np.abs(shell - 7.5) - thorax.rib), (front - 2.5) * 30))


def _bone(thorax: Thorax, hu: Field, labels: NDArray[np.uint8], distance: Field, soft: float) -> None:
    paint(hu, distance, thorax.cortex_hu, soft)
    paint(hu, distance + 0.6 * thorax.rib, thorax.marrow_hu, soft)
    labels[distance < 0] = BONE


def _spine(thorax: Thorax, hu: Field, labels: NDArray[np.uint8], x: Field, y: Field, z: float, soft: float) -> None:
    ys = spine_y(thorax, z) + 14
    paint(hu, ellipse(x, y, 0, ys, 27, 27), thorax.soft_hu, soft)  # what wraps the spine
    vertebra = ellipse(x, y, 0, ys - 2, 18, 15)
    if (z + thorax.seed % 28) % 28 < 5:
        paint(hu, vertebra, 80.0, soft)  # disc
    else:
        _bone(thorax, hu, labels, vertebra, soft)
    arch = np.abs(ellipse(x, y, 0, ys + 19, 13, 12)) - 3.2
    process = np.minimum(ellipse(x, y, 0, ys + 38, 4, 12), ellipse(x, y, 0, ys + 22, 32, 4.5))
    _bone(thorax, hu, labels, np.minimum(arch, process), soft)
    paint(hu, ellipse(x, y, 0, ys + 19, 9, 8), 25.0, soft)


def _inside(thorax: Thorax, hu: Field, labels: NDArray[np.uint8], x: Field, y: Field, z: float, soft: float) -> Field:
    """Mediastinum, what lies under the diaphragm, and the lungs; returns the lungs' share of every pixel."""
    a, b = cavity_at(thorax, z)
    cavity = ellipse(x, y, 0, 0, max(a, 12.0), max(b, 12.0), 2.2)
    paint(hu, cavity, thorax.soft_hu + 0.25 * thorax.vessel_hu, soft)  # liver, spleen: the lungs are cut out below
    middle = np.maximum(cavity, mediastinum_distance(thorax, x, y, z))
    paint(hu, middle, -70.0, soft)
    bone_before = labels == BONE
    labels[(middle < 0) & ~bone_before] = MEDIASTINUM
    for distance, kind in mediastinal_parts(thorax, x, y, z):
        value = {"vessel": thorax.vessel_hu, "soft": thorax.soft_hu, "air": -990.0}[kind]
        if kind == "air":
            paint(hu, distance - 1.2, 20.0, soft)
        paint(hu, np.maximum(distance, cavity), value, soft)
    lung = lung_distance(thorax, x, y, z)
    share = cover(lung, soft)
    labels[(lung < 0) & ~bone_before] = LUNG
    return share


def _parenchyma(thorax: Thorax, rng: Rng, y: Field, z: float, pixel: float, share: Field, x: Field) -> Field:
    """The lungs' own density: denser at the back, mottled, with fissures, emphysema and fluid."""
    depth = cavity_at(thorax, z)[1]
    lung = thorax.lung_hu + thorax.lung_gradient * y / max(depth, 20.0)
    lung = lung + thorax.texture * blobs(rng, (share.shape[0], share.shape[1]), max(2, round(3.0 / pixel)))
    if thorax.emphysema:
        holes = blobs(rng, (share.shape[0], share.shape[1]), max(2, round(9.0 / pixel)))
        lung = np.where(holes > 1.6 - thorax.emphysema, -975.0, lung)
    fissure = np.abs(y + 0.55 * z - 12 + 0.0012 * x * x) - 0.5
    lung = lung + 130.0 * cover(fissure, 2 * pixel)
    if thorax.effusion:
        fluid = cover(fluid_level(thorax, z) - y, 2 * pixel) * (x * thorax.effusion_side > 0)
        lung = lung + fluid * (12.0 - lung)
    return np.asarray(lung, dtype=np.float32)


def _around(thorax: Thorax, hu: Field, x: Field, y: Field, soft: float) -> None:
    """The table and arms beside the body."""
    if thorax.table >= 0:
        curve = thorax.half_depth + BACK + thorax.table - 0.0009 * x * x
        paint(hu, np.maximum(np.abs(y - curve - 2) - 1.6, np.abs(x) - 210), 40.0, soft)
        paint(hu, np.maximum(np.abs(y - curve - 22) - 17, np.abs(x) - 200), -930.0, soft)
    if thorax.cover:
        rng = np.random.default_rng([thorax.seed, 7])
        for _ in range(3):
            gap = rng.uniform(3, 25)
            line = ellipse(x, y, 0, BACK, thorax.half_width + gap, thorax.half_depth + gap, rng.uniform(2.0, 2.9))
            line = np.abs(line) - 0.8
            paint(hu, np.maximum(line, y - 20), float(rng.uniform(-900, -500)), soft)
    if thorax.arms:
        for side in (-1, 1):
            centre = side * (thorax.half_width + 42)
            paint(hu, ellipse(x, y, centre, 22, 40, 44), -95.0, soft)
            paint(hu, ellipse(x, y, centre, 22, 31, 34), 50.0, soft)
            paint(hu, ellipse(x, y, centre, 22, 11, 11), 900.0, soft)
            paint(hu, ellipse(x, y, centre, 22, 6, 6), -40.0, soft)


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
    thickness = spacing_of(grid)
    for tube in thorax.tubes:
        _draw_tube(hu, lungs, tube, grid, thickness)
    seen = [lesion for lesion in thorax.lesions if draw_lesion(hu, labels, lungs, lesion, grid, thickness)]
    return Volume(hu, labels, grid, seen)


def _draw_tube(hu: Field, lungs: Field, tube: Tube, grid: Grid, thickness: float) -> None:
    reach = tube.radius + max(grid.pixel, thickness / 2)
    low = tuple(min(p, q) - reach for p, q in zip(tube.start, tube.end, strict=True))
    high = tuple(max(p, q) + reach for p, q in zip(tube.start, tube.end, strict=True))
    window = window_of(grid, low, high)
    if window is None:
        return
    zz, yy, xx, z, y, x = window
    share = capsule(x, y, z, tube.start, tube.end, tube.radius, grid.pixel, thickness) * lungs[zz, yy, xx]
    part = hu[zz, yy, xx]
    hu[zz, yy, xx] = part + share * (tube.hu - part)


def scan(hu: Field, rng: Rng, *, noise: float, blur: float) -> Field:
    """What a scanner makes of the truth: blur (sigma in pixels), noise (HU) with the grain of its kernel, clipping."""
    out = gauss(hu, blur) if blur > 0.2 else hu.copy()
    for k in range(len(out)):
        grain = gauss(rng.standard_normal(out[k].shape).astype(np.float32)[None], max(0.35, blur * 0.8))[0]
        shade = blobs(rng, (out.shape[1], out.shape[2]), max(8, out.shape[1] // 4))
        out[k] += grain * (noise / max(float(grain.std()), 1e-3)) + 3.0 * shade
    return np.asarray(np.clip(out, -1024, 3071))
