"""Makes the bundle of the default model from trained weights: calibrates it and writes its manifest."""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import shutil
from functools import partial
from pathlib import Path

from model_container.training.evaluate import NEUTRAL, Case, by_network, calibrate, engine_of, write_calibration
from model_container.training.slabs import TUNING, make_slab
from readfirst.domain.analysis.findings import Code
from readfirst.domain.analysis.models import Channel, Gate, Manifest, RiskRule

FILES = ("look.onnx", "draw.onnx", "model.safetensors", "calibration.json")
TUNING_PHANTOMS = 200
NODULE = Code(value="27925004", scheme="SCT", meaning="Nodule")
LUNG = Code(value="39607008", scheme="SCT", meaning="Lung")


def manifest_of(folder: Path, version: str, risk: RiskRule) -> Manifest:
    """The default model's manifest, with the digests of the files in `folder`."""
    return Manifest(
        name="readfirst-chest",
        version=version,
        title="Lung nodules and masses in chest CT (synthetic)",
        engine="onnx-chest",
        task="segmentation",
        intended_use="triage",
        files={name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES},
        channels=(
            Channel(index=0, kind="lung-nodule", concept=NODULE, category=3, site=LUNG),
        ),
        gate=Gate(
            modalities=("CT",),
            body_parts=("CHEST", "THORAX", "LUNG", "CHESTABDOMEN", "CHESTABDPELVIS", "CHEST_ABDOMEN", "TORAX"),
            min_age=18, min_slices=8, min_coverage=20.0, max_spacing=5.0, max_pixel=2.0, min_pixels=128,
        ),
        risk=risk,
    )  # fmt: skip


def package(weights: Path, target: Path, version: str, phantoms: int, workers: int = 2) -> Manifest:
    """Copies the network into `target`, calibrates, writes the manifest; returns it.

    The risk rule is the clinical side's decision and has its home in the bundle's manifest: it stays as it is there.
    """
    risk = Manifest.model_validate_json((target / "manifest.json").read_bytes()).risk
    shutil.rmtree(target, ignore_errors=True)  # files of an earlier version are none of this one's
    target.mkdir(parents=True)
    for name in FILES[:-1]:
        shutil.copyfile(weights / name, target / name)
    write_calibration(NEUTRAL, target / "calibration.json")
    _write_manifest(target, version, risk)
    os.environ["READFIRST_THREADS"] = "1"  # each process has a core of its own
    with multiprocessing.Pool(workers) as pool:
        cases = pool.map(partial(_look, target), range(phantoms), chunksize=2)
    write_calibration(calibrate(cases), target / "calibration.json")
    return _write_manifest(target, version, risk)


def _look(bundle: Path, index: int) -> Case:
    return by_network(engine_of(bundle), make_slab(TUNING, index))


def _write_manifest(target: Path, version: str, risk: RiskRule) -> Manifest:
    manifest = manifest_of(target, version, risk)
    (target / "manifest.json").write_text(manifest.model_dump_json(indent=1) + "\n")
    return manifest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--version", required=True)
    parser.add_argument("--phantoms", type=int, default=TUNING_PHANTOMS)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    package(options.weights, options.target, options.version, options.phantoms, options.workers)


if __name__ == "__main__":
    main()
