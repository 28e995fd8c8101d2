"""The DICOM JSON model (PS3.18 Annex F): JSON whatever the values are, and what searches answer."""

from __future__ import annotations

import base64
import io
import json
import math
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from readfirst.domain.dicomweb import dicom_json
from readfirst.domain.dicomweb.jsonmodel import json_model
from readfirst.domain.pseudonyms import patient_name
from tests.portal.studies import record
from tests.spec.images import UNCOMPRESSED, file_in, instance


def element(vr: str, value: Any) -> dict[str, Any]:
    """The JSON of a private element of that VR, as a strict reader takes it."""
    ds = Dataset()
    ds.add_new(0x00191001, vr, value)
    return json.loads(json.dumps(json_model(ds), allow_nan=False))["00191001"]


@pytest.mark.parametrize(
    ("vr", "value", "expected"),
    [
        ("FD", math.nan, None),
        ("FL", math.inf, None),
        ("FD", [1.5, -math.inf, math.nan], [1.5, None, None]),
        ("SH", ["B30f", "", "x"], ["B30f", None, "x"]),
        ("DS", ["1.5", "", "2"], [1.5, None, 2]),
        ("IS", ["1", "", "3"], [1, None, 3]),
        ("PN", ["A^B", "", "C"], [{"Alphabetic": "A^B"}, None, {"Alphabetic": "C"}]),
        ("PN", "Yamada=山田=", [{"Alphabetic": "Yamada", "Ideographic": "山田"}]),
        ("PN", "=山田", [{"Ideographic": "山田"}]),
        ("LO", "", None),
        ("LO", ["", ""], None),
        ("SQ", [], None),
        ("SQ", [Dataset()], [{}]),
        ("AT", [0x00181065, 0x00181063], ["00181065", "00181063"]),
        ("US", [], None),
        ("US", 7, [7]),
        ("UV", 1 << 60, [str(1 << 60)]),
        ("SV", -5, [-5]),
        ("UI", ["1.2", "3.4"], ["1.2", "3.4"]),
        ("UT", "a\\b", ["a\\b"]),
    ],
)
def test_values_are_json_and_an_empty_one_among_others_is_null(vr: str, value: Any, expected: Any) -> None:
    assert element(vr, value) == ({"vr": vr, "Value": expected} if expected else {"vr": vr})


@pytest.mark.parametrize("vr", ["OB", "OW", "UN", "OF"])
def test_binary_values_stand_inline(vr: str) -> None:
    assert element(vr, b"\1\2\3\4") == {"vr": vr, "InlineBinary": "AQIDBA=="}
    assert element(vr, b"") == {"vr": vr}


@pytest.mark.parametrize("syntax", UNCOMPRESSED)
def test_one_header_is_one_json_in_every_transfer_syntax(syntax: str) -> None:
    """VRs that only the pixels decide, and words in binary of the other byte order."""
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    item = Dataset()
    item.LUTDescriptor = [4, 0, 16]
    item.add_new("LUTData", "OW", np.arange(4, dtype=f"{order}u2").tobytes())
    ds = instance(np.zeros((1, 4, 4), "i2"), VOILUTSequence=[item])
    ds.add_new("SmallestImagePixelValue", "SS", -5)
    ds.add_new("PixelPaddingValue", "SS", -2000)
    header = pydicom.dcmread(io.BytesIO(file_in(ds, syntax)), stop_before_pixels=True)
    found = json_model(header)
    assert found["00280106"] == {"vr": "SS", "Value": [-5]} and found["00280120"] == {"vr": "SS", "Value": [-2000]}
    (table,) = found["00283010"]["Value"]
    assert table["00283006"] == {"vr": "OW", "InlineBinary": "AAABAAIAAwA="}
    assert all(len(e["vr"]) == 2 for e in found.values())
    assert pydicom.Dataset.from_json(found).VOILUTSequence[0].LUTData == np.arange(4, dtype="<u2").tobytes()


def test_what_should_be_a_number_and_is_none_does_not_spoil_the_rest() -> None:
    content = file_in(instance(np.zeros((1, 4, 4), "i2"), KVP=120, InstanceNumber=7), ImplicitVRLittleEndian)
    header = pydicom.dcmread(io.BytesIO(content.replace(b"120", b"12x")), stop_before_pixels=True)
    found = json_model(header)
    assert found["00180060"] == {"vr": "DS"} and found["00200013"]["Value"] == [7]
    assert pydicom.Dataset.from_json(found).InstanceNumber == 7


@pytest.mark.parametrize("syntax", UNCOMPRESSED)
def test_a_value_that_was_too_long_for_its_vr_is_told_as_what_it_is(syntax: str) -> None:
    """Above 65534 bytes it is written as UN (PS3.5 6.2.2)."""
    table = Dataset()
    table.LUTDescriptor = [0, 0, 16]
    table.add_new("LUTData", "US", list(range(1 << 16)))
    ds = instance(np.zeros((1, 4, 4), "u2"), VOILUTSequence=[table], FrameTimeVector=["33.3333"] * 9000)
    header = pydicom.dcmread(io.BytesIO(file_in(ds, syntax)), stop_before_pixels=True)
    found = json_model(header)
    assert found["00181065"]["vr"] == "DS" and found["00181065"]["Value"][8999] == 33.3333
    told = found["00283010"]["Value"][0]["00283006"]
    assert told["vr"] == "OW"
    assert base64.b64decode(told["InlineBinary"]) == np.arange(1 << 16, dtype="<u2").tobytes()


def test_text_is_utf_8_and_says_so() -> None:
    ds = Dataset()
    ds.SpecificCharacterSet, ds.SeriesDescription = "ISO_IR 100", "Schädel"
    assert json_model(ds)["00080005"]["Value"] == ["ISO_IR 192"]
    assert json_model(ds)["0008103E"]["Value"] == ["Schädel"]


def test_a_study_answers_with_the_pseudonym_that_its_objects_hold() -> None:
    study = record(3)
    found = dicom_json.study(study)
    assert found["00100010"]["Value"] == [{"Alphabetic": patient_name(study.patient)}]
    assert found["00100020"]["Value"] == [study.patient] and "Value" not in found["00100030"]
    assert "Value" not in dicom_json.study(study.model_copy(update={"patient": ""}))["00100010"]


def test_series_and_instances_answer_with_what_searches_ask_for_and_no_more() -> None:
    ds = instance(np.zeros((2, 4, 5), "i2"), TimezoneOffsetFromUTC="+0900", PatientComments="x", SeriesNumber=3)
    series, one = dicom_json.series(ds, 12), dicom_json.instance(ds)
    assert series["00080201"]["Value"] == ["+0900"] and series["00201209"] == {"vr": "IS", "Value": [12]}
    assert one["00280008"]["Value"] == [2] and one["00280010"]["Value"] == [4]
    assert "00104000" not in series and "00104000" not in one


@pytest.mark.parametrize(("kind", "vr"), [("u1", "OB"), ("i2", "OW")])
def test_the_metadata_names_the_pixels_by_their_address(kind: str, vr: str) -> None:
    found = dicom_json.metadata(instance(np.zeros((1, 4, 4), kind)), "http://host:1/studies/2.25.70")
    address = "http://host:1/studies/2.25.70/series/2.25.70.1/instances/2.25.70.1.1/frames"
    assert found["7FE00010"] == {"vr": vr, "BulkDataURI": address}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("PatientID", "PatientID"), ("00100020", "PatientID"), ("0020000d", "StudyInstanceUID"), ("limit", None)],
)
def test_a_query_names_attributes_by_keyword_or_tag(name: str, expected: str | None) -> None:
    assert dicom_json.keyword(name) == expected
