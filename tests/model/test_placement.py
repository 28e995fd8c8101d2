"""Segmentations lie where the findings are for readers that others wrote, however the slices are stacked."""

from __future__ import annotations

import io
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest

from readfirst.domain.analysis.segment_rle import segment_rle
from readfirst.domain.instance_facts import facts_of
from tests.model.files import enhanced, rewritten
from tests.model.results import outputs
from tests.model.test_outputs import lump, slices

INSTALLED = f"{os.environ['PATH']}:{Path(sys.executable).parent}:{Path(__file__).parents[2] / '.venv-interop/bin'}"
DCMQI = shutil.which("segimage2itkimage", path=INSTALLED)
DEGREES = (0, 1, 5, 15, 25, -15)


def leaning(degrees):
    """The gantry leans; the table moves along the patient, so each slice lies askew above the one below."""
    lean = math.radians(degrees)

    def change(ds):
        ds.ImageOrientationPatient = ["1", "0", "0", "0", f"{math.cos(lean):.6f}", f"{math.sin(lean):.6f}"]

    return change


def turned_about_the_body(ds):
    """The other axis: columns, not rows, drift from slice to slice."""
    lean = math.radians(20)
    ds.ImageOrientationPatient = [f"{math.cos(lean):.6f}", "0", f"{math.sin(lean):.6f}", "0", "1", "0"]


def placed(contents, *detections):
    """The analysis, its segmentation, and where highdicom puts each segment's voxels, in mm."""
    result, files = outputs(contents, *detections)
    seg = hd.seg.segread(io.BytesIO(files["seg.dcm"]))
    volume = seg.get_volume()
    voxels = [np.argwhere(volume.array[..., k]) for k in range(len(detections))]
    return result, seg, [volume.map_indices_to_reference(found) for found in voxels]


def measures(seg):
    return seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]


def half_a_voxel(seg):
    """In mm, along the axis that is longest."""
    return max(float(v) for v in (*measures(seg).PixelSpacing, measures(seg).SpacingBetweenSlices)) / 2


@pytest.mark.parametrize("way", ["plain", "enhanced"])
@pytest.mark.parametrize("degrees", DEGREES)
def test_a_segment_lies_where_its_finding_is_under_a_tilted_gantry(phantom, degrees, way):
    contents = [rewritten(c, leaning(degrees)) for c in slices(phantom)]
    contents = [enhanced(contents)] if way == "enhanced" else contents
    result, seg, points = placed(contents, lump(), lump(6, 40, 60))
    assert float(measures(seg).SpacingBetweenSlices) == pytest.approx(2.5 * math.cos(math.radians(degrees)), abs=1e-3)
    for finding, found in zip(result.findings, points, strict=True):
        assert len(found) == 800, "not one voxel more or less"
        assert np.linalg.norm(found.mean(0) - finding.centre) < half_a_voxel(seg)


def test_the_other_axis_is_followed_as_well(phantom):
    result, seg, points = placed([rewritten(c, turned_about_the_body) for c in slices(phantom)], lump())
    assert seg.Columns > 256 and seg.Rows == 256 and len(points[0]) == 800
    assert np.linalg.norm(points[0].mean(0) - result.findings[0].centre) < half_a_voxel(seg)


@pytest.mark.parametrize("way", ["plain", "enhanced"])
@pytest.mark.parametrize("degrees", [0, 15, -15])
def test_the_portal_draws_a_moved_mask_on_its_own_pixels(phantom, degrees, way):
    contents = [rewritten(c, leaning(degrees)) for c in slices(phantom)]
    contents = [enhanced(contents)] if way == "enhanced" else contents
    result, seg, _ = placed(contents, lump(), lump(6, 40, 60))
    facts = [f for c in contents for f in facts_of(pydicom.dcmread(io.BytesIO(c))).slices()]
    places = {f"{f.sop_uid}#{f.frame}" if f.frame else f.sop_uid: f.position for f in facts}
    for finding in result.findings:
        drawn = segment_rle(seg, [f.key for f in result.findings], places)[finding.key]
        box = finding.box
        expected = [(row, box.left, box.right - box.left) for row in range(box.top, box.bottom)]
        assert len(drawn) == 4 and all(sorted(found) == expected for found in drawn.values())


@pytest.mark.parametrize("stated", ["5.0", "0.1", "-2.5", None])
def test_the_step_is_measured_whatever_the_header_says(phantom, stated):
    def change(ds):
        ds.pop("SpacingBetweenSlices", None)
        if stated:
            ds.SpacingBetweenSlices = stated

    result, seg, points = placed([rewritten(c, change) for c in slices(phantom)], lump())
    assert measures(seg).SpacingBetweenSlices == 2.5 and len(points[0]) == 800
    assert np.allclose(points[0].mean(0), result.findings[0].centre, atol=0.01)


def test_places_that_were_rounded_are_no_hindrance(phantom):
    """Steps of 1.83 mm written with one decimal are 1.8 and 1.9: readers then see no volume, but loose slices."""

    def change(ds):
        x, y, z = (float(v) for v in ds.ImagePositionPatient)
        ds.ImagePositionPatient = [x, y, round(z / 2.5 * 11 / 6, 1)]

    result, seg, points = placed([rewritten(c, change) for c in slices(phantom)], lump())
    assert float(measures(seg).SpacingBetweenSlices) == pytest.approx(11 / 6, abs=0.01) and len(points[0]) == 800
    assert np.linalg.norm(points[0].mean(0) - result.findings[0].centre) < half_a_voxel(seg)


def test_a_moved_frame_still_names_the_slice_that_it_is_of_and_says_that_it_was_moved(phantom):
    contents = [rewritten(c, leaning(15)) for c in slices(phantom)]
    _, seg, _ = placed(contents, lump())
    sources = {ds.SOPInstanceUID: ds for ds in (pydicom.dcmread(io.BytesIO(c)) for c in contents)}
    normal = np.cross([1, 0, 0], [0, math.cos(math.radians(15)), math.sin(math.radians(15))])
    for groups in seg.PerFrameFunctionalGroupsSequence:
        named = groups.DerivationImageSequence[0].SourceImageSequence[0]
        place = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
        apart = place - np.array(sources[named.ReferencedSOPInstanceUID].ImagePositionPatient, float)
        assert abs(apart @ normal) < 0.001 and named.SpatialLocationsPreserved == "NO"


def test_every_result_says_in_which_time_zone_its_times_are(phantom):
    contents = [rewritten(c, lambda ds: setattr(ds, "TimezoneOffsetFromUTC", "+0900")) for c in slices(phantom)]
    _, files = outputs(contents, lump())
    results = [pydicom.dcmread(io.BytesIO(content)) for name, content in files.items() if name.endswith(".dcm")]
    assert {ds.Modality for ds in results} == {"SEG", "SR", "OT"}
    assert {ds.get("TimezoneOffsetFromUTC") for ds in results} == {"+0900"}
    _, files = outputs(slices(phantom), lump())
    assert all("TimezoneOffsetFromUTC" not in pydicom.dcmread(io.BytesIO(files[n])) for n in ("seg.dcm", "sr.dcm"))


@pytest.mark.skipif(DCMQI is None, reason="dcmqi is needed: requirements-bench.txt")
@pytest.mark.parametrize("degrees", DEGREES)
def test_dcmqi_puts_a_segment_where_its_finding_is(phantom, tmp_path, degrees):
    """3D Slicer imports segmentations by dcmqi."""
    result, files = outputs([rewritten(c, leaning(degrees)) for c in slices(phantom)], lump())
    (tmp_path / "seg.dcm").write_bytes(files["seg.dcm"])
    command = [DCMQI, "--inputDICOM", tmp_path / "seg.dcm", "--outputDirectory", tmp_path,
               "--outputType", "nrrd"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    places = _of_nrrd((tmp_path / "1.nrrd").read_bytes())
    assert len(places) == 800
    seg = pydicom.dcmread(io.BytesIO(files["seg.dcm"]))
    assert np.linalg.norm(places.mean(0) - result.findings[0].centre) < half_a_voxel(seg)


def _of_nrrd(content):
    """Where the voxels of a NRRD that are not 0 lie, in LPS."""
    import gzip

    head, _, data = content.partition(b"\n\n")
    fields = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
    assert fields["space"] == "left-posterior-superior"
    numbers = [float(v) for v in fields["space directions"].translate(str.maketrans("(),", "   ")).split()]
    origin = [float(v) for v in fields["space origin"].strip("()").split(",")]
    values = gzip.decompress(data) if fields["encoding"] == "gzip" else data
    kind = {"unsigned char": "u1", "short": "<i2", "unsigned short": "<u2"}[fields["type"]]
    shape = [int(v) for v in fields["sizes"].split()][::-1]
    found = np.argwhere(np.frombuffer(values, kind).reshape(shape))[:, ::-1]
    return origin + found @ np.reshape(numbers, (3, 3))
