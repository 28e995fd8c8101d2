"""Calibrates the default model on tuning phantoms and measures it on held-out ones, with the job's own code.

Needs no torch: what is measured is what runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_container.chest import (
    FEATURES,
    Calibration,
    ChestEngine,
    Maps,
    candidates,
    describe,
    longest_diameter,
    to_mask,
    to_network,
)
from model_container.training.anatomy import LUNG, NODULE, Lesion
from model_container.training.slabs import PIXEL, SPACING, Slab
from model_container.volume import Volume
from readfirst.domain.models import Manifest

URGENT_MM = 15.0
"""A study is urgent when it holds a lesion of at least this diameter (Lung-RADS 2022, category 4B, solid)."""


@dataclass(frozen=True)
class Candidate:
    """What the network proposed, and the lesion that it belongs to (-1: none)."""

    features: NDArray[np.float64]
    diameter_mm: float
    lesion: int


@dataclass
class Case:
    """One phantom as the network saw it."""

    lesions: tuple[Lesion, ...]
    candidates: list[Candidate] = field(default_factory=list)
    dice: dict[str, float] = field(default_factory=dict)

    @property
    def urgent(self) -> bool:
        """The truth about the study."""
        return any(lesion.diameter >= URGENT_MM for lesion in self.lesions)


def as_volume(slab: Slab) -> Volume:
    """A slab as the job would have read it from files."""
    half = (slab.hu.shape[1] - 1) / 2 * PIXEL
    positions = np.array([[-half, -half, z] for z in slab.zs])
    count = len(slab.hu)
    return Volume(
        slab.hu, positions, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (PIXEL, PIXEL), SPACING, (), (1,) * count
    )  # fmt: skip


Segment = Callable[[NDArray[np.float32], Slab], Maps]


def by_network(engine: ChestEngine) -> Segment:
    """The model itself."""
    return lambda hu, slab: engine.segment(hu, lambda _: None)


def by_truth(hu: NDArray[np.float32], slab: Slab) -> Maps:
    """The oracle: the phantom's own labels, through the same measuring. What it misses, measuring misses."""
    pad = [(0, 0)] + [(0, h - s) for h, s in zip(hu.shape[1:], slab.labels.shape[1:], strict=True)]
    labels = np.pad(slab.labels, pad)
    areas = np.stack([np.bincount(plane.ravel(), minlength=5) * PIXEL * PIXEL for plane in labels])
    return Maps(areas, (labels == NODULE).astype(np.float32), labels == LUNG, -850.0)


def by_threshold(hu: NDArray[np.float32], slab: Slab) -> Maps:
    """The baseline: what is dense inside the true lungs (which a threshold finds well) is a nodule."""
    truth = by_truth(hu, slab)
    inside = truth.lung | (truth.nodule > 0)
    return Maps(truth.areas, ((hu > -350) & inside).astype(np.float32), truth.lung & (hu < -350), -850.0)


def look(slab: Slab, segment: Segment) -> Case:
    """Runs one phantom and compares candidates with the truth."""
    volume = as_volume(slab)
    hu, space = to_network(volume)
    maps = segment(hu, slab)
    case = Case(slab.lesions)
    for piece in candidates(maps):
        mask = to_mask(piece, maps.nodule, space, volume)
        case.candidates.append(
            Candidate(describe(piece, maps, hu), longest_diameter(mask, volume), _lesion_of(piece, slab))
        )
    truth, found = slab.labels == NODULE, maps.nodule[:, : slab.labels.shape[1], : slab.labels.shape[2]] > 0.5
    lung = maps.lung[:, : slab.labels.shape[1], : slab.labels.shape[2]]
    case.dice = {"lung": _dice(slab.labels == LUNG, lung)}
    if truth.any():
        case.dice["nodule"] = _dice(truth, found)
    return case


def _dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float(2 * (a & b).sum() / max(1, a.sum() + b.sum()))


def _lesion_of(piece: NDArray[np.intp], slab: Slab) -> int:
    """The lesion whose true voxels the piece holds, if they are a fair part of it."""
    inside = piece[(piece[:, 1] < slab.labels.shape[1]) & (piece[:, 2] < slab.labels.shape[2])]
    true = inside[slab.labels[tuple(inside.T)] == NODULE]
    if len(true) < 0.2 * len(piece) or not slab.lesions:
        return -1
    half = (slab.hu.shape[1] - 1) / 2
    centre = true.mean(0)
    at = np.array(
        [(centre[2] - half) * PIXEL, (centre[1] - half) * PIXEL, np.interp(centre[0], np.arange(len(slab.zs)), slab.zs)]
    )
    gaps = [float(np.linalg.norm(at - np.array(lesion.centre))) - lesion.diameter / 2 for lesion in slab.lesions]
    return int(np.argmin(gaps))


_ENGINES: dict[Path, ChestEngine] = {}


def engine_of(bundle: Path) -> ChestEngine:
    """The bundle's engine, loaded once per process."""
    if bundle not in _ENGINES:
        manifest = Manifest.model_validate_json((bundle / "manifest.json").read_text())
        _ENGINES[bundle] = ChestEngine(bundle, manifest)
    return _ENGINES[bundle]


# ---------------------------------------------------------------- calibration


def fit_logistic(
    x: NDArray[np.float64], y: NDArray[np.float64], ridge: float = 1.0
) -> tuple[NDArray[np.float64], float]:
    """Weights and bias of a logistic regression (Newton's method, ridge on the weights)."""
    wide = np.column_stack([x, np.ones(len(x))])
    beta = np.zeros(wide.shape[1])
    penalty = np.diag([ridge] * x.shape[1] + [1e-6])
    for _ in range(40):
        p = 1 / (1 + np.exp(-np.clip(wide @ beta, -30, 30)))
        slope = wide.T @ (y - p) - penalty @ beta
        curve = (wide * (p * (1 - p))[:, None]).T @ wide + penalty
        step = np.linalg.solve(curve, slope)
        beta += step
        if np.abs(step).max() < 1e-8:
            break
    return beta[:-1], float(beta[-1])


def calibrate(cases: Sequence[Case]) -> Calibration:
    """Fits candidate probabilities and the study's risk (Platt scaling) on tuning phantoms."""
    every = [candidate for case in cases for candidate in case.candidates]
    x = np.array([candidate.features for candidate in every])
    y = np.array([float(candidate.lesion >= 0) for candidate in every])
    means, scales = x.mean(0), x.std(0) + 1e-3
    weights, bias = fit_logistic((x - means) / scales, y, ridge=2.0)
    first = Calibration(tuple(weights), tuple(means), tuple(scales), bias, 1.0, 2.0, 0.0)
    worry = np.array([[worst(first, case)] for case in cases])
    slope, shift = fit_logistic(worry, np.array([float(case.urgent) for case in cases]), ridge=0.01)
    return Calibration(
        tuple(round(float(v), 5) for v in weights), tuple(round(float(v), 5) for v in means),
        tuple(round(float(v), 5) for v in scales), round(bias, 5), round(float(slope[0]), 5), 2.0, round(shift, 5),
    )  # fmt: skip


def worst(calibration: Calibration, case: Case) -> float:
    """The most worrying candidate of a case."""
    return max(
        (calibration.worry(calibration.probability(c.features), c.diameter_mm) for c in case.candidates),
        default=calibration.worry(0.0, 1.0),
    )


def write_calibration(calibration: Calibration, path: Path) -> None:
    """As the job reads it."""
    path.write_text(json.dumps(asdict(calibration), indent=1) + "\n")


NEUTRAL = Calibration((0.0,) * len(FEATURES), (0.0,) * len(FEATURES), (1.0,) * len(FEATURES), 0.0, 1.0, 2.0, 0.0)
