"""The engine for MONAI bundles: hands volumes to the bundle's own process and turns its answer into findings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model_container.chest import longest_diameter
from model_container.components import pieces
from model_container.overlay import windowed
from model_container.reading import Detection, Mask, ModelFailed, OutOfScope, Progress, Reading
from model_container.volume import Volume
from readfirst.domain.models import Channel, Manifest

_KEPT = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "TMPDIR")
_SMALLEST = 25.0  # mm³
_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


class BundleEngine:
    """A bundle in its own process, loaded once."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.manifest = manifest
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "model_container.bundle_runner", str(folder), manifest.task,
             json.dumps(manifest.settings)],
            env={name: os.environ[name] for name in _KEPT if name in os.environ},  # no credential reaches a bundle
            cwd=Path(__file__).parents[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.device: str = self._answer()["device"]

    def close(self) -> None:
        """Ends the bundle's process."""
        self._process.kill()
        self._process.communicate()

    def read(self, volume: Volume, progress: Progress) -> Reading | OutOfScope:
        """Runs the bundle on a volume; raises ModelFailed when it fails."""
        progress(0.0)
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder)
            inputs = self._inputs(volume, out)
            affine = _TO_RAS @ affine_of(volume)
            self._ask({"inputs": [str(path) for path in inputs], "affine": affine.tolist(), "out": folder})
            if self.manifest.task == "classification":
                found = list(self._classes(json.loads((out / "classes.json").read_text()), volume))
            elif self.manifest.task == "detection":
                found = list(self._boxes(json.loads((out / "boxes.json").read_text()), volume))
            else:
                shares = np.load(out / "shares.npy").transpose(0, 3, 2, 1)
                found = [d for channel in self.manifest.targets for d in self._pieces(shares, channel, volume)]
        progress(1.0)
        kept = sorted(
            (d for d in found if d.probability >= self.manifest.risk.report_from), key=lambda d: -d.probability
        )
        rule = self.manifest.risk
        risk = max((d.probability for d in kept if d.diameter_mm >= rule.min_diameter_mm), default=0.0)
        return Reading(tuple(kept), risk)

    def _inputs(self, volume: Volume, out: Path) -> list[Path]:
        """The volume, or a picture of each slice for a network of pictures."""
        if self.manifest.pictures is None:
            np.save(out / "image.npy", np.ascontiguousarray(volume.hu.transpose(2, 1, 0)))
            return [out / "image.npy"]
        paths = []
        for k, plane in enumerate(volume.hu):
            paths.append(out / f"{k:04d}.png")
            grey = Image.fromarray(windowed(plane, self.manifest.pictures))
            grey.convert("RGB").save(paths[-1], compress_level=1)
        return paths

    def _classes(self, probabilities: list[list[float]], volume: Volume) -> Iterator[Detection]:
        """A class that is a finding, as likely as it is in the picture that shows it best."""
        for channel in self.manifest.targets:
            if channel.index >= len(probabilities[0]):
                raise ModelFailed(f"the bundle has {len(probabilities[0])} classes; the manifest names {channel.index}")
            shares = [one[channel.index] for one in probabilities]
            best = int(np.argmax(shares)) if len(shares) > 1 else len(volume.hu) // 2
            rows, columns = volume.hu.shape[1:]
            yield Detection(
                channel=channel, probability=round(max(shares), 4), diameter_mm=0.0, volume_mm3=0.0,
                centre=(float(best), rows / 2, columns / 2), mask=None,
            )  # fmt: skip

    def _pieces(self, shares: NDArray[Any], channel: Channel, volume: Volume) -> Iterator[Detection]:
        """Connected voxels of a class, with the mean probability that the bundle gives them."""
        voxel = volume.pixel[0] * volume.pixel[1] * volume.spacing
        for piece in pieces(shares.argmax(0) == channel.index):
            if len(piece) * voxel >= _SMALLEST:
                low, high = piece.min(0), piece.max(0) + 1
                voxels = np.zeros(tuple(high - low), np.bool_)
                voxels[tuple((piece - low).T)] = True
                mask = Mask((int(low[0]), int(low[1]), int(low[2])), voxels)
                yield _detection(channel, float(shares[channel.index][tuple(piece.T)].mean()), mask, volume)

    def _boxes(self, boxes: list[dict[str, Any]], volume: Volume) -> Iterator[Detection]:
        """Boxes in the world become boxes of voxels."""
        channels = {channel.index: channel for channel in self.manifest.targets}
        to_voxels = np.linalg.inv(_TO_RAS @ affine_of(volume))
        for box in boxes:
            corners = np.array(box["corners"]) @ to_voxels[:3, :3].T + to_voxels[:3, 3]
            limit = np.array(volume.hu.shape)
            low = np.clip(np.round(corners.min(0)[::-1]).astype(int), 0, limit - 1)
            high = np.clip(np.round(corners.max(0)[::-1]).astype(int), low + 1, limit)
            if box["label"] in channels:
                mask = Mask((int(low[0]), int(low[1]), int(low[2])), np.ones(tuple(high - low), np.bool_))
                yield _detection(channels[box["label"]], box["score"], mask, volume)

    def _ask(self, request: dict[str, Any]) -> None:
        if self._process.stdin is None:
            raise ModelFailed("the bundle's process has no input")
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise ModelFailed("the bundle's process has ended") from error
        self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        answer: dict[str, Any] = json.loads(line) if line else {"error": "its process ended"}
        if "error" in answer:
            raise ModelFailed(f"the bundle failed: {answer['error']}")
        return answer


def affine_of(volume: Volume) -> NDArray[np.float64]:
    """From (column, row, slice) indexes to the patient (LPS, mm)."""
    affine = np.eye(4)
    affine[:3, 0] = volume.along_columns * volume.pixel[1]
    affine[:3, 1] = volume.along_rows * volume.pixel[0]
    steps = len(volume.positions) - 1
    normal = np.cross(volume.along_columns, volume.along_rows)
    affine[:3, 2] = (volume.positions[-1] - volume.positions[0]) / steps if steps else normal * volume.spacing
    affine[:3, 3] = volume.positions[0]
    return affine


def _detection(channel: Channel, probability: float, mask: Mask, volume: Volume) -> Detection:
    centre = np.argwhere(mask.voxels).mean(0) + mask.start
    return Detection(
        channel=channel, probability=round(probability, 4), diameter_mm=round(longest_diameter(mask, volume), 1),
        volume_mm3=round(float(mask.voxels.sum()) * volume.pixel[0] * volume.pixel[1] * volume.spacing, 1),
        centre=(float(centre[0]), float(centre[1]), float(centre[2])), mask=mask,
    )  # fmt: skip
