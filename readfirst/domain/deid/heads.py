"""Whether a slice shows the cross-section of a head, judged from the picture itself: labels name the protocol.

A head is one body of 11 to 25 cm with air around it, with a ring of bone or at least as deep as it is wide, and
without lungs. A picture that cannot be measured (no spacing, cut off at the sides, noise) says nothing.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from readfirst.domain.deid.pixels.text import networks

_WIDE, _DEEP = (105.0, 220.0), (120.0, 265.0)  # mm, left to right and front to back
_TRUNK = 260.0  # mm: nothing but a trunk is as wide
_FULL = 0.55  # of its box that a body fills: an oval 0.78, noise and tables less
_TISSUE, _BONE, _AIR = -300, 220, -500  # Hounsfield units
_LUNGS = 0.2  # of the body's area
_RING = 0.25  # of the body's area, enclosed by bone
_ROUND = 0.95  # depth by width, from which a body without a ring of bone is head or neck and not a small trunk
_PAIR = 0.55  # of its area, from which a second body makes the two a pair of limbs
_SIZE = 128  # pixels of the longer side: enough to measure a body, and quick

Numbers = NDArray[Any]
Mask = NDArray[np.uint8]


Region = Literal["head", "trunk", ""]


def region_shown(values: Numbers, spacing: tuple[float, float], modality: str, limb: bool = False) -> Region:
    """What a slice shows (CT: Hounsfield units; MR, PET: any numbers); "" where it cannot be told.

    `spacing`: mm between rows and between columns. `limb`: a label names a limb, which is as round as a neck.
    """
    cv2 = networks()[0]
    if values.ndim != 2 or min(values.shape) < 32 or not all(0.05 < s < 20 for s in spacing):
        return ""
    shrink = max(1.0, max(values.shape) / _SIZE)
    size = max(1, round(values.shape[1] / shrink)), max(1, round(values.shape[0] / shrink))
    small = cv2.resize(values.astype(np.float32, copy=False), size, interpolation=cv2.INTER_AREA)
    bodies = _bodies(cv2, small, modality)
    if not bodies:
        return ""
    left, top, columns, rows = cv2.boundingRect(bodies[0])
    deep, wide = rows * spacing[0] * values.shape[0] / size[1], columns * spacing[1] * values.shape[1] / size[0]
    if bodies[0].sum() < _FULL * rows * columns:
        return ""
    lungs = modality == "CT" and _share(bodies[0], small < _AIR) > _LUNGS
    cut = sum((left == 0, top == 0, left + columns == size[0], top + rows == size[1]))
    if (wide >= _TRUNK and cut < 3) or (lungs and wide >= _WIDE[0]):
        return "trunk"
    if lungs or cut > 1 or not (_WIDE[0] <= wide <= _WIDE[1] and _DEEP[0] <= deep <= _DEEP[1]):
        return ""
    if modality == "CT" and _enclosed(cv2, bodies[0], small) > _RING:
        return "head"
    pair = len(bodies) > 1 and bodies[1].sum() > _PAIR * bodies[0].sum()
    return "head" if not limb and not pair and deep >= _ROUND * wide else ""


def _bodies(cv2: Any, small: NDArray[np.float32], modality: str) -> list[Mask]:
    """The bodies of a slice without holes, largest first; thin things (tables, holders) are opened away."""
    level = _TISSUE if modality == "CT" else _level(small)
    solid = cv2.morphologyEx((small > level).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    outlines, _ = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outlines = sorted(outlines, key=cv2.contourArea, reverse=True)[:2]
    return [cv2.drawContours(np.zeros_like(solid), [o], -1, 1, cv2.FILLED) for o in outlines if len(o) > 8]


def _level(small: NDArray[np.float32]) -> float:
    """Between air and tissue, where the numbers have no unit: a tenth of the bright values above the dark ones."""
    low, high = np.percentile(small, (1, 99))
    return float(low + 0.12 * (high - low))


def _share(body: Mask, where: NDArray[np.bool_]) -> float:
    return float((where & (body > 0)).sum() / max(1, int(body.sum())))


def _enclosed(cv2: Any, body: Mask, small: NDArray[np.float32]) -> float:
    """How much of the body lies within its largest closed ring of bone."""
    bone = ((small > _BONE) & (body > 0)).astype(np.uint8)
    bone = cv2.morphologyEx(bone, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    outlines, _ = cv2.findContours(bone, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    largest = max(outlines, key=cv2.contourArea, default=None)
    if largest is None:
        return 0.0
    inside = cv2.drawContours(np.zeros_like(bone), [largest], -1, 1, cv2.FILLED)
    hollow = inside.sum() - (bone & inside).sum()
    return float(hollow / max(1, int(body.sum()))) if hollow > 0.5 * inside.sum() else 0.0
