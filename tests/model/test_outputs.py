"""The DICOM results: valid, true to the finding, in the clean study's name, and the same for the same work."""

from __future__ import annotations

import io
import json
import math
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest

from model_container.analyse import midline, reported, site_of
from model_container.engines.engine import Detection, Mask
from model_container.images.volume import read_volume
from model_container.outputs import overlay
from readfirst.domain.analysis.models import default_model
from readfirst.domain.reading.accounting import Accounting
from tests.model.files import enhanced, rewritten
from tests.model.results import outputs


def lump(z=3, row=100, column=150):
    """A detection of 4 slices, 20 rows and 10 columns."""
    voxels = np.ones((4, 20, 10), bool)
    return Detection(
        default_model().targets[0],
        0.9,
        21.5,
        1234.0,
        (z + 1.5, row + 9.5, column + 4.5),
        Mask((z, row, column), voxels),
    )


def slices(phantom):
    return [phantom.contents[i.sop_uid] for i in phantom.selection.instances]


@pytest.fixture(scope="module")
def positive(phantom):
    return outputs(slices(phantom), lump(), lump(6, 40, 60))


@pytest.fixture(scope="module")
def negative(phantom):
    return outputs(slices(phantom))


def opened(files, name):
    return pydicom.dcmread(io.BytesIO(files[name]))


def concepts(item):
    """Every (concept, value) pair of a report, in order."""
    name = item.ConceptNameCodeSequence[0].CodeMeaning if "ConceptNameCodeSequence" in item else ""
    if "ConceptCodeSequence" in item:
        yield name, item.ConceptCodeSequence[0].CodeMeaning
    elif "MeasuredValueSequence" in item:
        yield name, float(item.MeasuredValueSequence[0].NumericValue)
    elif "TextValue" in item:
        yield name, item.TextValue
    for child in item.get("ContentSequence", []):
        yield from concepts(child)


def test_a_study_with_findings_gets_seg_sr_and_a_key_image_for_each(positive):
    result, files = positive
    assert result.outputs == {"seg": "seg.dcm", "sr": "sr.dcm", "sc-1": "sc-1.dcm", "sc-2": "sc-2.dcm"}
    assert set(files) == {"overlay-1.png", "overlay-2.png", *result.outputs.values()}


def test_a_report_says_how_much_was_read_and_what_became_of_every_file(phantom):
    """Of a study that is read in part nothing is called absent: what was not read may hold it."""
    read = len(phantom.selection.instances)
    books = Accounting(received=read + 3, read=read, left_out={"localizer": 3}, frames=read, analysed=read)
    for missing in (0, 7):
        told = books.model_copy(update={"missing": missing})
        result, files = outputs(slices(phantom), accounting=told)
        said = dict(concepts(opened(files, "sr.dcm")))
        assert f"{read + 3} files received: {read} read, 3 left out (localizer 3)" in said["Comment"]
        assert (f"Read in part: {read} of {read + 7} slices." in said["Comment"]) == bool(missing)
        assert ("Presence" not in said) == bool(missing) and result.accounting == told


def test_a_study_without_findings_gets_a_report_that_says_absent_and_no_empty_segmentation(negative):
    result, files = negative
    said = list(concepts(opened(files, "sr.dcm")))
    assert set(result.outputs) == {"sr"}
    assert ("Presence", "Absent") in said and ("Presence", "Present") not in said


@pytest.mark.parametrize("name", ["overlay-1.png", "sr.dcm"])
def test_no_analysis_comes_of_an_output_that_could_not_be_kept(phantom, name):
    with pytest.raises(ConnectionError, match=name):
        outputs(slices(phantom), lump(), unwritable=name)


def tilted(ds):
    """The gantry leans by 15 degrees; the table moves along the patient."""
    lean = math.radians(15)
    ds.ImageOrientationPatient = ["1", "0", "0", "0", f"{math.cos(lean):.8f}", f"{-math.sin(lean):.8f}"]


def oblique(ds):
    """The patient lies askew: slices are stacked along their own normal, which is none of the patient's axes."""
    row = np.array([math.cos(0.2), math.sin(0.2), 0])
    column = np.array([-math.sin(0.2) * math.cos(0.25), math.cos(0.2) * math.cos(0.25), -math.sin(0.25)])
    place = np.array([-150.0, -170.0, 0]) + np.cross(row, column) * float(ds.ImagePositionPatient[2])
    ds.ImageOrientationPatient = [f"{v:.8f}" for v in (*row, *column)]
    ds.ImagePositionPatient = [f"{v:.6f}" for v in place]


def bare(ds):
    """Nobody said who, when, and in which frame of reference."""
    for keyword in ("PatientName", "PatientSex", "PatientBirthDate", "StudyDate", "StudyTime", "SeriesDate",
                    "SeriesTime", "AcquisitionDate", "ContentDate", "StudyID", "AccessionNumber",
                    "ReferringPhysicianName", "FrameOfReferenceUID", "PositionReferenceIndicator"):  # fmt: skip
        ds.pop(keyword, None)


def foreign(ds):
    """A Japanese file, with values that the standard does not know."""
    ds.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    ds.PatientName, ds.PatientSex, ds.PatientAge = "Yamada^Tarou=山田^太郎", "X", "61"


WAYS = {
    "plain": lambda contents: contents,
    "tilted": lambda contents: [rewritten(c, tilted) for c in contents],
    "oblique": lambda contents: [rewritten(c, oblique) for c in contents],
    "enhanced": lambda contents: [enhanced(contents[::-1])],
    "enhanced, two files": lambda contents: [enhanced(contents[:6]), enhanced(contents[6:])],
    "foreign": lambda contents: [rewritten(c, foreign) for c in contents],
    "bare": lambda contents: [rewritten(c, bare) for c in contents],
}


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian dicom3tools) is not installed")
@pytest.mark.parametrize("way", WAYS)
def test_dciodvfy_finds_no_error_however_the_slices_came(phantom, tmp_path, way):
    contents = WAYS[way](slices(phantom))
    for detections in ((), (lump(), lump(6, 40, 60)), (a_class(),)):
        for name, content in outputs(contents, *detections)[1].items():
            if name.endswith(".dcm"):
                (tmp_path / name).write_bytes(content)
                said = subprocess.run(["dciodvfy", str(tmp_path / name)], capture_output=True, text=True)
                assert [x for x in (said.stdout + said.stderr).splitlines() if "Error" in x] == [], name


def test_results_are_in_utf_8_and_keep_a_name_of_any_script(phantom):
    """Of the clean study that is a pseudonym; the clean copy keeps the set of characters that it came in."""
    _, files = outputs(WAYS["foreign"](slices(phantom)), lump())
    for name in (n for n in files if n.endswith(".dcm")):
        ds = opened(files, name)
        assert (ds.SpecificCharacterSet, str(ds.PatientName)) == ("ISO_IR 192", "Yamada^Tarou=山田^太郎")


@pytest.mark.parametrize("way", ["enhanced", "enhanced, two files"])
def test_of_an_enhanced_file_results_name_the_frames(phantom, way):
    """The mask lies on the frames that show the finding, and every reference names file, class and frame."""
    contents = WAYS[way](slices(phantom))
    result, files = outputs(contents, lump())
    sources = {ds.SOPInstanceUID: ds for ds in (pydicom.dcmread(io.BytesIO(c)) for c in contents)}
    seg = opened(files, "seg.dcm")
    marked = set()
    for frame, groups in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence, strict=True):
        named = groups.DerivationImageSequence[0].SourceImageSequence[0]
        source = sources[named.ReferencedSOPInstanceUID]
        own = source.PerFrameFunctionalGroupsSequence[named.ReferencedFrameNumber - 1]
        place = groups.PlanePositionSequence[0].ImagePositionPatient
        assert place == pytest.approx(own.PlanePositionSequence[0].ImagePositionPatient, abs=0.001)
        assert named.ReferencedSOPClassUID == source.SOPClassUID
        if frame.any():
            assert np.array_equal(np.argwhere(frame)[[0, -1]], [[100, 150], [119, 159]])
            marked.add((named.ReferencedSOPInstanceUID, named.ReferencedFrameNumber))
    finding = result.findings[0]
    assert len(marked) == 4 and (finding.sop_uid, finding.frame) in marked
    (listed,) = seg.ReferencedSeriesSequence
    assert {i.ReferencedSOPInstanceUID for i in listed.ReferencedInstanceSequence} == set(sources)
    assert len(listed.ReferencedInstanceSequence) == len(sources)


def test_the_segmentation_is_the_mask_at_its_place_and_covers_every_slice(positive, phantom):
    _, files = positive
    seg = hd.seg.segread(io.BytesIO(files["seg.dcm"]))
    pixels = seg.get_pixels_by_source_instance([i.sop_uid for i in phantom.selection.instances])
    expected = np.zeros(pixels.shape, np.uint8)
    expected[3:7, 100:120, 150:160, 0] = 1
    expected[6:10, 40:60, 60:70, 1] = 1
    assert seg.number_of_segments == 2 and int(seg.NumberOfFrames) == 2 * 12
    assert np.array_equal(pixels, expected) and seg.SegmentsOverlap == "NO"


def test_findings_that_share_voxels_keep_them_both(phantom):
    _, files = outputs(slices(phantom), lump(), lump(5, 110, 155))
    seg = hd.seg.segread(io.BytesIO(files["seg.dcm"]))
    pixels = seg.get_pixels_by_source_instance([i.sop_uid for i in phantom.selection.instances])
    assert seg.SegmentsOverlap == "YES" and pixels[5:7, 110:120, 155:160].all()
    assert pixels.sum((0, 1, 2)).tolist() == [800, 800]


def a_class():
    """A finding of the study, as a classification gives it: seen best in a slice, with no place in it."""
    return Detection(default_model().targets[0], 0.8, 0.0, 0.0, (5.0, 128.0, 128.0), None)


def test_a_finding_without_a_place_is_stated_and_gets_no_segment_and_no_picture(phantom):
    result, files = outputs(slices(phantom), a_class())
    finding = result.findings[0]
    said = list(concepts(opened(files, "sr.dcm")))
    assert set(files) == {"sr.dcm"} and finding.overlay == "" and finding.slice == 5
    assert (finding.box.left, finding.box.top, finding.box.right, finding.box.bottom) == (0, 0, 256, 256)
    assert ("Presence", "Present") in said and ("Calibrated probability", 0.8) in said and finding.site == "lung"


def test_findings_with_and_without_a_place_keep_their_own_segments_and_pictures(phantom):
    result, files = outputs(slices(phantom), a_class(), lump())
    assert set(files) == {"seg.dcm", "sr.dcm", "sc-2.dcm", "overlay-2.png"}
    (segment,) = opened(files, "seg.dcm").SegmentSequence
    assert segment.SegmentLabel == "lung-nodule 2" and result.findings[1].overlay == "overlay-2.png"


READER = Path(__file__).with_name("reader")


@pytest.mark.skipif(not (READER / "node_modules/dcmjs").exists(), reason="dcmjs is not installed (`make test` does it)")
@pytest.mark.parametrize("way", ["plain", "enhanced"])
def test_the_reader_that_ohif_uses_finds_segments_and_measurements(phantom, tmp_path, way):
    contents = WAYS[way](slices(phantom))
    result, files = outputs(contents, lump(), lump(6, 40, 60))
    for name in ("seg.dcm", "sr.dcm"):
        (tmp_path / name).write_bytes(files[name])
    read = ["node", READER / "read.mjs", tmp_path / "seg.dcm", tmp_path / "sr.dcm"]
    said = subprocess.run(read, capture_output=True, text=True, check=True)
    found = json.loads(said.stdout)
    assert [s["label"] for s in found["segments"].values()] == ["lung-nodule 1", "lung-nodule 2"]
    for segment, finding in zip(found["segments"].values(), result.findings, strict=True):
        assert list(segment["pixels"].values()) == [200] * 4
        assert f"{finding.sop_uid}#{finding.frame}" in segment["pixels"]
    first, second, risk = found["groups"]
    assert found["template"] == "1500" and (first["segment"], second["segment"]) == (1, 2)
    assert first["measurements"] == {"Long Axis": 21.5, "Volume": 1234, "Calibrated probability": 0.9}
    assert first["evaluations"]["Presence"] == "Present" and list(risk["measurements"].values()) == [0.7]


def test_of_very_many_findings_those_that_meet_the_rule_are_told_and_then_the_likeliest(phantom):
    """A segment has a frame for every slice; the one that makes the study urgent must not be the one left out."""
    small = [replace(lump(), probability=0.9 - 0.001 * k, diameter_mm=5.0) for k in range(60)]
    large = replace(lump(), probability=0.55, diameter_mm=40.0)
    result, files = outputs(slices(phantom), *small, large)
    assert len(result.findings) == 50 and result.findings[-1].diameter_mm == 40.0 and result.high_risk
    assert "11 less probable ones are left out" in result.why
    assert len(opened(files, "seg.dcm").SegmentSequence) == 50
    other = default_model().targets[0].model_copy(update={"kind": "other"})
    rare = replace(lump(), probability=0.5, diameter_mm=1.0, channel=other)
    assert [d.channel.kind for d in reported([*small, rare], default_model(), 2000)] == ["lung-nodule"] * 7 + ["other"]


def test_the_report_is_unverified_complete_and_measures_each_finding(positive):
    report = opened(positive[1], "sr.dcm")
    said = list(concepts(report))
    assert (report.VerificationFlag, report.CompletionFlag) == ("UNVERIFIED", "COMPLETE")
    assert said.count(("Presence", "Present")) == 2 and ("Long Axis", 21.5) in said and ("Volume", 1234.0) in said
    assert ("Calibrated probability", 0.9) in said
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"


def test_the_report_names_every_instance_of_the_series_as_evidence(positive, negative, phantom):
    for _, files in (positive, negative):
        report, named = opened(files, "sr.dcm"), set()
        for keyword in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence"):
            for study in report.get(keyword, []):
                for series in study.ReferencedSeriesSequence:
                    named |= {item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence}
        assert {i.sop_uid for i in phantom.selection.instances} <= named


def test_every_output_is_the_clean_study_s_and_names_the_model_and_that_it_is_synthetic(positive, phantom):
    _, files = positive
    source = pydicom.dcmread(io.BytesIO(phantom.contents[phantom.selection.instances[0].sop_uid]))
    for name in (n for n in files if n.endswith(".dcm")):
        ds = opened(files, name)
        for keyword in ("PatientID", "StudyInstanceUID", "AccessionNumber", "StudyID", "StudyDate"):
            assert ds[keyword].value == source[keyword].value, (name, keyword)
        assert default_model().digest[:16] in str(ds.SoftwareVersions)
        assert "SYNTHETIC MODEL, NOT FOR DIAGNOSIS" in ds.SeriesDescription
    assert default_model().digest.encode() in files["seg.dcm"] and default_model().digest.encode() in files["sr.dcm"]


def test_no_output_holds_a_date_of_the_clock(positive):
    _, files = positive
    for name in (n for n in files if n.endswith(".dcm")):
        dates = {str(e.value)[:8] for e in opened(files, name).iterall() if e.VR in ("DA", "DT") and e.value}
        born = str(opened(files, name).get("PatientBirthDate", ""))
        assert dates - {born} == {str(opened(files, name).StudyDate)}, name


def test_the_same_work_gives_the_same_files(positive, phantom):
    _, again = outputs(slices(phantom), lump(), lump(6, 40, 60))
    assert again == positive[1]


@pytest.mark.parametrize("shift", [-400.0, 0.0, 400.0])
def test_the_side_is_the_body_s_and_not_the_coordinate_system_s(phantom, shift):
    """Converted files often begin at x = 0: then the whole patient lies to the left of the scanner's middle."""

    def moved(ds):
        x, y, z = (float(v) for v in ds.ImagePositionPatient)
        ds.ImagePositionPatient = [f"{x + shift:.3f}", f"{y:.3f}", f"{z:.3f}"]

    contents = [rewritten(c, moved) for c in slices(phantom)]
    result, files = outputs(contents, lump(column=60), lump(column=180), lump(column=123))
    assert [f.site for f in result.findings] == ["right lung", "left lung", "lung"]
    assert [v for k, v in concepts(opened(files, "sr.dcm")) if k == "Finding Site"] == ["Lung"] * 3


def test_where_the_picture_cuts_the_body_off_the_scanner_s_middle_is_the_best_guess(phantom):
    def near(ds):  # nothing but the right lung
        ds.Rows = ds.Columns = 128
        x, y, z = (float(v) for v in ds.ImagePositionPatient)
        ds.ImagePositionPatient = [f"{x:.3f}", f"{y + 64 * float(ds.PixelSpacing[0]):.3f}", f"{z:.3f}"]
        ds.PixelData = np.full((128, 128), 40, "<i2").tobytes()

    contents = [rewritten(c, near) for c in slices(phantom)]
    assert [f.site for f in outputs(contents, lump(row=50, column=100))[0].findings] == ["right lung"]


def turned(quarters, mirrored):
    """The same anatomy in a picture that is turned by quarters, and mirrored, with directions that say so."""

    def change(ds):
        plane = np.frombuffer(ds.PixelData, "<i2").reshape(256, 256)
        step, (x, y, z) = float(ds.PixelSpacing[0]), (float(v) for v in ds.ImagePositionPatient)
        rows, columns = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
        parts = [np.rot90(one, quarters) for one in (plane, rows, columns)]
        plane, rows, columns = (one[:, ::-1] if mirrored else one for one in parts)
        ds.PixelData = np.ascontiguousarray(plane).tobytes()
        ds.ImagePositionPatient = [f"{x + columns[0, 0] * step:.4f}", f"{y + rows[0, 0] * step:.4f}", f"{z:.4f}"]
        across = (columns[0, 1] - columns[0, 0], rows[0, 1] - rows[0, 0])
        down = (columns[1, 0] - columns[0, 0], rows[1, 0] - rows[0, 0])
        ds.ImageOrientationPatient = [int(v) for v in (*across, 0, *down, 0)]

    return change


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
@pytest.mark.parametrize("mirrored", [False, True])
def test_however_the_picture_is_turned_its_marks_and_sides_are_true(phantom, quarters, mirrored):
    """The drawn slice is the same: the patient's right on the left, the front above."""
    change = turned(quarters, mirrored)
    plain, volume = (read_volume(c) for c in (slices(phantom), [rewritten(c, change) for c in slices(phantom)]))
    ((row, column),) = np.argwhere(np.isclose(places(volume), places(plain)[110, 60], atol=0.01).all(-1))
    square = Mask((3, row - 5, column - 5), np.ones((4, 11, 11), bool))
    moved = Detection(default_model().targets[0], 0.9, 10.0, 500.0, (4.5, float(row), float(column)), square)
    same = Detection(default_model().targets[0], 0.9, 10.0, 500.0, (4.5, 110.0, 60.0),
                     Mask((3, 105, 55), np.ones((4, 11, 11), bool)))  # fmt: skip
    drawn, expected = (overlay.draw(v, d, "1", "x") for v, d in ((volume, moved), (plain, same)))
    pictures = [np.asarray(picture.convert("L")).astype(int) for picture in (drawn, expected)]
    assert np.abs(pictures[0] - pictures[1])[40:].mean() < 0.5  # above stands the slice's own number
    assert site_of(moved, volume.point(*moved.centre)[0] - midline(volume, 4)) == "right lung"


def places(volume):
    """Where the first slice's pixels lie."""
    rows, columns = np.meshgrid(*(np.arange(n) for n in volume.hu.shape[1:]), indexing="ij")
    return volume.positions[0] + (
        rows[..., None] * volume.pixel[0] * volume.along_rows
        + columns[..., None] * volume.pixel[1] * volume.along_columns
    )


def test_a_finding_says_where_it_lies_in_the_patient_and_in_the_picture(positive, phantom):
    finding = positive[0].findings[0]
    first = phantom.selection.instances[0]
    x, y, z = finding.centre
    assert x == pytest.approx(first.position[0] + 154.5 * first.pixel_spacing[1], abs=0.02)
    assert y == pytest.approx(first.position[1] + 109.5 * first.pixel_spacing[0], abs=0.02)
    assert z == pytest.approx(first.position[2] + 4.5 * 2.5, abs=0.02)
    assert (finding.box.left, finding.box.top, finding.box.right, finding.box.bottom) == (150, 100, 160, 120)
    assert finding.sop_uid == phantom.selection.instances[finding.slice].sop_uid
