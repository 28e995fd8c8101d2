"""Four studies through the local stack, as a clinic sends them; and what the stack made of them, to compare with."""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import requests
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ImplicitVRLittleEndian, JPEG2000Lossless, JPEGBaseline8Bit, UltrasoundImageStorage

from readfirst.domain import resource_names
from readfirst.local.phantom import write_phantom_study
from tests.model.files import enhanced
from tests.portal.stage import Stage

KINDS = ("upright", "tilted", "enhanced", "colour")
TITLES = {
    "upright": "CT, Explicit VR Little Endian",
    "tilted": "CT, gantry tilted 15 degrees, JPEG 2000 lossless",
    "enhanced": "Enhanced CT of 40 frames, Implicit VR",
    "colour": "colour ultrasound, JPEG Baseline, YBR_FULL_422",
}


@dataclass(frozen=True)
class Study:
    """A study as the stack keeps it: clean images and results as files, and its record."""

    kind: str
    folder: Path
    uid: str
    record: dict[str, Any]

    @property
    def images(self) -> list[Path]:
        """The clean images' files."""
        return sorted((self.folder / "images").iterdir())

    @property
    def results(self) -> dict[str, Path]:
        """The results' files: seg, sr, sc-1, …"""
        return {path.stem: path for path in sorted((self.folder / "results").iterdir())}

    @property
    def files(self) -> list[Path]:
        """All of them."""
        return [*self.images, *self.results.values()]

    @cached_property
    def clean(self) -> list[Dataset]:
        """The clean images, from feet to head."""
        read = [pydicom.dcmread(path) for path in self.images]
        return sorted(
            read, key=lambda ds: float(ds["ImagePositionPatient"].value[2]) if "ImagePositionPatient" in ds else 0
        )

    @cached_property
    def pixels(self) -> dict[str, NDArray[Any]]:
        """The clean images' stored values by SOP Instance UID."""
        return {str(ds.SOPInstanceUID): ds.pixel_array for ds in self.clean}

    @property
    def centres(self) -> list[NDArray[np.float64]]:
        """Where the findings' centres lie, in mm (LPS)."""
        return [np.array(finding["centre"], float) for finding in self.record["findings"]]

    @cached_property
    def half_a_voxel(self) -> float:
        """In mm, along the segmentation's longest step."""
        measures = pydicom.dcmread(self.results["seg"]).SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        return max(float(v) for v in (*measures.PixelSpacing, measures.SpacingBetweenSlices)) / 2


def made(stage: Stage, folder: Path) -> dict[str, Study]:
    """All four, uploaded one after the other."""
    found = {}
    for kind in KINDS:
        sent = folder / f"{kind}-sent"
        _WRITERS[kind](sent)
        found[kind] = _through(stage, kind, sent, folder / kind)
    return found


# ---------------------------------------------------------------- what a clinic sends


def _upright(folder: Path) -> None:
    _chest(folder, 11, lambda ds: setattr(ds, "TimezoneOffsetFromUTC", "+0900"))


def _tilted(folder: Path) -> None:
    lean = math.radians(15)

    def change(ds: Dataset) -> None:
        ds.ImageOrientationPatient = ["1", "0", "0", "0", f"{math.cos(lean):.6f}", f"{math.sin(lean):.6f}"]
        ds.GantryDetectorTilt = "15"
        ds.compress(JPEG2000Lossless, generate_instance_uid=False)

    _chest(folder, 12, change)


def _enhanced(folder: Path) -> None:
    _chest(folder, 13, lambda ds: None)
    files = sorted(folder.iterdir())
    slices = sorted((path.read_bytes() for path in files), key=lambda content: _height(content))
    for path in files:
        path.unlink()
    ds = pydicom.dcmread(io.BytesIO(enhanced(slices)))
    _rescaled_alike(ds)
    ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    ds.save_as(folder / "enhanced.dcm", enforce_file_format=True, implicit_vr=True, little_endian=True)


def _rescaled_alike(ds: Dataset) -> None:
    """One intercept for all frames, as scanners write it."""
    rescaled = [groups.PixelValueTransformationSequence[0] for groups in ds.PerFrameFunctionalGroupsSequence]
    first = float(rescaled[0].RescaleIntercept)
    pixels = ds.pixel_array.astype(np.int16)
    for values, own in zip(pixels, rescaled, strict=True):
        values += np.int16(float(own.RescaleIntercept) - first)
        own.RescaleIntercept = first
    ds.PixelData = pixels.tobytes()


def _colour(folder: Path) -> None:
    """Red above, blue below, on black."""
    folder.mkdir(parents=True)
    _chest(folder, 14, lambda ds: None)
    first, *rest = sorted(folder.iterdir())
    for path in rest:
        path.unlink()
    ds = pydicom.dcmread(first)
    for keyword in (
        "RescaleSlope",
        "RescaleIntercept",
        "RescaleType",
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelPaddingValue",
        "WindowCenter",
        "WindowWidth",
        "KVP",
    ):
        ds.pop(keyword, None)
    picture = np.zeros((256, 256, 3), np.uint8)
    picture[60:120, 60:200], picture[140:200, 60:200] = (254, 0, 0), (0, 0, 254)
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=95, subsampling="4:2:2")
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = UltrasoundImageStorage
    ds.Modality, ds.BodyPartExamined, ds.BurnedInAnnotation, ds.LossyImageCompression = "US", "ABDOMEN", "NO", "01"
    ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PlanarConfiguration = 256, 256, 3, 0
    ds.PhotometricInterpretation, ds.PixelRepresentation = "YBR_FULL_422", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
    ds.PixelData, ds.file_meta.TransferSyntaxUID = encapsulate([out.getvalue()]), JPEGBaseline8Bit
    ds["PixelData"].VR = "OB"
    ds.save_as(first, enforce_file_format=True)


_WRITERS: dict[str, Callable[[Path], None]] = {
    "upright": _upright,
    "tilted": _tilted,
    "enhanced": _enhanced,
    "colour": _colour,
}


def _chest(folder: Path, seed: int, change: Callable[[Dataset], None]) -> None:
    write_phantom_study(folder, seed=seed, slices=40, size=256, nodules=(26.0,))
    for path in folder.iterdir():
        ds = pydicom.dcmread(path)
        change(ds)
        ds.save_as(path, enforce_file_format=True)


def _height(content: bytes) -> float:
    return float(pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True).ImagePositionPatient[2])


# ---------------------------------------------------------------- through the stack


def _through(stage: Stage, kind: str, sent: Path, folder: Path) -> Study:
    known = set(_records(stage))
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {stage.stack.access_token('clinic-user.lakeside')}"
    given = session.post(f"{stage.api}/uploads/address", json={"clinic": "lakeside"}, timeout=60).json()
    base, signature = given["address"].split("?")
    for file in sorted(sent.iterdir()):
        headers = {"x-ms-blob-type": "BlockBlob"}
        requests.put(
            f"{base}/{kind}/{file.name}?{signature}", file.read_bytes(), headers=headers, timeout=60
        ).raise_for_status()
    for _ in range(300):
        time.sleep(1)
        new = [token for token in _records(stage) if token not in known]
        if new and (record := _record(stage, new[0]))["state"] == "reported":
            return _kept(stage, kind, new[0], record, folder)
    raise TimeoutError(f"the study {kind} was not reported")


def _records(stage: Stage) -> Iterator[str]:
    container = stage.blobs.get_container_client(resource_names.ANALYSIS)
    yield from (blob.name.split("/")[0] for blob in container.list_blobs() if blob.name.endswith("/record.json"))


def _record(stage: Stage, token: str) -> dict[str, Any]:
    blob = stage.blobs.get_blob_client(resource_names.ANALYSIS, f"{token}/record.json")
    found: dict[str, Any] = json.loads(blob.download_blob().readall())
    return found


def _kept(stage: Stage, kind: str, token: str, record: dict[str, Any], folder: Path) -> Study:
    """The stack's own blobs as files, named by number: peers must not learn anything from a name."""
    clean = stage.blobs.get_container_client(resource_names.CLEAN)
    results = stage.blobs.get_container_client(resource_names.ANALYSIS)
    for name in ("images", "results"):
        (folder / name).mkdir(parents=True)
    for k, blob in enumerate(clean.list_blobs(name_starts_with=f"{token}/instances/")):
        (folder / f"images/{k:04d}.dcm").write_bytes(clean.download_blob(blob.name).readall())
    for name, path in record["outputs"].items():
        if path.endswith(".dcm"):
            (folder / f"results/{name}.dcm").write_bytes(results.download_blob(path).readall())
    return Study(kind, folder, str(record["study_uid"]), record)
