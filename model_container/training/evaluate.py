"""Calibrates the default model on tuning phantoms and measures it on held-out ones, with the job's own code.

Needs no torch: what is measured is what runs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model_container.engines.chest.candidates import find_lungs, to_scene
from model_container.engines.chest.engine import FEATURES, Calibration, ChestEngine, gate, to_mask
from model_container.engines.engine import Mask
from model_container.engines.masks import longest_diameter, pieces
from model_container.phantoms.shapes import LUNG, NODULE, Lesion
from model_container.training.slabs import Slab
from readfirst.domain.analysis.models import Manifest

URGENT_MM = 15.0
"""A study is urgent when it holds a lesion of at least this diameter (Lung-RADS 2022, category 4B, solid)."""
_SMALLEST = 25.0  # mm³: smaller blobs of the baseline are noise
_DENSE = -350  # HU: the baseline's threshold


@dataclass(frozen=True)
class Candidate:
    """What was proposed, and the lesion that it belongs to (-1: none)."""

    features: NDArray[np.float64]
    diameter_mm: float
    lesion: int
    mask: Mask | None = None
    overlap: int = 0  # voxels of the mask that are nodule


@dataclass
class Case:
    """One phantom as somebody saw it."""

    lesions: tuple[Lesion, ...]
    candidates: list[Candidate] = field(default_factory=list)
    nodule_voxels: int = 0
    lung_dice: float = 0.0
    refused: bool = False

    @property
    def urgent(self) -> bool:
        """The truth about the study."""
        return any(lesion.diameter >= URGENT_MM for lesion in self.lesions)

    def nodule_dice(self, reported: Sequence[Candidate]) -> float:
        """How well what is reported covers what is nodule; a missed lesion counts."""
        sizes = self.nodule_voxels + sum(int(c.mask.voxels.sum()) for c in reported if c.mask)
        return 2 * sum(c.overlap for c in reported) / max(1, sizes)


def by_network(engine: ChestEngine, slab: Slab) -> Case:
    """What the model sees."""
    case, volume = Case(slab.lesions), slab.volume()
    scene = to_scene(volume)
    lungs = find_lungs(scene)
    case.refused = gate(scene, lungs, engine.calibration) is not None
    for suspect in engine.suspects(scene, lungs, volume.spacing, lambda _: None):
        mask = to_mask(suspect.look, suspect.outline, scene, volume)
        piece = np.argwhere(mask.voxels) + mask.start
        overlap = int((slab.labels[tuple(piece.T)] == NODULE).sum())
        lesion, diameter = _lesion_of(piece, slab), longest_diameter(mask, volume)
        case.candidates.append(Candidate(suspect.features(scene), diameter, lesion, mask, overlap))
    case.nodule_voxels = int((slab.labels == NODULE).sum())
    middle = scene.levels[1]
    at = [
        np.clip(np.round((middle.first[k] + np.arange(n) * middle.step[k]) / step), 0, slab.labels.shape[k] - 1)
        for k, (n, step) in enumerate(zip(middle.hu.shape, (volume.spacing, *volume.pixel), strict=True))
    ]
    case.lung_dice = _dice(slab.labels[np.ix_(*(a.astype(int) for a in at))] == LUNG, lungs.air)
    return case


def by_truth(slab: Slab) -> Case:
    """The oracle: the phantom's own labels, through the same measuring. What it misses, measuring misses."""
    return _by_mask(slab.labels == NODULE, slab)


def by_threshold(slab: Slab) -> Case:
    """The baseline: what is dense inside the true lungs (which a threshold finds well) is a nodule."""
    return _by_mask((slab.hu > _DENSE) & ((slab.labels == LUNG) | (slab.labels == NODULE)), slab)


def _by_mask(mask: NDArray[np.bool_], slab: Slab) -> Case:
    case, volume = Case(slab.lesions), slab.volume()
    smallest = _SMALLEST / (slab.pixel**2 * volume.spacing)
    for piece in pieces(mask):
        if len(piece) < smallest:
            continue
        low = piece.min(0)
        own = np.zeros(tuple(piece.max(0) - low + 1), np.bool_)
        own[tuple((piece - low).T)] = True
        start = (int(low[0]), int(low[1]), int(low[2]))
        diameter = longest_diameter(Mask(start, own), volume)
        case.candidates.append(Candidate(np.zeros(len(FEATURES)), diameter, _lesion_of(piece, slab)))
    return case


def _dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float(2 * (a & b).sum() / max(1, a.sum() + b.sum()))


def _lesion_of(piece: NDArray[np.intp], slab: Slab) -> int:
    """The lesion whose true voxels the piece holds, if they are a fair part of it."""
    true = piece[slab.labels[tuple(piece.T)] == NODULE]
    if len(true) < 0.2 * len(piece) or not slab.lesions:
        return -1
    at = true.mean(0) * np.array([slab.zs[1] - slab.zs[0], slab.pixel, slab.pixel])
    gaps = [float(np.linalg.norm(at - slab.in_scene(one))) - one.diameter / 2 for one in slab.lesions]
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
    """Fits the suspects' probabilities and the study's risk (Platt scaling) on tuning phantoms.

    What counts as large is fitted too: the longest diameter, which is measured, is more than the drawn mean one.
    """
    every = [candidate for case in cases for candidate in case.candidates]
    x = np.array([candidate.features for candidate in every])
    y = np.array([float(candidate.lesion >= 0) for candidate in every])
    weights, bias = fit_logistic(x, y)
    urgent = np.array([float(case.urgent) for case in cases])
    tried = [
        _risk(Calibration(tuple(weights), bias, 1.0, middle, size, 0.0), cases, urgent)
        for middle in (15.0, 16.0, 17.0, 18.0, 19.0, 20.0) for size in (8.0, 12.0, 18.0, 30.0)
    ]  # fmt: skip
    return min(tried, key=lambda one: one[0])[1]


def _risk(first: Calibration, cases: Sequence[Case], urgent: NDArray[np.float64]) -> tuple[float, Calibration]:
    """The calibration with its risk scaled, rounded as it is kept; and its mean log loss."""
    worry = np.array([[worry_of(first, case)] for case in cases])
    slope, shift = fit_logistic(worry, urgent, ridge=0.2)
    p = 1 / (1 + np.exp(-(worry @ slope + shift)))
    loss = -float(np.mean(np.log(np.where(urgent > 0, p, 1 - p))))
    return loss, replace(
        first,
        weights=tuple(round(float(v), 5) for v in first.weights), bias=round(first.bias, 5),
        risk_slope=round(float(slope[0]), 5), risk_bias=round(shift, 5),
    )  # fmt: skip


def worry_of(calibration: Calibration, case: Case) -> float:
    """How worrying a case looks."""
    return calibration.worry([(calibration.probability(c.features), c.diameter_mm) for c in case.candidates])


def write_calibration(calibration: Calibration, path: Path) -> None:
    """As the job reads it."""
    path.write_text(json.dumps(asdict(calibration), indent=1) + "\n")


NEUTRAL = Calibration((1.0,) + (0.0,) * (len(FEATURES) - 1), 0.0, 1.0, 15.0, 8.0, 0.0)
"""The network's own logit, before any calibration."""
