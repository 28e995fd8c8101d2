"""What ImageType and the derivation say of a picture, row by row."""

from __future__ import annotations

import pytest

from readfirst.domain.analysis.image_types import (
    CHANGED,
    COMPRESSED,
    KEEPING_CODES,
    KEPT,
    REFUSED,
    derivation_of,
    known_words,
    refused_as,
    says_nothing,
)

# What scanners and workstations write, by their conformance statements and public collections.
SEEN = [
    (r"ORIGINAL\PRIMARY\AXIAL", ""), (r"ORIGINAL\PRIMARY\AXIAL\CT_SOM5 SPI", ""), (r"ORIGINAL\PRIMARY\AXIAL\HELIX", ""),
    (r"ORIGINAL\PRIMARY\AXIAL\CT_SOM7 SPI DUAL", ""), (r"ORIGINAL\SECONDARY\AXIAL", ""),
    (r"ORIGINAL\PRIMARY\VOLUME\NONE", ""),
    (r"original\primary\axial", ""), (r"ORIGINAL\PRIMARY", ""), (r"ORIGINAL\PRIMARY\AXIAL\VMI", ""), ("", ""),
    ("REMOVED", ""),
    (r"ORIGINAL\PRIMARY\LOCALIZER", "localizer"), (r"ORIGINAL\PRIMARY\LOCALIZER\CT_SOM5 TOP", "localizer"),
    (r"ORIGINAL\PRIMARY\OTHER\CT_SOM5 PROT", "screen"), (r"DERIVED\SECONDARY\SCREEN SAVE", "screen"),
    (r"DERIVED\SECONDARY\MPR", "reformatted"), (r"DERIVED\SECONDARY\OTHER\CSA MPR", "reformatted"),
    (r"DERIVED\SECONDARY\REFORMATTED\AVERAGE", "reformatted"), (r"DERIVED\SECONDARY\AXIAL\MIP", "projection"),
    (r"DERIVED\PRIMARY\VOLUME\MAXIMUM", "projection"), (r"DERIVED\SECONDARY\MIP/THICK", "projection"),
    (r"DERIVED\SECONDARY\VOLREN", "rendered"), (r"ORIGINAL\PRIMARY\AXIAL\EFF_ATOMIC_NUM", "map"),
    (r"DERIVED\PRIMARY\AXIAL\MAT_SPECIFIC", "map"), (r"DERIVED\PRIMARY\AXIAL", "derived"),
    (r"DERIVED\SECONDARY\AXIAL", "derived"), (r"DERIVED\PRIMARY\AXIAL\CT_SOM5 SPO", "derived"),
    ("Kopie von Herrn M.", "unclear"),
]  # fmt: skip


@pytest.mark.parametrize(("image_type", "kind"), SEEN)
def test_what_scanners_and_workstations_write_is_read_or_left_out_by_its_kind(image_type, kind):
    assert refused_as(image_type.split("\\"), "") == kind


@pytest.mark.parametrize("written", ["DERIVED PRIMARY AXIAL", "derived/secondary/axial", "Derived, Primary"])
def test_values_in_one_with_other_characters_between_are_read_one_by_one(written):
    assert refused_as((written,), "") == "derived" and not says_nothing((written,))
    original = written.upper().replace("DERIVED", "ORIGINAL")
    assert refused_as((original,), "") == "" and not says_nothing((original,))


def test_every_row_has_a_source_and_an_example():
    kinds = {kind for _, kind in SEEN}
    assert all(row.source and row.kind in kinds for row in REFUSED)


@pytest.mark.parametrize(
    ("codes", "description", "lossy", "did"),
    [
        ((), "", "", ""), ((), "", "01", COMPRESSED), ((), "", "00", ""), (("113040",), "", "01", KEPT),
        (("113040", "113078"), "", "", CHANGED), (("113072",), "", "01", CHANGED),
        ((), "Lossy JPEG compression 10:1", "01", KEPT),
        ((), "De-identified", "", KEPT), ((), "JPEG 2000 lossless compressed", "", KEPT),
        ((), "Average of 4 slices", "", CHANGED),
        ((), "MIP 10 mm, lossy compression", "01", CHANGED), ((), "Image of the patient", "", CHANGED),
    ],
)  # fmt: skip
def test_a_derivation_keeps_the_picture_only_where_all_that_it_says_is_known_to(codes, description, lossy, did):
    assert derivation_of(codes, description, lossy) == did


@pytest.mark.parametrize("code", sorted(KEEPING_CODES))
def test_a_derivation_that_keeps_the_picture_leaves_it_readable(code):
    assert refused_as(("DERIVED", "SECONDARY", "AXIAL"), derivation_of([code], "", "")) == ""


def test_the_class_of_captured_screens_is_refused_whatever_its_type_says():
    assert refused_as(("ORIGINAL", "PRIMARY", "AXIAL"), "", "1.2.840.10008.5.1.4.1.1.7.2") == "screen"


def test_a_value_that_is_not_well_formed_is_kept_in_known_words_only():
    assert known_words("Average-10mm") == "AVERAGE OTHER" and known_words("Herr Maier") == "OTHER"
    assert "MIP" in known_words("CT_SOM7 SPI DUAL MIP THICK").split() and known_words("Derived") == "DERIVED"
