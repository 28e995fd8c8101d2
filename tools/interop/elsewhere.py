"""Runs in the peers' own Python environment: prints as JSON what a library makes of files. It imports nothing of ours.

usage: python elsewhere.py QUESTION ARGUMENT... (see ASKED)
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np


def gdcm_images(folder: str) -> dict[str, Any]:
    """Of each image: size, origin, spacing, and the sum of its bytes and of their squares."""
    import gdcm

    found: dict[str, Any] = {}
    for path in sorted(Path(folder).iterdir()):
        reader = gdcm.ImageReader()
        reader.SetFileName(str(path))
        if not reader.Read():
            found[path.name] = None
            continue
        image = reader.GetImage()
        values = np.frombuffer(image.GetBuffer().encode("utf-8", "surrogateescape"), np.uint8).astype(np.uint64)
        found[path.name] = {
            "size": list(image.GetDimensions()),
            "origin": list(image.GetOrigin()),
            "spacing": list(image.GetSpacing()),
            "sums": [int(values.sum()), int((values**2).sum())],
        }
    return {"version": version("python-gdcm"), "images": found}


def simpleitk_series(folder: str) -> dict[str, Any]:
    """The series as one volume: where it lies, and its values."""
    import SimpleITK

    reader = SimpleITK.ImageSeriesReader()
    names = reader.GetGDCMSeriesFileNames(folder)
    reader.SetFileNames(names)
    image = reader.Execute()
    np.save(Path(folder).parent / "simpleitk.npy", SimpleITK.GetArrayFromImage(image))
    return {
        "version": version("SimpleITK"),
        "files": len(names),
        "size": image.GetSize(),
        "origin": image.GetOrigin(),
        "spacing": image.GetSpacing(),
        "direction": image.GetDirection(),
    }


def highdicom_results(seg: str, report: str) -> dict[str, Any]:
    """The segments' centres (mm) and voxels, and the measurements of the report."""
    import highdicom

    read = highdicom.seg.segread(seg)
    volume = read.get_volume()
    places = [
        volume.map_indices_to_reference(np.argwhere(volume.array[..., k])) for k in range(read.number_of_segments)
    ]
    groups = highdicom.sr.srread(report).content.get_volumetric_roi_measurement_groups()
    values = [[float(m.value) for m in group.get_measurements()] for group in groups]
    return {
        "version": version("highdicom"),
        "centres": [p.mean(0).tolist() for p in places],
        "voxels": [len(p) for p in places],
        "measurements": values,
    }


def nifti_volumes(folder: str) -> dict[str, Any]:
    """Of each NIfTI file: its affine; its values go to a file beside it."""
    import nibabel

    found = {}
    for path in sorted(Path(folder).glob("*.nii*")):
        image = nibabel.load(path)
        np.save(path.with_suffix(".npy"), np.asarray(image.dataobj))
        found[path.name] = {"affine": image.affine.tolist(), "shape": image.shape}
    return {"version": version("nibabel"), "volumes": found}


def segments_of_dcmqi(folder: str) -> dict[str, Any]:
    """Of each segment's volume that dcmqi wrote: its voxels' centre (mm, LPS) and their number."""
    import SimpleITK

    found = {}
    for path in sorted(Path(folder).glob("*.nrrd")):
        image = SimpleITK.ReadImage(str(path))
        places = np.argwhere(SimpleITK.GetArrayFromImage(image))[:, ::-1]
        points = [image.TransformContinuousIndexToPhysicalPoint([float(v) for v in p]) for p in places]
        found[path.stem] = {"centre": np.mean(points, 0).tolist() if points else None, "voxels": len(points)}
    return {"version": version("dcmqi"), "segments": found}


def dicomweb_client(api: str, study: str, folder: str) -> dict[str, Any]:
    """A study by DICOMweb: what is found, and every instance as it comes, into a folder. The token comes by stdin."""
    import requests
    from dicomweb_client.api import DICOMwebClient

    session = requests.Session()
    session.trust_env = False
    session.headers["Authorization"] = f"Bearer {sys.stdin.read().strip()}"
    client = DICOMwebClient(api, session=session)
    (listed,) = client.search_for_studies(search_filters={"StudyInstanceUID": study})
    series = [str(one["0020000E"]["Value"][0]) for one in client.search_for_series(study)]
    taken, frames, metadata = 0, {}, 0
    for uid in series:
        metadata += len(client.retrieve_series_metadata(study, uid))
        for ds in client.retrieve_series(study, uid):
            ds.save_as(Path(folder) / f"{taken:04d}.dcm", enforce_file_format=True)
            taken += 1
            if ds.Modality in ("CT", "US"):
                sop = str(ds.SOPInstanceUID)
                (frame,) = client.retrieve_instance_frames(study, uid, sop, [1])
                frames[sop] = np.asarray(frame).tobytes().hex()
    Path(folder, "frames.json").write_text(json.dumps(frames))
    named = listed.get("00100010", {}).get("Value", [{}])[0].get("Alphabetic", "")
    return {
        "version": version("dicomweb-client"),
        "series": len(series),
        "instances": taken,
        "metadata": metadata,
        "name": named,
    }


ASKED = {
    function.__name__: function
    for function in (
        gdcm_images,
        simpleitk_series,
        highdicom_results,
        nifti_volumes,
        segments_of_dcmqi,
        dicomweb_client,
    )
}

if __name__ == "__main__":
    print(json.dumps(ASKED[sys.argv[1]](*sys.argv[2:])))  # noqa: T201 - its answer
