"""What is known of an instance without opening it again, as scanners and as de-identification leave it."""

from __future__ import annotations

import io

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from readfirst.domain.analysis.said import UNREADABLE, admits_part
from readfirst.domain.instance_facts import InstanceFacts, facts_of
from readfirst.domain.pseudonyms import Pseudonyms
from tests.spec.deid.conftest import ROOT, Clean, attempt


@pytest.fixture
def perfusion():
    """A real enhanced CT file of two frames."""
    path = get_testdata_file("eCT_Supplemental.dcm", download=False)
    assert path, "pydicom-data brings it"
    with open(path, "rb") as file:  # noqa: PTH123 - pydicom gives a string
        return file.read()


def test_an_enhanced_file_tells_of_each_frame_where_it_lies_and_what_it_is(perfusion):
    facts = facts_of(pydicom.dcmread(io.BytesIO(perfusion)))
    first, second = facts.slices()
    assert (first.frame, first.position) == (1, (99.5, -301.5, -159.0))
    assert (second.frame, second.position) == (2, (99.5, -301.5, -149.0))
    assert first.orientation == (-1, 0, 0, 0, 1, 0) and first.pixel_spacing == (0.388672, 0.388672)
    assert first.image_type[0] == "DERIVED" and first.body_part == "BRAIN" and first.slice_thickness == 10


def test_de_identification_keeps_what_an_enhanced_file_tells(perfusion):
    before = facts_of(pydicom.dcmread(io.BytesIO(perfusion)))
    cleaned = attempt(perfusion, Pseudonyms(ROOT, "hilltop"))
    assert isinstance(cleaned, Clean), cleaned
    after = cleaned.facts
    assert after.planes == before.planes and after.orientation == before.orientation
    assert (after.body_part, after.pixel_spacing) == (before.body_part, before.pixel_spacing)


@pytest.mark.parametrize(
    ("said", "part"),
    [
        ({"ConcatenationUID": "1.2", "SOPInstanceUIDOfConcatenationSource": "1.3"}, ("1.2", 2, 3)),
        ({"SOPInstanceUIDOfConcatenationSource": "1.3"}, ("1.3", 2, 3)),
        ({}, ("1.9", 2, 3)),
        ({"InConcatenationTotalNumber": None}, None),
        ({"InConcatenationTotalNumber": None, "SOPInstanceUIDOfConcatenationSource": "1.3"}, ("1.3", 2, 0)),
        ({"InConcatenationNumber": None}, None),
    ],
)
def test_a_part_of_a_concatenation_counts_although_it_does_not_say_of_which(said, part):
    """Without it, a part that never came was not missed."""
    ds = pydicom.Dataset()
    for keyword, value in {
        "SeriesInstanceUID": "1.9",
        "InConcatenationNumber": 2,
        "InConcatenationTotalNumber": 3,
        **said,
    }.items():
        setattr(ds, keyword, value)
    found = facts_of(ds).part
    assert (found and (found.uid, found.number, found.total)) == part


def test_a_plain_file_is_one_slice():
    facts = facts_of(pydicom.dcmread(get_testdata_file("CT_small.dcm")))
    assert list(facts.slices()) == [facts] and facts.frame == 0


def test_groups_that_are_not_as_many_as_the_frames_tell_nothing(perfusion):
    ds = pydicom.dcmread(io.BytesIO(perfusion))
    ds.NumberOfFrames = 3
    facts = facts_of(ds)
    assert facts.planes == () and facts.position is None


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
@pytest.mark.parametrize("text", [b"nan", b"inf", b"-inf"])
def test_what_is_no_place_in_space_is_no_fact(keyword, text):
    """Such facts could be written, and not read again: one slice would fail the whole study."""
    count, tag = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6}.get(keyword, 2), Tag(keyword)
    value = b"\\".join([text] + [b"1"] * (count - 1))
    ds = pydicom.Dataset()
    ds._dict[tag] = RawDataElement(tag, "DS", len(value), value, 0, False, True)
    facts = facts_of(ds)
    assert InstanceFacts.model_validate_json(facts.model_dump_json()) == facts
    assert (facts.position, facts.orientation, facts.pixel_spacing) == (None, None, None)


def data(**values):
    ds = pydicom.Dataset()
    for keyword, value in values.items():
        tag, vr = Tag(keyword), pydicom.datadict.dictionary_VR(keyword)
        ds._dict[tag] = RawDataElement(tag, vr, len(value), value.encode("latin-1"), 0, False, True)
    return ds


def test_what_tells_reconstructions_apart_is_kept_without_saying_it():
    def apart(**values):
        return facts_of(data(**values)).apart

    sharp = apart(ConvolutionKernel="Doe^Jane", SliceThickness="1.0")
    assert sharp == apart(ConvolutionKernel="Doe^Jane", SliceThickness="1.0") != apart(ConvolutionKernel="B30f")
    assert apart() == () and "Doe" not in "".join(sharp)


@pytest.mark.parametrize(
    ("some", "other"),
    [
        ({"SliceThickness": "2.5"}, {"SliceThickness": "2.500000"}), ({"KVP": "120"}, {"KVP": "120.0"}),
        ({"ConvolutionKernel": "STANDARD"}, {"ConvolutionKernel": "Standard"}),
        ({"FilterType": "BODY  FILTER "}, {"FilterType": "Body Filter"}),
    ],
)  # fmt: skip
def test_a_value_is_the_same_however_it_is_written(some, other):
    """Scanners and archives write numbers anew, sometimes in the first file of a series only."""
    assert facts_of(data(**some)).apart == facts_of(data(**other)).apart != ()


@pytest.mark.parametrize(
    ("age", "computed", "meant"),
    [
        ("061Y", "", "061Y"), ("7Y", "", "007Y"), ("7", "", "007Y"), ("007y", "", "007Y"), ("7 years", "", "007Y"),
        ("0061Y", "", "061Y"), ("11 M", "", "011M"), ("3W", "", "003W"), ("61J", "", "061Y"), ("95Y", "", "090Y"),
        ("adult", "", UNREADABLE), ("adult", "044Y", "044Y"), ("", "044Y", "044Y"), ("", "", ""), ("  ", "", ""),
    ],
)  # fmt: skip
def test_an_age_is_read_as_a_person_would_read_it(age, computed, meant):
    assert facts_of(data(PatientAge=computed), sent=data(PatientAge=age)).patient_age == meant


@pytest.mark.parametrize(
    ("part", "meant", "admitted"),
    [
        ("Chest ", "CHEST", True), ("thorax", "THORAX", True), ("Head", "HEAD", False),
        ("BRAIN-HEAD", "BRAIN HEAD", False),
        ("HEAD/NECK", "HEADNECK", False), ("Chest/Abdomen", "CHEST ABDOMEN", True),
        ("abdomen, chest", "ABDOMEN CHEST", True),
        ("Chest routine", "CHEST", True), ("Chest & Head", "CHEST HEAD", False), ("Knie li.", UNREADABLE, False),
        ("Doe, Jane", UNREADABLE, False),
    ],
)  # fmt: skip
def test_a_body_part_is_read_in_words_of_the_standard_and_no_other_word_is_kept(part, meant, admitted):
    said = facts_of(data(), sent=data(BodyPartExamined=part)).body_part
    assert said in (meant, meant.replace(" ", ""))
    assert admits_part(said, ("CHEST", "THORAX", "CHESTABDOMEN")) == admitted


def test_what_de_identification_empties_is_still_judged():
    """A gate that sees the clean copy alone takes a child and a head for a study that does not say."""
    ds = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    ds.PatientBirthDate = ""
    values = (("PatientAge", "AS", b"7Y"), ("BodyPartExamined", "CS", b"Head"),
              ("ImageType", "CS", b"DERIVED\\SECONDARY\\AXIAL\\Doe Jane MIP-10mm "))  # fmt: skip
    for keyword, vr, value in values:
        ds._dict[Tag(keyword)] = RawDataElement(Tag(keyword), vr, len(value), value, 0, False, True)
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    cleaned = attempt(out.getvalue(), Pseudonyms(ROOT, "hilltop"))
    assert isinstance(cleaned, Clean), cleaned
    facts = cleaned.facts
    assert (facts.patient_age, facts.body_part) == ("007Y", "HEAD")
    assert facts.image_type[:3] == ("DERIVED", "SECONDARY", "AXIAL") and "MIP" in facts.image_type[3]
    assert "DOE" not in facts.model_dump_json().upper()


@pytest.mark.parametrize(
    ("changes", "unfit"),
    [
        ({}, False), ({"RescaleType": "Z_EFF"}, True), ({"RescaleSlope": None}, True), ({"RescaleSlope": 0}, True),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, True), ({"RescaleType": "HU"}, False),
    ],
)  # fmt: skip
def test_a_header_tells_whether_its_values_are_densities(changes, unfit):
    ds = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    for keyword, value in changes.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    assert bool(facts_of(ds).unfit) == unfit


def test_facts_that_were_written_before_are_still_read():
    older = {
        "study_uid": "1", "series_uid": "2", "sop_uid": "3", "sop_class": "4", "transfer_syntax": "5", "modality": "CT",
        "rendering": "0123456789abcdef", "planes": [{"rendering": "0123456789abcdef"}],
    }  # fmt: skip
    facts = InstanceFacts.model_validate(older)
    assert facts.rendering == "0123456789abcdef" and facts.apart == () and facts.part is None
