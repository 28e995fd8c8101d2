"""What is known of an instance without opening it again, as scanners and as de-identification leave it."""

from __future__ import annotations

import io

import pydicom
import pytest
from pydicom.data import get_testdata_file

from readfirst.domain.instances import facts_of
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
