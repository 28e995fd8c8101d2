"""Radiographs: the network sees one polarity and one window, and the results claim no place in the patient."""

from __future__ import annotations

import io
import json
import shutil
import subprocess

import numpy as np
import pydicom
import pytest
from pydicom.uid import ComputedRadiographyImageStorage, JPEG2000Lossless, RLELossless

from model_container.analyse import decode
from model_container.engines.engine import Detection, OutOfScope
from model_container.images.pixels import UnreadablePixels
from model_container.images.radiograph import WHITE, read_projection
from readfirst.domain.analysis.findings import Code
from readfirst.domain.analysis.models import Channel, Gate, Manifest, RiskRule
from readfirst.domain.instance_facts import facts_of
from tests.model import results
from tests.model.files import compressed, item, jpeg_lossless, radiograph, rewritten

EFFUSION = Code(value="60046008", scheme="SCT", meaning="Pleural effusion")
MODEL = Manifest(
    name="chest-x-ray", version="1", title="Effusion in chest radiographs", engine="monai-bundle",
    task="classification", intended_use="triage", files={"configs/inference.json": "0" * 64},
    gate=Gate(modalities=("DX", "CR"), body_parts=("CHEST",)),
    channels=(Channel(index=0, kind="pleural-effusion", concept=EFFUSION, category=2),),
    risk=RiskRule(min_probability=0.8, text="High risk: an effusion"),
)  # fmt: skip


def grey(**changes):
    return read_projection(radiograph(**changes)).hu[0]


def stored(content):
    return pydicom.dcmread(io.BytesIO(content)).pixel_array


def test_dense_parts_are_bright_and_the_window_fills_the_range():
    shown = grey()
    assert shown.dtype == np.int16 and shown.min() >= 0 and shown.max() <= WHITE
    assert shown[80, 64] > 3000 > 1200 > shown[80, 38] > 500, "the heart is brighter than a lung"


def test_a_picture_whose_maker_stores_white_as_nought_is_the_same_picture():
    turned = radiograph(
        PhotometricInterpretation="MONOCHROME1", WindowCenter=2095, PresentationLUTShape="INVERSE",
        PixelData=(4095 - stored(radiograph())).astype("<u2").tobytes(),
    )  # fmt: skip
    assert np.abs(read_projection(turned).hu[0] - grey()).max() <= 2
    wrong = rewritten(turned, lambda ds: setattr(ds, "PhotometricInterpretation", "MONOCHROME2"))
    assert np.abs(read_projection(wrong).hu[0] - grey()).max() > 1000


def test_rescaling_comes_before_the_window():
    rescaled = grey(RescaleSlope=0.5, RescaleIntercept=100, WindowCenter=1100, WindowWidth=2000)
    assert np.abs(rescaled - grey()).max() <= 3


def test_the_window_s_function_and_several_windows_are_heeded():
    assert np.array_equal(grey(WindowCenter=[2000, 300], WindowWidth=[4000, 100]), grey())
    assert np.abs(grey(VOILUTFunction="LINEAR_EXACT") - grey()).max() <= 2
    shown = grey(VOILUTFunction="SIGMOID")
    assert shown[80, 64] == pytest.approx(WHITE / (1 + np.exp(-1.0)), abs=2)


def test_a_table_is_used_as_the_standard_says():
    table = item(LUTDescriptor=[4096, 0, 12], LUTData=np.minimum(4095, 2 * np.arange(4096)).astype("<u2").tobytes())
    shown = grey(VOILUTSequence=[table])
    assert (shown[80, 64], shown[80, 38]) == (4095, 1800)


def test_a_picture_without_a_window_is_shown_from_its_darkest_to_its_brightest():
    shown = grey(WindowCenter=None, WindowWidth=None)
    assert (shown[80, 38], shown[80, 64]) == (0, WHITE)


def test_padding_is_black_whatever_the_polarity():
    pixels = stored(radiograph()).copy()
    pixels[:20] = 4095
    for kind in ("MONOCHROME1", "MONOCHROME2"):
        shown = grey(PhotometricInterpretation=kind, PixelPaddingValue=4095, PixelData=pixels.astype("<u2").tobytes())
        assert not shown[:20].any() and shown[20:].any()


@pytest.mark.parametrize("way", [RLELossless, JPEG2000Lossless, None])
def test_compressed_radiographs_are_the_same_picture(way):
    content = compressed(radiograph(), way) if way else jpeg_lossless(radiograph())
    assert np.array_equal(read_projection(content).hu[0], grey())


@pytest.mark.parametrize(
    "changes",
    [{"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, {"PixelData": b"\0" * 100},
     {"WindowWidth": None, "WindowCenter": None, "PixelData": b"\1\0" * 160 * 128},
     {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 4095}, {"WindowCenter": -5000},
     {"WindowWidth": -4000}, {"WindowWidth": 0},
     {"PixelData": b"\xb8\x0b" * 160 * 128},
     {"VOILUTSequence": [item(LUTDescriptor=[0, 0])]}],
)  # fmt: skip
def test_a_radiograph_that_shows_nothing_or_contradicts_itself_is_refused(changes):
    content = radiograph(**changes)
    with pytest.raises(UnreadablePixels):
        read_projection(content)
    (facts,) = [facts_of(pydicom.dcmread(io.BytesIO(content)), path="x")]
    assert isinstance(decode([facts], {"x": content}), OutOfScope)


def outputs(content, *detections):
    return results.outputs([content], *detections, model=MODEL, risk=0.9)


EFFUSED = Detection(MODEL.targets[0], 0.93, 0.0, 0.0, (0.0, 80.0, 64.0), None)
WAYS = {
    "DX": {},
    "CR": {"SOPClassUID": ComputedRadiographyImageStorage, "Modality": "CR", "PresentationIntentType": None},
    "CR that says little": {
        "SOPClassUID": ComputedRadiographyImageStorage, "Modality": "CR", "PresentationIntentType": None,
        "PatientOrientation": None, "ImagerPixelSpacing": None, "StudyTime": None, "BodyPartExamined": None,
    },
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_a_finding_of_a_radiograph_names_its_picture_and_claims_no_place_and_no_size(way):
    content = radiograph(**WAYS[way])
    result, files = outputs(content, EFFUSED)
    (found,) = result.findings
    assert result.high_risk and result.slices == 1 and "mm" not in result.why
    assert found.centre is None and found.sop_uid == pydicom.dcmread(io.BytesIO(content)).SOPInstanceUID
    assert set(files) == {"sr.dcm"} and result.outputs == {"sr": "sr.dcm"}
    report = pydicom.dcmread(io.BytesIO(files["sr.dcm"]))
    assert "FrameOfReferenceUID" not in report
    said = json.dumps(report.to_json_dict())
    assert "Plain radiography" in said and "Computed tomography" not in said
    assert "SCOORD" not in said and "mm3" not in said and "Long Axis" not in said
    assert said.count(found.sop_uid) >= 2, "as evidence, and as the finding's source"


def test_a_radiograph_without_a_finding_says_absent():
    result, files = outputs(radiograph())
    assert result.findings == () and not result.high_risk
    assert "Absent" in json.dumps(pydicom.dcmread(io.BytesIO(files["sr.dcm"])).to_json_dict())


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian dicom3tools) is not installed")
@pytest.mark.parametrize("way", WAYS)
def test_dciodvfy_finds_no_error_in_a_radiograph_s_report(tmp_path, way):
    for detections in ((), (EFFUSED,)):
        (tmp_path / "sr.dcm").write_bytes(outputs(radiograph(**WAYS[way]), *detections)[1]["sr.dcm"])
        said = subprocess.run(["dciodvfy", str(tmp_path / "sr.dcm")], capture_output=True, text=True)
        assert [x for x in (said.stdout + said.stderr).splitlines() if "Error" in x] == []
