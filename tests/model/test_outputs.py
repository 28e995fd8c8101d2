"""The DICOM results: valid, true to the finding, in the clean study's name, and the same for the same work."""

from __future__ import annotations

import io
import shutil
import subprocess

import highdicom as hd
import numpy as np
import pydicom
import pytest

from model_container.analyse import Clock, analyse
from model_container.reading import Detection, Mask, Reading
from model_container.volume import read_volume
from readfirst.domain.messages import AnalysisOrder
from readfirst.domain.models import default_model
from readfirst.domain.series import run_key


class Says:
    """An engine whose answer is given: what is tested is what becomes of the answer."""

    device = "test"

    def __init__(self, *detections):
        self.answer = Reading(detections, 0.7 if detections else 0.1)

    def read(self, volume, progress):
        progress(1.0)
        return self.answer


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


def outputs(phantom, *detections):
    """The analysis and its files."""
    instances = phantom.selection.instances
    volume = read_volume([phantom.contents[i.sop_uid] for i in instances])
    model = default_model()
    order = AnalysisOrder(
        token="ab" * 16, handle="ABCD1234", run_key=run_key(phantom.selection, model.digest), model_name=model.name,
        model_digest=model.digest, series_uid=phantom.selection.series_uid, instances=instances, receipts=(),
    )  # fmt: skip
    files = {}

    def put(name, content, _):
        files[name] = content
        return name

    return analyse(order, volume, model, Says(*detections), put, lambda *_: None, Clock()), files


@pytest.fixture(scope="module")
def positive(phantom):
    return outputs(phantom, lump(), lump(6, 40, 60))


@pytest.fixture(scope="module")
def negative(phantom):
    return outputs(phantom)


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


def test_a_study_without_findings_gets_a_report_that_says_absent_and_no_empty_segmentation(negative):
    result, files = negative
    said = list(concepts(opened(files, "sr.dcm")))
    assert set(result.outputs) == {"sr"}
    assert ("Presence", "Absent") in said and ("Presence", "Present") not in said


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian dicom3tools) is not installed")
def test_dciodvfy_finds_no_error(positive, negative, tmp_path):
    for kind, (_, files) in (("positive", positive), ("negative", negative)):
        for name, content in files.items():
            if name.endswith(".dcm"):
                (tmp_path / name).write_bytes(content)
                said = subprocess.run(["dciodvfy", str(tmp_path / name)], capture_output=True, text=True)
                assert [x for x in (said.stdout + said.stderr).splitlines() if "Error" in x] == [], (kind, name)


def test_the_segmentation_is_the_mask_at_its_place_and_covers_every_slice(positive, phantom):
    _, files = positive
    seg = hd.seg.segread(io.BytesIO(files["seg.dcm"]))
    pixels = seg.get_pixels_by_source_instance([i.sop_uid for i in phantom.selection.instances])
    expected = np.zeros(pixels.shape, np.uint8)
    expected[3:7, 100:120, 150:160, 0] = 1
    expected[6:10, 40:60, 60:70, 1] = 1
    assert seg.number_of_segments == 2 and int(seg.NumberOfFrames) == 2 * 12
    assert np.array_equal(pixels, expected)


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


def test_the_same_work_gives_the_same_objects(positive, phantom):
    _, again = outputs(phantom, lump(), lump(6, 40, 60))
    assert {n: opened(again, n).SOPInstanceUID for n in again if n.endswith(".dcm")} == {
        n: opened(positive[1], n).SOPInstanceUID for n in positive[1] if n.endswith(".dcm")
    }
    assert again["sr.dcm"] == positive[1]["sr.dcm"]


def test_a_finding_says_where_it_lies_in_the_patient_and_in_the_picture(positive, phantom):
    finding = positive[0].findings[0]
    first = phantom.selection.instances[0]
    x, y, z = finding.centre
    assert x == pytest.approx(first.position[0] + 154.5 * first.pixel_spacing[1], abs=0.02)
    assert y == pytest.approx(first.position[1] + 109.5 * first.pixel_spacing[0], abs=0.02)
    assert z == pytest.approx(first.position[2] + 4.5 * 2.5, abs=0.02)
    assert (finding.box.left, finding.box.top, finding.box.right, finding.box.bottom) == (150, 100, 160, 120)
    assert finding.sop_uid == phantom.selection.instances[finding.slice].sop_uid
