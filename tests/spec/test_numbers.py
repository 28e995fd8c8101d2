"""Chapter: numbers in text, as senders write them."""

from __future__ import annotations

import pytest

from readfirst.domain.numbers import as_integers, decimal, whole


@pytest.mark.parametrize("text", ["24", "+24", " 24 ", "24.0", "24.", "2.4e1", "0024", "24\0", "24.000000000000000000"])
def test_a_whole_number_is_read_however_it_is_written(text: str) -> None:
    assert whole(text) == 24


@pytest.mark.parametrize("text", ["", "24.5", "many", "2_4", "24\\25", "0x18", "nan", "inf", "٢٤", "1e99", "9" * 70])
def test_what_is_no_whole_number_is_none(text: str) -> None:
    assert whole(text) is None


@pytest.mark.parametrize(("text", "value"), [("0.7", 0.7), (" .5 ", 0.5), ("-1.25E+01", -12.5), ("+3", 3.0)])
def test_a_decimal_number_is_read_however_it_is_written(text: str, value: float) -> None:
    assert decimal(text) == value


@pytest.mark.parametrize("text", ["", "nan", "inf", "1_0", "0.7 mm", "1e999"])
def test_what_is_no_finite_number_is_none(text: str) -> None:
    assert decimal(text) is None


@pytest.mark.parametrize(
    ("value", "written"),
    [(b"24.0", b"24"), (b"+7\\08.0", b"7\\8"), (b" 24 ", b"24"), (b"1.0\\\\2", b"1\\\\2")],
)
def test_an_integer_string_is_written_as_the_standard_wants_it(value: bytes, written: bytes) -> None:
    assert as_integers(value).replace(b" ", b"") == written


@pytest.mark.parametrize("value", [b"24", b"24 ", b"", b"1\\2", b"seven", b"1.5\\2"])
def test_an_integer_string_that_is_right_or_cannot_be_set_right_stays(value: bytes) -> None:
    assert as_integers(value) == value
