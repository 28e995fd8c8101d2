"""What is known of an instance without opening it again, as scanners and as de-identification leave it."""

from __future__ import annotations

import io

import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from readfirst.domain.instances import InstanceFacts, facts_of
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


def test_slices_of_one_reconstruction_have_one_rendering_and_say_nothing_else_of_it():
    def told(**values):
        ds = pydicom.Dataset()
        ds.update(
            {Tag(k): pydicom.DataElement(Tag(k), pydicom.datadict.dictionary_VR(k), v) for k, v in values.items()}
        )
        return facts_of(ds).rendering

    sharp = told(ConvolutionKernel="Doe^Jane", SliceThickness="1.0")
    assert sharp == told(ConvolutionKernel="Doe^Jane", SliceThickness="1.0") != told(ConvolutionKernel="B30f")
    assert told() == "" and len(sharp) == 16 and "Doe" not in sharp
