"""The default engine: finds nodules and masses in chest CT in two steps, on ONNX Runtime.

First the lungs are found and every round dense place in them (`lungs`, formulas only); then a small network looks at a
box around each place (`crops`) and says whether a nodule lies there and what belongs to it. Likely ones get a
second look, centred on what the first one saw.

SYNTHETIC MODEL, NOT FOR DIAGNOSIS: it was trained on procedural phantoms only.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from pydantic import TypeAdapter

from model_container.engines.chest.candidates import Lungs, Scene, find_lungs, find_spots, to_scene
from model_container.engines.chest.crops import SHAPE, cut, voxel_of
from model_container.engines.engine import Detection, Mask, OutOfScope, Progress, Reading
from model_container.engines.masks import longest_diameter, pieces
from model_container.images.volume import Volume
from readfirst.domain.analysis.models import Channel, Manifest

T = TypeVar("T")
Place = tuple[tuple[float, float, float], float]
"""Where to look, in the scene, and the diameter of what is expected there, in mm."""

_WORTH_A_SECOND_LOOK = -1.0  # the first look's logit
_SECOND_LOOKS = 24
_SURE = 0.5  # the share from which a voxel belongs to a nodule
_FLIPS = ((), (1,), (2,), (3,))  # the second look is the mean of four
FEATURES = ("second look", "first look", "log diameter", "at the end")


@dataclass(frozen=True)
class Look:
    """The network's answer about one box of the scene."""

    at: tuple[float, float, float]  # the box's centre, mm
    voxel: float
    logit: float
    share: NDArray[np.float32]  # per voxel of the box

    def outline(self) -> NDArray[np.float32] | None:
        """The shares of the piece in the middle alone; None where there is none."""
        middle = (np.array(SHAPE) - 1) / 2
        best, nearest = None, 0.3 * SHAPE[1]
        for piece in pieces(self.share > _SURE):
            gap = float(np.linalg.norm(piece - middle, axis=1).min())
            if gap < nearest and len(piece) > 1:
                best, nearest = piece, gap
        if best is None:
            return None
        own = np.zeros(SHAPE, np.float32)
        near = tuple(slice(max(0, int(a) - 1), int(b) + 2) for a, b in zip(best.min(0), best.max(0), strict=True))
        own[near] = np.minimum(self.share[near], _SURE - 0.01)  # the soft edge lets the outline run between voxels
        own[tuple(best.T)] = self.share[tuple(best.T)]
        return own

    def middle(self, outline: NDArray[np.float32]) -> tuple[tuple[float, float, float], float]:
        """Where the outline's centre lies, and the diameter of a ball of its volume."""
        inside = np.argwhere(outline > _SURE)
        place = np.array(self.at) + (inside.mean(0) - (np.array(SHAPE) - 1) / 2) * self.voxel
        diameter = 2 * (3 * len(inside) / (4 * math.pi)) ** (1 / 3) * self.voxel
        return (float(place[0]), float(place[1]), float(place[2])), diameter


@dataclass(frozen=True)
class Suspect:
    """What the network takes for a nodule, after the second look."""

    at: tuple[float, float, float]
    diameter: float
    first: float  # logits
    second: float
    look: Look
    outline: NDArray[np.float32]

    def features(self, scene: Scene) -> NDArray[np.float64]:
        """What its probability is made from."""
        fine = scene.levels[0]
        low, high = self.at[0] - self.diameter / 2, self.at[0] + self.diameter / 2
        at_end = low < fine.first[0] or high > fine.first[0] + (len(fine.hu) - 1) * fine.step[0]
        return np.array([self.second, self.first, math.log(self.diameter), float(at_end)])


class ChestEngine:
    """Loads the network once; reads any number of volumes."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.manifest = manifest
        self.channel: Channel = manifest.targets[0]
        self.calibration = Calibration.load(folder / "calibration.json")
        self.network = Network(folder)
        self.device = self.network.device

    def read(self, volume: Volume, progress: Progress) -> Reading | OutOfScope:
        """Gates the study on what is seen, and turns suspects into findings."""
        scene = to_scene(volume)
        lungs = find_lungs(scene)
        refused = gate(scene, lungs, self.calibration)
        if refused:
            return refused
        suspects = self.suspects(scene, lungs, volume.spacing, progress)
        found = [self._detection(suspect, scene, volume) for suspect in suspects]
        kept = [d for d in found if d.probability >= self.manifest.risk.report_from]
        kept.sort(key=lambda d: (-d.probability, -d.diameter_mm))
        return Reading(tuple(kept), self.calibration.study_risk(found), {"candidates": float(len(found))})

    def suspects(self, scene: Scene, lungs: Lungs, spacing: float, progress: Progress) -> list[Suspect]:
        """Judges every spot, outlines the likely ones, looks at them again; of two views of a thing the surer stays."""
        places = [(spot.at, spot.diameter) for spot in find_spots(scene, lungs)]
        logits = self._judge(scene, places, spacing, lambda share: progress(0.8 * share))
        likely = [place for place, logit in zip(places, logits, strict=True) if logit > _WORTH_A_SECOND_LOOK]
        looks = self._look(scene, likely, spacing, lambda share: progress(0.8 + 0.1 * share))
        first = list(islice(_distinct(looks), _SECOND_LOOKS))
        again = [(at, diameter) for _, _, at, diameter in first]
        second = self._look(scene, again, spacing, lambda share: progress(0.9 + 0.1 * share), _FLIPS)
        sure = {id(look): one.logit for look, (one, *_) in zip(second, first, strict=True)}
        return [
            Suspect(at, diameter, sure[id(look)], look.logit, look, outline)
            for look, outline, at, diameter in _distinct(second)
        ]  # fmt: skip

    def _judge(self, scene: Scene, places: Sequence[Place], spacing: float, progress: Progress) -> list[float]:
        """The places' logits."""

        def judge(part: Sequence[Place]) -> list[float]:
            logits: list[float] = self.network.judge(*boxes_at(scene, part, spacing)).tolist()
            return logits

        return [logit for logits in self._batches(judge, places, progress) for logit in logits]

    def _look(
        self, scene: Scene, places: Sequence[Place], spacing: float, progress: Progress,
        flips: Sequence[tuple[int, ...]] = ((),),
    ) -> list[Look]:  # fmt: skip
        """The places' logits and outlines; each is the mean over the box as it is and flipped."""

        def look(part: Sequence[Place]) -> list[Look]:
            boxes, about = boxes_at(scene, part, spacing)
            answers = [self.network.outline(np.ascontiguousarray(np.flip(boxes, axes)), about) for axes in flips]
            logits = np.mean([logits for logits, _ in answers], axis=0)
            shares = np.mean([np.flip(s, axes) for (_, s), axes in zip(answers, flips, strict=True)], axis=0)
            return [
                Look(at, float(voxel), float(logit), share)
                for (at, _), (voxel, _), logit, share in zip(part, about, logits, shares, strict=True)
            ]

        return [one for looks in self._batches(look, places, progress) for one in looks]

    def _batches(
        self, work: Callable[[Sequence[Place]], T], places: Sequence[Place], progress: Progress
    ) -> Iterator[T]:
        """Work on batches of places: a batch to a core, so that no core waits for another after every layer."""
        size = self.network.batch
        parts = [places[start : start + size] for start in range(0, len(places), size)]
        with ThreadPoolExecutor(self.network.at_once) as pool:
            for k, answer in enumerate(pool.map(work, parts), start=1):
                yield answer
                progress(k / len(parts))

    def _detection(self, suspect: Suspect, scene: Scene, volume: Volume) -> Detection:
        mask = to_mask(suspect.look, suspect.outline, scene, volume)
        return Detection(
            channel=self.channel,
            probability=self.calibration.probability(suspect.features(scene)),
            diameter_mm=round(longest_diameter(mask, volume), 1),
            volume_mm3=round(float(mask.voxels.sum()) * volume.pixel[0] * volume.pixel[1] * volume.spacing, 1),
            centre=tuple(float(v) for v in np.argwhere(mask.voxels).mean(0) + mask.start),  # type: ignore[arg-type]
            mask=mask,
        )


class Network:
    """The network on ONNX Runtime, in two halves: few places are worth an outline."""

    def __init__(self, folder: Path) -> None:
        self._first, self.device = open_session(folder / "look.onnx")
        self._second, _ = open_session(folder / "draw.onnx")
        cores = int(os.environ.get("READFIRST_THREADS") or os.cpu_count() or 1)
        # A GPU takes large batches, and the next one is cut out while it works on one.
        self.batch, self.at_once = (256, 2) if self.device == "cuda" else (8, cores)

    def judge(self, boxes: NDArray[np.float32], about: NDArray[np.float32]) -> NDArray[np.float32]:
        """Per box the logit that a nodule lies in its middle. Shapes as `boxes_at` gives them."""
        return np.asarray(self._first.run(["logit"], {"hu": boxes, "about": about})[0])

    def outline(
        self, boxes: NDArray[np.float32], about: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Per box its logit, and the share of nodule in every voxel."""
        logits, *seen = self._first.run(None, {"hu": boxes, "about": about})
        (shares,) = self._second.run(None, dict(zip(("shallow", "middle", "deep"), seen, strict=True)))
        return logits, shares


def boxes_at(scene: Scene, places: Sequence[Place], spacing: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The network's input: boxes, and per box its voxel and the study's slices in mm."""
    voxels = [voxel_of(diameter) for _, diameter in places]
    boxes = [cut(scene, at, voxel) for (at, _), voxel in zip(places, voxels, strict=True)]
    return np.stack(boxes), np.array([(voxel, spacing) for voxel in voxels], np.float32)


def _distinct(
    looks: Sequence[Look],
) -> Iterator[tuple[Look, NDArray[np.float32], tuple[float, float, float], float]]:
    """Looks that outline something of their own, the surest first: look, outline, its centre and diameter."""
    kept: list[tuple[tuple[float, float, float], float]] = []
    for look in sorted(looks, key=lambda one: -one.logit):
        outline = look.outline()
        if outline is None:
            continue
        at, diameter = look.middle(outline)
        if all(math.dist(at, other) > max(2.0, 0.5 * max(diameter, size)) for other, size in kept):
            kept.append((at, diameter))
            yield look, outline, at, diameter


def open_session(model: Path) -> tuple[ort.InferenceSession, str]:
    """CUDA where there is a GPU; else the calling thread's core."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1  # whole batches are shared among the cores
    wanted = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in ort.get_available_providers()]
    if wanted[0] == "CUDAExecutionProvider":
        ort.preload_dlls()  # CUDA's libraries come as wheels beside onnxruntime
    session = ort.InferenceSession(model, options, providers=wanted)
    return session, "cuda" if session.get_providers()[0] == "CUDAExecutionProvider" else "cpu"


# ---------------------------------------------------------------- back to the scanner's voxels


def to_mask(look: Look, outline: NDArray[np.float32], scene: Scene, volume: Volume) -> Mask:
    """An outline at the scanner's own resolution."""
    weights, starts = [], []
    steps = (volume.spacing, *volume.pixel)
    held = np.argwhere(outline > 0)
    for axis, (count, step) in enumerate(zip(volume.hu.shape, steps, strict=True)):
        index = (np.arange(count) * step - look.at[axis]) / look.voxel + (SHAPE[axis] - 1) / 2
        near = np.nonzero((index > held[:, axis].min() - 1) & (index < held[:, axis].max() + 1))[0]
        if not len(near):  # it lies between two slices
            near = np.array([np.abs(index - held[:, axis].mean()).argmin()])
        weights.append(np.maximum(0, 1 - np.abs(index[near][:, None] - np.arange(SHAPE[axis]))).astype(np.float32))
        starts.append(int(near[0]))
    share = np.tensordot(weights[0], np.matmul(weights[1], outline) @ weights[2].T, axes=(1, 0))
    voxels = share > _SURE
    if not voxels.any():  # thin: the likeliest voxel stands for it
        voxels.flat[int(np.argmax(share))] = True
    held = np.argwhere(voxels)
    low, high = held.min(0), held.max(0) + 1
    voxels = voxels[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))]
    start = [int(a + b) for a, b in zip(starts, low, strict=True)]
    for axis, turned in ((1, scene.flip[0]), (2, scene.flip[1])):
        if turned:
            start[axis] = volume.hu.shape[axis] - start[axis] - voxels.shape[axis]
            voxels = np.flip(voxels, axis)
    return Mask((start[0], start[1], start[2]), np.ascontiguousarray(voxels))


# ---------------------------------------------------------------- the gate on what is seen


def gate(scene: Scene, lungs: Lungs, calibration: Calibration) -> OutOfScope | None:
    """Is this a chest? Enough slices must show lungs, and they must be a fair part of a body of a body's size."""
    lung, body = lungs.areas.T
    chest = (lung >= 3500) & (body >= 15000) & (lung > 0.08 * body) & (lung < 0.85 * body)
    if chest.sum() * scene.levels[2].step[0] < calibration.min_lung_mm or chest.mean() < calibration.min_lung_share:
        return OutOfScope("no-chest-seen", "The pictures do not show enough lung for this model.")
    return None


# ---------------------------------------------------------------- probabilities


@dataclass(frozen=True)
class Calibration:
    """Numbers fitted on tuning phantoms: from a suspect's features to its probability, and to the study's risk."""

    weights: tuple[float, ...]
    bias: float
    risk_slope: float
    risk_middle: float  # mm: a finding measured so wide counts half as a large one
    risk_size: float  # how sharply
    risk_bias: float
    min_lung_mm: float = 15.0
    min_lung_share: float = 0.25

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Reads the numbers that `training.evaluate` wrote."""
        return TypeAdapter(cls).validate_json(path.read_bytes())

    def probability(self, features: NDArray[np.float64]) -> float:
        """That a suspect is a nodule or mass."""
        return round(_logistic(float(features @ np.array(self.weights)) + self.bias), 4)

    def study_risk(self, found: list[Detection]) -> float:
        """That the study holds a lesion that needs urgent reading."""
        worry = self.worry([(d.probability, d.diameter_mm) for d in found])
        return round(_logistic(self.risk_slope * worry + self.risk_bias), 4)

    def worry(self, found: Sequence[tuple[float, float]]) -> float:
        """One number for how likely it is that any of these is a nodule and large: a logit before calibration."""
        calm = 1.0
        for probability, diameter_mm in found:
            large = _logistic(self.risk_size * math.log(max(diameter_mm, 1.0) / self.risk_middle))
            calm *= 1 - probability * large
        worry = min(max(1 - calm, 1e-3), 1 - 1e-3)
        return math.log(worry / (1 - worry))


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-max(-40.0, min(40.0, value))))
