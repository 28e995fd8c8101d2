"""The engine for MONAI bundles: hands volumes to the bundle's own process and turns its answer into findings."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model_container.engines.engine import Detection, Mask, ModelFailed, OutOfScope, Progress, Reading
from model_container.engines.masks import longest_diameter, pieces
from model_container.images.volume import Volume, windowed
from readfirst.domain.analysis.models import Channel, Manifest

_KEPT = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "TMPDIR")
_OWN = {"PYTHONDONTWRITEBYTECODE": "1"}  # a bundle holds what was approved and nothing else
_SMALLEST = 25.0  # mm³
_BEAT = 5.0  # seconds
_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


class BundleEngine:
    """A bundle in its own process, loaded once, and again when its process has ended."""

    def __init__(self, folder: Path, manifest: Manifest, tell: bool = False) -> None:
        """`tell`: whether faults are told in full, which can hold content: for volumes that are no patient's."""
        self.folder, self.manifest, self.tell = folder.resolve(), manifest, tell
        self._start(lambda _: None)

    def _start(self, progress: Progress) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "model_container.engines.monai.sandbox", str(self.folder), self.manifest.task,
             json.dumps(self.manifest.settings)],
            env={name: os.environ[name] for name in _KEPT if name in os.environ} | _OWN,
            cwd=Path(__file__).parents[3], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            stderr=subprocess.DEVNULL,  # what a bundle prints could be content: the job's log holds facts only
        )  # fmt: skip
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=_pass_on, args=(self._process.stdout, self._lines), daemon=True).start()
        self.device: str = self._answer(progress)["device"]

    def close(self) -> None:
        """Ends the bundle's process."""
        self._process.kill()
        self._process.wait()

    def read(self, volume: Volume, progress: Progress) -> Reading | OutOfScope:
        """Runs the bundle on a volume; raises ModelFailed when it fails."""
        progress(0.0)
        if self._process.poll() is not None:  # it ended with another study
            self._start(progress)
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder)
            request = {
                "inputs": [str(path) for path in self._inputs(volume, out)],
                "affine": (_TO_RAS @ affine_of(volume)).tolist(),
                "targets": [channel.index for channel in self.manifest.targets],
                "out": folder,
                "tell": self.tell,
            }
            self._ask(request, progress)
            if self.manifest.task == "classification":
                found = list(self._classes(json.loads((out / "classes.json").read_text()), volume))
            elif self.manifest.task == "detection":
                found = list(self._boxes(json.loads((out / "boxes.json").read_text()), volume))
            else:
                found = list(self._pieces(np.load(out / "shares.npy").transpose(0, 3, 2, 1), volume))
        progress(1.0)
        rule = self.manifest.risk
        kept = sorted(
            (d for d in found if d.probability >= rule.report_from), key=lambda d: (-d.probability, -d.diameter_mm)
        )
        risk = max((d.probability for d in kept if d.diameter_mm >= rule.min_diameter_mm), default=0.0)
        return Reading(tuple(kept), risk)

    def _inputs(self, volume: Volume, out: Path) -> list[Path]:
        """The volume (of a radiograph: the plane), or a picture of each slice for a network of pictures."""
        if self.manifest.pictures is None:
            values = volume.hu.transpose(2, 1, 0)
            np.save(out / "image.npy", np.ascontiguousarray(values[..., 0] if volume.flat else values))
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
            if not np.isfinite(shares).all():
                raise ModelFailed("the bundle failed: its answer holds values that are not numbers")
            best = int(np.argmax(shares)) if len(shares) > 1 else len(volume.hu) // 2
            rows, columns = volume.hu.shape[1:]
            yield Detection(
                channel=channel, probability=round(max(shares), 4), diameter_mm=0.0, volume_mm3=0.0,
                centre=(float(best), rows / 2, columns / 2), mask=None,
            )  # fmt: skip

    def _pieces(self, shares: NDArray[Any], volume: Volume) -> Iterator[Detection]:
        """Connected voxels of each target, with the mean probability that the bundle gives them."""
        targets, voxel = self.manifest.targets, volume.pixel[0] * volume.pixel[1] * volume.spacing
        if shares.shape[1:] != volume.hu.shape:
            sizes = " and ".join("x".join(map(str, one)) for one in (shares.shape[1:], volume.hu.shape))
            raise ModelFailed(f"the bundle failed: its answer and the volume have different sizes ({sizes})")
        if not np.isfinite(shares).all():
            raise ModelFailed("the bundle failed: its answer holds values that are not numbers")
        first = len(shares) - len(targets)  # 1 where the others' strongest comes before the targets
        strongest = shares.argmax(0) if first else None
        for k, channel in enumerate(targets, start=first):
            for piece in pieces(strongest == k if strongest is not None else shares[k] >= 0.5):
                if len(piece) * voxel >= _SMALLEST:
                    low, high = piece.min(0), piece.max(0) + 1
                    voxels = np.zeros(tuple(high - low), np.bool_)
                    voxels[tuple((piece - low).T)] = True
                    mask = Mask((int(low[0]), int(low[1]), int(low[2])), voxels)
                    yield _detection(channel, float(shares[k][tuple(piece.T)].mean()), mask, volume)

    def _boxes(self, boxes: list[dict[str, Any]], volume: Volume) -> Iterator[Detection]:
        """Boxes in the world become boxes of voxels."""
        channels = {channel.index: channel for channel in self.manifest.targets}
        to_voxels = np.linalg.inv(_TO_RAS @ affine_of(volume))
        for box in boxes:
            if not np.isfinite([*box["corners"][0], *box["corners"][1], box["score"]]).all():
                raise ModelFailed("the bundle failed: its answer holds values that are not numbers")
            corners = np.array(box["corners"]) @ to_voxels[:3, :3].T + to_voxels[:3, 3]
            limit = np.array(volume.hu.shape)
            low = np.clip(np.round(corners.min(0)[::-1]).astype(int), 0, limit - 1)
            high = np.clip(np.round(corners.max(0)[::-1]).astype(int), low + 1, limit)
            if box["label"] in channels:
                mask = Mask((int(low[0]), int(low[1]), int(low[2])), np.ones(tuple(high - low), np.bool_))
                yield _detection(channels[box["label"]], box["score"], mask, volume)

    def _ask(self, request: dict[str, Any], progress: Progress) -> None:
        if self._process.stdin is None:
            raise ModelFailed("the bundle's process has no input")
        with suppress(BrokenPipeError):  # its answer, or that there is none, says why
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        self._answer(progress)

    def _answer(self, progress: Progress) -> dict[str, Any]:
        """What the process says; while it says nothing, its time runs, and the watchdog sees that somebody waits."""
        deadline = time.monotonic() + 60 * self.manifest.patience_minutes
        while True:
            try:
                line = self._lines.get(timeout=min(_BEAT, max(0.01, deadline - time.monotonic())))
                break
            except queue.Empty:
                progress(0.0)
                if time.monotonic() >= deadline:
                    self.close()
                    raise ModelFailed(
                        f"the bundle failed: it took longer than {self.manifest.patience_minutes:g} minutes "
                        "(patience_minutes in its manifest)"
                    ) from None
        answer: dict[str, Any] = json.loads(line) if line else {"error": _end_of(self._process.wait())}
        if "error" in answer:
            raise ModelFailed(f"the bundle failed: {answer['error']}")
        return answer


def try_out(folder: Path, manifest: Manifest) -> str:
    """Runs a bundle on noise; says how that went. Raises ModelFailed with what its own code says when it fails."""
    slices = 1 if manifest.gate.projection else max(32, manifest.gate.min_slices)
    hu = np.random.default_rng(0).normal(0, 100, (slices, 128, 128)).astype(np.int16)
    places = np.array([[-160.0, -160.0, 2.5 * k] for k in range(slices)])
    across, down = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])
    started = time.monotonic()
    engine = BundleEngine(folder, manifest, tell=True)
    try:
        noise = Volume(hu, places, across, down, (2.5, 2.5), 2.5, (), (0,) * slices, manifest.gate.projection)
        found = engine.read(noise, lambda _: None)
    finally:
        engine.close()
    count = len(found.detections) if isinstance(found, Reading) else 0
    return f"{count} finding(s) in noise, on {engine.device}, {time.monotonic() - started:.0f} s"


def _pass_on(pipe: IO[str] | None, lines: queue.SimpleQueue[str]) -> None:
    """Every line that the process says, and an empty one when it has ended."""
    for line in pipe or ():
        lines.put(line)
    lines.put("")


def _end_of(status: int) -> str:
    if status == -signal.SIGKILL:
        return "its process was killed, as the system does where memory ends"
    return f"its process ended ({signal.Signals(-status).name if status < 0 else f'exit status {status}'})"


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
