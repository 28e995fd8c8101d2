"""The default engine: a small network on ONNX Runtime that finds nodules and masses in chest CT.

SYNTHETIC MODEL, NOT FOR DIAGNOSIS: it was trained on procedural phantoms only.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from PIL import Image
from pydantic import TypeAdapter

from model_container.components import pieces
from model_container.reading import Detection, Mask, OutOfScope, Progress, Reading
from model_container.volume import AIR, Volume
from readfirst.domain.models import Channel, Manifest

PIXEL, SPACING = 1.5, 2.5  # mm: the network's own space
NEIGHBOURS = 2
LUNG, MEDIASTINUM, BONE, NODULE = 1, 2, 3, 4
_STEP = 16  # the network halves its input four times
_SEED, _GROW = 0.5, 0.3  # a candidate grows from sure voxels into likely ones
_SMALLEST = 25.0  # mm³: less is noise
_LUNG_AROUND = 0.15  # of a candidate's surroundings


@dataclass(frozen=True)
class Space:
    """How the network's voxels map to the volume's."""

    shape: tuple[int, int, int]
    z: NDArray[np.float64]  # per network slice: its place among the volume's slices
    scale: tuple[float, float]  # volume pixels in one network pixel: rows, columns
    flip: tuple[bool, bool]  # rows, columns turned so that left and back come last
    size: tuple[int, int]  # rows and columns of the volume

    def to_volume(self, z: float, row: float, column: float) -> tuple[float, float, float]:
        """A network voxel's place in the volume, in its own (fractional) indexes."""
        place = float(np.interp(z, np.arange(len(self.z)), self.z))
        at = [(v + 0.5) * s - 0.5 for v, s in zip((row, column), self.scale, strict=True)]
        at = [n - 1 - v if f else v for v, n, f in zip(at, self.size, self.flip, strict=True)]
        return place, at[0], at[1]


@dataclass(frozen=True)
class Maps:
    """The network's answer in its own space: class areas per slice (mm²) and the nodule map."""

    areas: NDArray[np.float64]  # [slice, class]
    nodule: NDArray[np.float32]  # [slice, row, column]
    lung: NDArray[np.bool_]  # [slice, row, column]: what is lung and nothing else
    lung_hu: float  # median density of what was called lung


class ChestEngine:
    """Loads the network once; reads any number of volumes."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.manifest = manifest
        self.channel: Channel = manifest.targets[0]
        self.calibration = Calibration.load(folder / "calibration.json")
        self.session, self.device = open_session(folder / "model.onnx")
        self.batch = 16 if self.device == "cuda" else 2

    def read(self, volume: Volume, progress: Progress) -> Reading | OutOfScope:
        """Segments every slice, gates the study on what is seen, and turns nodule voxels into findings."""
        network_hu, space = to_network(volume)
        maps = self.segment(network_hu, progress)
        refused = gate(maps, self.calibration)
        if refused:
            return refused
        found = [self._detection(piece, maps, network_hu, space, volume) for piece in candidates(maps)]
        kept = [d for d in found if d.probability >= self.manifest.risk.report_from]
        kept.sort(key=lambda d: (-d.probability, -d.diameter_mm))
        return Reading(tuple(kept), self.calibration.study_risk(found), {"candidates": float(len(found))})

    def segment(self, hu: NDArray[np.float32], progress: Progress) -> Maps:
        """Runs the network over all slices, in batches; only what is needed later is kept."""
        depth = len(hu)
        box = body_box(hu)
        crop = hu[:, box[0], box[1]]
        nodule = np.zeros(hu.shape, np.float32)
        lung = np.zeros(hu.shape, np.bool_)
        areas = np.zeros((depth, 5))
        lung_values: list[NDArray[np.float32]] = []
        for first in range(0, depth, self.batch):
            zs = np.arange(first, min(first + self.batch, depth))
            stack = np.clip(zs[:, None] + np.arange(-NEIGHBOURS, NEIGHBOURS + 1), 0, depth - 1)
            shares = self.session.run(None, {"hu": crop[stack]})[0]
            winner = shares.argmax(1)
            nodule[first : first + len(zs), box[0], box[1]] = shares[:, NODULE]
            lung[first : first + len(zs), box[0], box[1]] = winner == LUNG
            for k, z in enumerate(zs):
                areas[z] = np.bincount(winner[k].ravel(), minlength=5) * PIXEL * PIXEL
                lung_values.append(crop[z][winner[k] == LUNG][::7])
            progress((first + len(zs)) / depth)
        lungs = np.concatenate(lung_values)
        return Maps(areas, nodule, lung, float(np.median(lungs)) if len(lungs) else 0.0)

    def _detection(
        self, piece: NDArray[np.intp], maps: Maps, hu: NDArray[np.float32], space: Space, volume: Volume
    ) -> Detection:
        features = describe(piece, maps, hu)
        mask = to_mask(piece, maps.nodule, space, volume)
        return Detection(
            channel=self.channel,
            probability=self.calibration.probability(features),
            diameter_mm=round(longest_diameter(mask, volume), 1),
            volume_mm3=round(float(mask.voxels.sum()) * volume.pixel[0] * volume.pixel[1] * volume.spacing, 1),
            centre=tuple(float(v) for v in np.argwhere(mask.voxels).mean(0) + mask.start),  # type: ignore[arg-type]
            mask=mask,
        )


def open_session(model: Path) -> tuple[ort.InferenceSession, str]:
    """CUDA where there is a GPU, else all cores."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads leave shared cores alone
    options.intra_op_num_threads = int(os.environ.get("READFIRST_THREADS", "0"))
    wanted = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in ort.get_available_providers()]
    if wanted[0] == "CUDAExecutionProvider":
        ort.preload_dlls()  # CUDA's libraries come as wheels beside onnxruntime
    session = ort.InferenceSession(model, options, providers=wanted)
    return session, "cuda" if session.get_providers()[0] == "CUDAExecutionProvider" else "cpu"


# ---------------------------------------------------------------- from the scanner's space to the network's and back


def to_network(volume: Volume) -> tuple[NDArray[np.float32], Space]:
    """Resamples to 1.5 mm pixels and 2.5 mm slices, left and back last, whatever the scanner and patient did."""
    flip = (bool(volume.along_rows[1] < 0), bool(volume.along_columns[0] < 0))
    rows, columns = volume.hu.shape[1:]
    size = (max(16, round(rows * volume.pixel[0] / PIXEL)), max(16, round(columns * volume.pixel[1] / PIXEL)))

    def plane(k: int) -> NDArray[np.float32]:
        image = Image.fromarray(volume.hu[k].astype(np.float32))
        small = np.asarray(image.resize((size[1], size[0]), Image.Resampling.BILINEAR))
        return small[:: -1 if flip[0] else 1, :: -1 if flip[1] else 1]

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        planes = np.stack(list(pool.map(plane, range(len(volume.hu)))))
    weights, z = _slice_weights(len(planes), volume.spacing)
    hu = planes if weights is None else np.tensordot(weights, planes, axes=(1, 0))
    padded = np.pad(hu, ((0, 0), (0, -size[0] % _STEP), (0, -size[1] % _STEP)), constant_values=AIR)
    scale = (rows / size[0], columns / size[1])
    return np.ascontiguousarray(padded, np.float32), Space(padded.shape, z, scale, flip, (rows, columns))


def _slice_weights(count: int, spacing: float) -> tuple[NDArray[np.float32] | None, NDArray[np.float64]]:
    """How the network's slices are mixed from the scanner's (None: as they are), and where they lie among them."""
    if 0.85 * SPACING <= spacing <= 1.15 * SPACING:
        return None, np.arange(count, dtype=np.float64)
    z = np.arange(0, (count - 1) * spacing + 1e-6, SPACING) / spacing
    reach = max(1.0, SPACING / spacing)
    weights = np.maximum(0.0, 1 - np.abs(z[:, None] - np.arange(count)) / reach)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32), z


def body_box(hu: NDArray[np.float32]) -> tuple[slice, slice]:
    """Rows and columns that hold the body, in multiples of 16, so that air is not paid for."""
    dense = hu[:: max(1, len(hu) // 12)] > -300
    limits = []
    for axis in (1, 2):
        share = dense.mean(axis=(0, 3 - axis))
        inside = np.nonzero(share > 0.04)[0]
        size = hu.shape[axis]
        first, last = (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, size)
        first = max(0, first - 6)
        length = min(size, math.ceil((min(size, last + 6) - first) / _STEP) * _STEP)
        first = min(first, size - length)
        limits.append(slice(first, first + length))
    return limits[0], limits[1]


def to_mask(piece: NDArray[np.intp], nodule: NDArray[np.float32], space: Space, volume: Volume) -> Mask:
    """A candidate at the scanner's own resolution: its map enlarged, cut at one half."""
    low, high = piece.min(0) - 1, piece.max(0) + 2
    low, high = np.maximum(low, 0), np.minimum(high, nodule.shape)
    own = np.zeros(tuple(high - low), np.float32)
    index = tuple((piece - low).T)
    own[index] = nodule[tuple(piece.T)]
    corners = [space.to_volume(*(np.array(c) - 0.5)) for c in (low, high)]
    top, bottom = sorted((corners[0][1], corners[1][1]))
    left, right = sorted((corners[0][2], corners[1][2]))
    box = [max(0, round(top + 0.5)), max(0, round(left + 0.5))]
    shape = (max(1, min(volume.hu.shape[1], round(bottom + 0.5)) - box[0]),
             max(1, min(volume.hu.shape[2], round(right + 0.5)) - box[1]))  # fmt: skip
    turned = own[:, :: -1 if space.flip[0] else 1, :: -1 if space.flip[1] else 1]
    planes = np.stack([_enlarge(plane, shape) for plane in turned])
    first, last = math.floor(space.z[low[0]]), math.ceil(space.z[high[0] - 1])
    zs = np.interp(np.arange(first, last + 1), space.z, np.arange(len(space.z))) - low[0]
    below = np.clip(np.floor(zs).astype(int), 0, len(planes) - 1)
    above = np.minimum(below + 1, len(planes) - 1)
    share = (zs - below)[:, None, None]
    voxels = planes[below] * (1 - share) + planes[above] * share > 0.5
    if not voxels.any():  # thin: the likeliest voxel stands for it
        voxels.flat[int(np.argmax(planes[below] + planes[above]))] = True
    return Mask((first, box[0], box[1]), voxels)


def _enlarge(plane: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    image = Image.fromarray(np.ascontiguousarray(plane))
    return np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BICUBIC))


# ---------------------------------------------------------------- the gate on what is seen


def gate(maps: Maps, calibration: Calibration) -> OutOfScope | None:
    """Is this a chest? Enough slices must show lungs of a lung's density, and bone and mediastinum beside them."""
    lungs = maps.areas[:, LUNG] + maps.areas[:, NODULE]
    chest = (lungs >= 4000) & (maps.areas[:, BONE] >= 150) & (maps.areas[:, MEDIASTINUM] >= 800)
    if chest.sum() * SPACING < calibration.min_lung_mm or chest.mean() < calibration.min_lung_share:
        return OutOfScope("no-chest-seen", "The pictures do not show enough lung for this model.")
    if not -980 <= maps.lung_hu <= -450:
        return OutOfScope("densities-implausible", "What looks like lung does not have the density of lung.")
    return None


# ---------------------------------------------------------------- candidates


def candidates(maps: Maps) -> Iterator[NDArray[np.intp]]:
    """Connected likely voxels that hold a sure one, are more than noise and border on lung."""
    nodule = maps.nodule
    if nodule.max(initial=0.0) < _SEED:
        return
    for piece in pieces(nodule > _GROW):
        sure = nodule[tuple(piece.T)] > _SEED
        large = len(piece) * PIXEL * PIXEL * SPACING >= _SMALLEST
        if large and sure.any() and lung_around(piece, maps.lung) >= _LUNG_AROUND:
            yield piece


def lung_around(piece: NDArray[np.intp], lung: NDArray[np.bool_]) -> float:
    """The share of lung in the ring of three pixels around a piece: what lies in the chest's wall has none."""
    low = np.maximum(piece.min(0) - np.array([0, 3, 3]), 0)
    high = np.minimum(piece.max(0) + np.array([1, 4, 4]), lung.shape)
    own = np.zeros(tuple(high - low), np.bool_)
    own[tuple((piece - low).T)] = True
    near = own.copy()
    for _ in range(3):
        grown = near.copy()
        grown[:, 1:] |= near[:, :-1]
        grown[:, :-1] |= near[:, 1:]
        grown[:, :, 1:] |= near[:, :, :-1]
        grown[:, :, :-1] |= near[:, :, 1:]
        near = grown
    ring = near & ~own
    inside = lung[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    return float(inside[ring].mean()) if ring.any() else 0.0


FEATURES = (
    "log volume", "mean share", "highest share", "elongation", "flatness", "slices", "at the end", "contrast",
    "lung around",
)  # fmt: skip


def describe(piece: NDArray[np.intp], maps: Maps, hu: NDArray[np.float32]) -> NDArray[np.float64]:
    """What tells a nodule from a vessel: size, sureness, shape, and what is around it."""
    shares = maps.nodule[tuple(piece.T)]
    places = piece * np.array([SPACING, PIXEL, PIXEL])
    spread = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(places.T) + np.eye(3) * 0.3), 0.05))
    slices = len(np.unique(piece[:, 0]))
    low, high = np.maximum(piece.min(0) - 2, 0), piece.max(0) + 3
    around = hu[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    contrast = float(np.median(hu[tuple(piece.T)]) - np.percentile(around, 25))
    at_end = piece[:, 0].min() == 0 or piece[:, 0].max() == len(hu) - 1
    return np.array([
        math.log(len(piece) * PIXEL * PIXEL * SPACING), float(shares.mean()), float(shares.max()),
        float(spread[2] / spread[0]), float(spread[1] / spread[0]), min(slices, 6) / 6, float(at_end),
        contrast / 1000, lung_around(piece, maps.lung),
    ])  # fmt: skip


def longest_diameter(mask: Mask, volume: Volume) -> float:
    """The longest diameter in the slice with the largest section, in mm (as in RECIST 1.1: axial, outer edge)."""
    plane = mask.voxels[int(mask.voxels.sum((1, 2)).argmax())]
    points = np.argwhere(plane) * np.array(volume.pixel)
    angles = np.linspace(0, math.pi, 36, endpoint=False)
    reach = points @ np.stack([np.sin(angles), np.cos(angles)])
    return float((reach.max(0) - reach.min(0)).max() + sum(volume.pixel) / 2)


@dataclass(frozen=True)
class Calibration:
    """Numbers fitted on tuning phantoms: from a candidate's features to its probability, and to the study's risk."""

    weights: tuple[float, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    bias: float
    risk_slope: float
    risk_size: float
    risk_bias: float
    min_lung_mm: float = 15.0
    min_lung_share: float = 0.4

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Reads the numbers that `training.evaluate` wrote."""
        return TypeAdapter(cls).validate_json(path.read_bytes())

    def probability(self, features: NDArray[np.float64]) -> float:
        """That a candidate is a nodule or mass."""
        scaled = (features - np.array(self.means)) / np.array(self.scales)
        return round(_logistic(float(scaled @ np.array(self.weights)) + self.bias), 4)

    def study_risk(self, found: list[Detection]) -> float:
        """That the study holds a lesion that needs urgent reading: from its most worrying candidate."""
        worst = max((self.worry(d.probability, d.diameter_mm) for d in found), default=self.worry(0.0, 1.0))
        return round(_logistic(self.risk_slope * worst + self.risk_bias), 4)

    def worry(self, probability: float, diameter_mm: float) -> float:
        """One number for how sure and how large a candidate is."""
        sure = min(max(probability, 1e-3), 1 - 1e-3)
        return math.log(sure / (1 - sure)) + self.risk_size * math.log(max(diameter_mm, 1.0) / 15.0)


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-max(-40.0, min(40.0, value))))
