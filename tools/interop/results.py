"""Peers that read our results from files: dicom3tools, dcmqi, highdicom and dcmjs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom

from tools.interop.files import CT, Studies, asked, ran
from tools.interop.install import Installed, debian_version
from tools.interop.material import TITLES, Study
from tools.interop.rows import Row, apart, attempted, said


def rows(installed: Installed, studies: Studies, work: Path) -> Iterator[Row]:
    """All of them."""
    yield from attempted("dicom3tools", _dciodvfy(installed, studies))
    yield from attempted("dcmqi (3D Slicer)", _dcmqi(installed, studies, work))
    yield from attempted("highdicom", _highdicom(installed, studies))
    yield from attempted("dcmjs (OHIF)", _dcmjs(installed, studies))


def _dciodvfy(installed: Installed, studies: Studies) -> Iterator[Row]:
    version = debian_version("dicom3tools")
    for kind in CT:
        wrong = {}
        for name, path in studies[kind].results.items():
            told = ran(installed.program("dciodvfy"), path).stderr
            wrong[name] = [line for line in told.splitlines() if line.startswith("Error")]
        count = sum(map(len, wrong.values()))
        yield Row(
            "dicom3tools (dciodvfy)",
            version,
            f"results of {TITLES[kind]} against PS3.3",
            f"{', '.join(wrong)}: {count} errors",
            next((lines[0] for lines in wrong.values() if lines), ""),
        )


def _placed(study: Study, centres: list[list[float] | None], voxels: list[int]) -> tuple[str, str]:
    """How far segments lie from the findings, in words, and what is wrong."""
    wrote = study.centres
    off = [float(np.linalg.norm(np.array(c) - w)) for c, w in zip(centres, wrote, strict=False) if c is not None]
    text = f"{len(off)} segments of {voxels} voxels, {', '.join(f'{v:.2f}' for v in off)} mm from the findings"
    near = all(v < study.half_a_voxel for v in off)
    return text, said(
        apart("segments", len(off), len(wrote)), "" if near else f"more than {study.half_a_voxel:.2f} mm off"
    )


def _dcmqi(installed: Installed, studies: Studies, work: Path) -> Iterator[Row]:
    """3D Slicer imports segmentations and reports by dcmqi."""
    for kind in CT:
        study, out = studies[kind], work / f"dcmqi-{kind}"
        out.mkdir()
        ran(
            installed.program("segimage2itkimage"),
            "--inputDICOM",
            study.results["seg"],
            "--outputDirectory",
            out,
            "--outputType",
            "nrrd",
        )
        answer = asked(installed, "segments_of_dcmqi", out)
        found = [answer["segments"][name] for name in sorted(answer["segments"], key=int)]
        text, differs = _placed(study, [one["centre"] for one in found], [one["voxels"] for one in found])
        yield Row("dcmqi (3D Slicer)", answer["version"], f"SEG of {TITLES[kind]}", text, differs)
        told = out / "report.json"
        ran(installed.program("tid1500reader"), "--inputDICOM", study.results["sr"], "--outputMetadata", told)
        groups = json.loads(told.read_text())["Measurements"] if told.exists() else []
        got = [
            [float(item["value"]) for item in group["measurementItems"]]
            for group in groups
            if "ReferencedSegment" in group
        ]
        yield Row(
            "dcmqi (3D Slicer)",
            answer["version"],
            f"SR of {TITLES[kind]}",
            f"measured {got}",
            apart("numbers", got, _measured(study)),
        )


def _measured(study: Study) -> list[list[float]]:
    return [[f["diameter_mm"], f["volume_mm3"], f["probability"]] for f in study.record["findings"]]


def _highdicom(installed: Installed, studies: Studies) -> Iterator[Row]:
    for kind in CT:
        study = studies[kind]
        answer = asked(installed, "highdicom_results", study.results["seg"], study.results["sr"])
        text, differs = _placed(study, answer["centres"], answer["voxels"])
        yield Row(
            "highdicom",
            answer["version"],
            f"SEG and SR of {TITLES[kind]}",
            f"{text}; measured {answer['measurements']}",
            said(differs, apart("numbers", answer["measurements"], _measured(study))),
        )


def _dcmjs(installed: Installed, studies: Studies) -> Iterator[Row]:
    package = json.loads((installed.reader / "node_modules/dcmjs/package.json").read_text())
    for kind in CT:
        study = studies[kind]
        done = ran(
            shutil.which("node") or "node", "read.mjs", study.results["seg"], study.results["sr"], cwd=installed.reader
        )
        if done.returncode:
            yield Row(
                "dcmjs (OHIF)",
                package["version"],
                f"SEG and SR of {TITLES[kind]}",
                done.stderr.strip()[-100:],
                "not read",
            )
            continue
        answer = json.loads(done.stdout)
        got = [sum(one["pixels"].values()) for one in answer["segments"].values()]
        volume = [finding["volume_mm3"] for finding in study.record["findings"]]
        measures = pydicom.dcmread(study.results["seg"]).SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        voxel = float(np.prod([float(v) for v in (*measures.PixelSpacing, measures.SpacingBetweenSlices)]))
        wrong = [v for n, v in zip(got, volume, strict=False) if abs(n * voxel - v) > max(voxel, 0.02 * v)]
        yield Row(
            "dcmjs (OHIF)",
            package["version"],
            f"SEG and SR of {TITLES[kind]}",
            f"{len(got)} segments of {got} pixels, {len(answer['groups'])} groups of measurements",
            said(apart("segments", len(got), len(volume)), apart("volumes that differ", len(wrong), 0)),
        )
