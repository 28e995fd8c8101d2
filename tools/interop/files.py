"""Peers that read images from files: dcmtk, GDCM, ITK and dcm2niix."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image

from readfirst.domain.dicomweb import rendering
from tools.interop.install import Installed, debian_version
from tools.interop.material import TITLES, Study
from tools.interop.rows import Row, apart, attempted, said

Studies = Mapping[str, Study]
CT = ("upright", "tilted", "enhanced")
_WINDOW = (-600.0, 1500.0)


def asked(installed: Installed, question: str, *arguments: object, stdin: str = "") -> dict[str, Any]:
    """What a library of the peers' environment answers."""
    command = [
        str(installed.bin / "python"),
        str(Path(__file__).with_name("elsewhere.py")),
        question,
        *map(str, arguments),
    ]
    done = subprocess.run(command, capture_output=True, text=True, input=stdin)
    if done.returncode:
        raise RuntimeError(f"{question}: {done.stderr.strip().splitlines()[-1:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def ran(*command: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A program's run."""
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, errors="replace", cwd=cwd)


def rows(installed: Installed, studies: Studies, work: Path) -> Iterator[Row]:
    """All of them."""
    yield from attempted("dcmtk", _dcmtk(installed, studies, work))
    yield from attempted("GDCM", _gdcm(installed, studies))
    yield from attempted("SimpleITK", _itk(installed, studies))
    yield from attempted("dcm2niix", _dcm2niix(installed, studies, work))


# ---------------------------------------------------------------- dcmtk


def _dcmtk(installed: Installed, studies: Studies, work: Path) -> Iterator[Row]:
    version = debian_version("dcmtk")
    every = [path for study in studies.values() for path in study.files]
    done = ran(installed.program("dcmdump"), "-q", "-M", "+P", "SOPInstanceUID", *every)
    got = sorted(re.findall(r"\(0008,0018\) UI \[([\d.]+)\]", done.stdout))
    wrote = sorted(str(pydicom.dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID) for path in every)
    complaints = len(re.findall(r"^[WE]:", done.stderr, re.MULTILINE))
    yield Row(
        "dcmtk (dcmdump)",
        version,
        "every image and result",
        f"{len(got)} files read, {complaints} complaints",
        said(apart("UIDs", len(set(got) & set(wrote)), len(wrote)), apart("complaints", complaints, 0)),
    )
    yield from _rendered(installed, studies, work, version)
    for kind in CT:
        text = ran(installed.program("dsrdump"), "-q", studies[kind].results["sr"]).stdout
        got_numbers = [float(v) for v in re.findall(r'<contains NUM:\(,,"(?:Long Axis|Volume)"\)="([\d.]+)"', text)]
        wrote_numbers = [f[key] for f in studies[kind].record["findings"] for key in ("diameter_mm", "volume_mm3")]
        yield Row(
            "dcmtk (dsrdump)",
            version,
            f"SR of {TITLES[kind]}",
            f"long axis and volume {got_numbers}",
            apart("numbers", got_numbers, wrote_numbers),
        )
    for kind, study in studies.items():
        yield _sent_and_received(installed, study, work / f"scp-{kind}", version)


def _rendered(installed: Installed, studies: Studies, work: Path, version: str) -> Iterator[Row]:
    """Enhanced CT is asked for in stored values: dcm2pnm does not look into functional groups for the rescale."""
    programs = {"upright": "dcm2pnm", "enhanced": "dcm2pnm", "colour": "dcmj2pnm"}
    for kind, program in programs.items():
        ds, path = _middle(studies[kind])
        grey = kind != "colour"
        asked_for = (_WINDOW[0] - _intercept(ds), _WINDOW[1])
        options = ["+Ww", *map(int, asked_for)] if grey else []
        out = work / f"{kind}.pnm"
        frame = 20 if kind == "enhanced" else 1
        done = ran(installed.program(program), "+F", frame, *options, "--write-raw-pnm", path, out)
        if done.returncode or not out.exists():
            yield Row(
                f"dcmtk ({program})", version, f"a picture of {TITLES[kind]}", done.stderr.strip()[-120:], "no picture"
            )
            continue
        got = np.asarray(Image.open(out)).astype(int)
        wrote = rendering.grey_or_colour(ds, frame - 1, _WINDOW if grey else None).astype(int)
        most = int(np.abs(got - wrote).max())
        limit = 1 if grey else 3
        yield Row(
            f"dcmtk ({program})",
            version,
            f"a picture of {TITLES[kind]}",
            f"at most {most} of 255 greys from ours",
            "" if most <= limit else f"{most} greys apart",
        )


def _intercept(ds: pydicom.Dataset) -> float:
    """What an enhanced file's frames add to their stored values; 0 where dcm2pnm sees it itself."""
    groups = ds.get("PerFrameFunctionalGroupsSequence")
    return float(groups[0].PixelValueTransformationSequence[0].RescaleIntercept) if groups else 0.0


def _middle(study: Study) -> tuple[pydicom.Dataset, Path]:
    ds = study.clean[len(study.clean) // 2]
    path = next(
        p
        for p in study.images
        if pydicom.dcmread(p, specific_tags=["SOPInstanceUID"]).SOPInstanceUID == ds.SOPInstanceUID
    )
    return ds, path


def _sent_and_received(installed: Installed, study: Study, folder: Path, version: str) -> Row:
    """C-STORE by storescu to storescp, in the syntax in which we keep it; the data sets are compared."""
    folder.mkdir()
    port = free_port()
    server = subprocess.Popen(  # what takes any syntax that is sent
        [installed.program("storescp"), "-q", "+xa", "-od", str(folder), str(port)], stderr=subprocess.DEVNULL
    )
    try:
        _listening(port)
        offer = {"tilted": ["-xv"], "colour": ["-xy"], "enhanced": ["-xi"]}.get(study.kind, [])
        images = ran(installed.program("storescu"), "-q", *offer, "127.0.0.1", port, *study.images)
        results = (
            ran(installed.program("storescu"), "-q", "-R", "127.0.0.1", port, *study.results.values())
            if study.results
            else images
        )
    finally:
        server.terminate()
        server.wait()
    got = {str(ds.SOPInstanceUID): ds for ds in map(pydicom.dcmread, folder.iterdir())}
    wrote = {str(ds.SOPInstanceUID): ds for ds in map(pydicom.dcmread, study.files)}
    same = sum(uid in got and got[uid] == ds for uid, ds in wrote.items())
    return Row(
        "dcmtk (storescu, storescp)",
        version,
        f"{len(wrote)} objects of {TITLES[study.kind]}, there and back",
        f"{len(got)} received, {same} the same in every attribute",
        said(apart("status", images.returncode + results.returncode, 0), apart("the same", same, len(wrote))),
    )


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _listening(port: int) -> None:
    for _ in range(300):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise TimeoutError(f"nothing listens on port {port}")


# ---------------------------------------------------------------- images


def _gdcm(installed: Installed, studies: Studies) -> Iterator[Row]:
    for kind, study in studies.items():
        answer = asked(installed, "gdcm_images", study.folder / "images")
        by_name = {path.name: pydicom.dcmread(path) for path in study.images}
        wrong = [name for name, image in answer["images"].items() if not image or _differs(image, by_name[name])]
        yield Row(
            "GDCM",
            answer["version"],
            f"images of {TITLES[kind]}: size, spacing, place, values",
            f"{len(answer['images']) - len(wrong)} of {len(by_name)} the same",
            apart("differing", len(wrong), 0),
        )


def _differs(image: Mapping[str, Any], ds: pydicom.Dataset) -> bool:
    raw = ds.pixel_array if ds.SamplesPerPixel == 1 else None
    if image["size"][:2] != [ds.Columns, ds.Rows]:
        return True
    if raw is None:  # lossy colours: another decoder may round otherwise
        return False
    values = np.frombuffer(raw.tobytes(), np.uint8).astype(np.uint64)
    same = image["sums"] == [int(values.sum()), int((values**2).sum())]
    placed = "ImagePositionPatient" not in ds or (
        np.allclose(image["origin"], [float(v) for v in ds.ImagePositionPatient], atol=1e-3)
        and np.allclose(image["spacing"][:2], [float(v) for v in ds.PixelSpacing][::-1], atol=1e-6)
    )
    return not (same and placed)


def _volume(study: Study) -> tuple[NDArray[Any], NDArray[np.float64], list[list[float]]]:
    """HU [slice, row, column], each slice's first pixel (mm), and row and column direction with their spacing."""
    if study.kind == "enhanced":
        ds = study.clean[0]
        groups = list(ds.PerFrameFunctionalGroupsSequence)
        rescaled = [g.PixelValueTransformationSequence[0] for g in groups]
        values = [
            p * float(r.RescaleSlope) + float(r.RescaleIntercept) for p, r in zip(ds.pixel_array, rescaled, strict=True)
        ]
        places = [[float(v) for v in g.PlanePositionSequence[0].ImagePositionPatient] for g in groups]
        shared = ds.SharedFunctionalGroupsSequence[0]
        way, spacing = (
            shared.PlaneOrientationSequence[0].ImageOrientationPatient,
            shared.PixelMeasuresSequence[0].PixelSpacing,
        )
    else:
        values = [ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept) for ds in study.clean]
        places = [[float(v) for v in ds.ImagePositionPatient] for ds in study.clean]
        way, spacing = study.clean[0].ImageOrientationPatient, study.clean[0].PixelSpacing
    numbers = [float(v) for v in way]
    across, down = np.array(numbers[:3]) * float(spacing[1]), np.array(numbers[3:]) * float(spacing[0])
    return np.stack(values), np.array(places), [across.tolist(), down.tolist()]


def _itk(installed: Installed, studies: Studies) -> Iterator[Row]:
    """3D Slicer, ITK-SNAP and many pipelines read by ITK's GDCM."""
    for kind in ("upright", "tilted"):
        study = studies[kind]
        answer = asked(installed, "simpleitk_series", study.folder / "images")
        got = np.load(study.folder / "simpleitk.npy")
        wrote, places, _ = _volume(study)
        off = float(np.linalg.norm(np.array(answer["origin"]) - places[0]))
        spacing = [round(v, 3) for v in answer["spacing"]]
        wrong = int((got != wrote).sum()) if got.shape == wrote.shape else -1
        yield Row(
            "SimpleITK",
            answer["version"],
            f"the series of {TITLES[kind]} as a volume",
            f"{answer['size']} voxels of {spacing} mm, first one {off:.3f} mm from ours",
            said(apart("values that differ", wrong, 0), "" if off < 0.01 else "another place"),
        )


def _dcm2niix(installed: Installed, studies: Studies, work: Path) -> Iterator[Row]:
    for kind in CT:
        study, out = studies[kind], work / f"nii-{kind}"
        out.mkdir()
        done = ran(installed.program("dcm2niix"), "-z", "n", "-f", "v", "-o", out, study.folder / "images")
        version = (re.search(r"v(1\.0\.\d+)", done.stdout) or ["", "?"])[1]
        volumes = asked(installed, "nifti_volumes", out)["volumes"]
        upright = {name: v for name, v in volumes.items() if "Tilt" in name or len(volumes) == 1}
        for name, volume in upright.items():
            values = np.load(out / name.replace(".nii", ".npy"))
            off, wrong, alike = _in_nifti(study, np.array(volume["affine"]), values)
            text = f"voxels at most {off:.2f} mm from ours, {wrong} of 500 drawn values differ"
            differs = said("" if off < 0.05 else f"{off:.1f} mm off", apart("values", wrong, 0))
            if kind == "tilted":  # it resamples, as every program must that wants an upright volume
                text = (
                    f"resampled upright ({len(volumes)} files); at our voxels' places its values correlate {alike:.3f}"
                )
                differs = "" if alike > _ALIKE else "another place"
            yield Row("dcm2niix", version, f"NIfTI of {TITLES[kind]}", text, differs, _TILTS if differs else "")


_TILTS = "dcm2niix issue 259; it warns: Gantry Tilt Correction is new: please validate conversions"
_ALIKE = 0.98  # of drawn values and interpolated ones: a shift of one voxel makes it less


def _in_nifti(study: Study, affine: NDArray[np.float64], values: NDArray[Any]) -> tuple[float, int, float]:
    """How far drawn voxels of ours lie from the NIfTI's nearest, in mm; how many have another value there; and how
    what lies at their places, interpolated, correlates with them."""
    hu, places, (across, down) = _volume(study)
    draw = np.random.default_rng(1)
    at = np.stack([draw.integers(0, size, 500) for size in hu.shape], axis=1)
    points = places[at[:, 0]] + at[:, 1:2] * np.array(down) + at[:, 2:] * np.array(across)
    points[:, :2] *= -1  # NIfTI's axes run to the right and to the front
    inside = np.c_[points, np.ones(len(points))] @ np.linalg.inv(affine).T
    nearest = np.rint(inside[:, :3]).astype(int)
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    off = float(np.linalg.norm((inside[:, :3] - nearest) * steps, axis=1).max())
    held = np.all((nearest >= 0) & (nearest < values.shape), axis=1)
    same = held & (values[tuple(np.where(held[:, None], nearest, 0).T)] == hu[tuple(at.T)])
    between = _interpolated(values, np.clip(inside[:, :3], 0, np.array(values.shape) - 1.001))
    return off, int((~same).sum()), float(np.corrcoef(between[held], hu[tuple(at.T)][held])[0, 1])


def _interpolated(values: NDArray[Any], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Between the eight voxels around each place."""
    low = np.floor(at).astype(int)
    share = at - low
    found = np.zeros(len(at))
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod(np.where(corner, share, 1 - share), axis=1)
        found += weight * values[tuple((low + corner).T)]
    return found
