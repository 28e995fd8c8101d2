"""The name of who signed, as DICOM writes names (PS3.5 6.2.1.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.valuerep import PersonName

from readfirst.domain.reading.person_name import person_name


@pytest.mark.parametrize(
    ("shown", "name"),
    [
        ("Rita Ray", "Ray^Rita"),
        ("Dr Rita Ray", "Ray^Rita^^Dr"),
        ("Prof. Dr. Rita Anna Ray", "Ray^Rita Anna^^Prof. Dr."),
        ("Ray, Rita", "Ray^Rita"),
        ("Ray, Dr. Rita", "Ray^Rita^^Dr."),
        ("Rona Diaz (radiologist), every clinic", "Diaz^Rona"),
        ("Rona Diaz (radiologist)", "Diaz^Rona"),
        ("Ludwig van Beethoven", "van Beethoven^Ludwig"),
        ("Ray^Rita=x\\y", "y^Ray Rita x"),
        ("Rita Ray, MD", "Ray^Rita^^^MD"),
        ("Dr. Rita Ray M.D. FRCR", "Ray^Rita^^Dr.^M.D. FRCR"),
        ("Ray, Rita, MD", "Ray^Rita^^^MD"),
        ("Madonna", "Madonna"),
        ("", "Unknown"),
        ("Dr", "Dr"),
    ],
)
def test_a_name_as_a_directory_shows_it_becomes_a_person_name(shown: str, name: str) -> None:
    assert person_name(shown) == name


@given(st.text(max_size=200))
def test_whatever_a_directory_shows_is_one_value_of_one_group_within_its_length(shown: str) -> None:
    made = person_name(shown)
    assert len(made) <= 64 and not set("=\\\r\n\t") & set(made) and made.count("^") <= 4
    parts = PersonName(made)
    assert parts.family_name, "a name of type 1 is never empty"
