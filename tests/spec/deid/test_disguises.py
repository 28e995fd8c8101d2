"""Chapter: an identifier is found in what programs make of it: encoded, spread over values, as a binary number."""

from __future__ import annotations

import base64
import struct

import pytest
from pydicom.dataset import Dataset

from readfirst.domain.deid import KnownIdentifiers
from readfirst.domain.deid.rules.binary_numbers import BinaryNumbers
from readfirst.domain.deid.text.scrubber import Scrubber
from tests.spec.deid.conftest import Cleaner

KNOWN = KnownIdentifiers(
    names=frozenset(("Quillfeather^Zoë",)),
    ids=frozenset(("48213077",)),
    dates=frozenset(("19510423",)),
)


def scrubbed(text: str) -> str:
    return Scrubber(KNOWN).scrub(text)


@pytest.mark.parametrize(
    "encoded",
    [
        base64.b64encode(b"Quillfeather, Zoe").decode(),
        base64.urlsafe_b64encode(b"patient: Quillfeather").decode().rstrip("="),
        base64.b64encode("Quillfeather".encode("utf-16-le")).decode(),
        base64.b64encode(base64.b64encode(b"born 23.04.1951")).decode(),
        b"Quillfeather".hex(),
        b"Quillfeather".hex(" ").upper(),
        b"MRN 48213077".hex(":"),
        "0x" + b"Quillfeather".hex(),
        b"born 23 April 1951".hex(),
        base64.b64encode(b"seen on 2024-02-29").decode(),
    ],
)
def test_an_encoded_identifier_goes_and_the_text_around_it_stays(encoded: str) -> None:
    clean = scrubbed(f"chest {encoded} axial").replace("******", "***")  # a part of the digits may go by itself
    assert clean == "chest *** axial"


@pytest.mark.parametrize(
    "encoded",
    [
        "\\u0051uill\\u0066eather",
        "".join(f"\\x{b:02x}" for b in b"Quillfeather"),
        "=?utf-8?b?UXVpbGxmZWF0aGVy?=",
        "=?utf-8?q?Quill=66eather?=",
        "n=3DQuill=66eather",
        "name%3DQuill%66eather",
        "born&#32;1951&#45;04&#45;23",
        "1%2E2%2E826%2E0%2E1%2E3680043%2E9%2E1",
        '{"text": "\\u0051uillfeather"}',
        "&amp;#81;uillfeather",
    ],
)
def test_a_text_with_escapes_that_hide_somebody_goes(encoded: str) -> None:
    clean = scrubbed(encoded)
    assert "***" in clean
    assert not any(part in clean for part in ("uillf", "feather", "1951", "3680043"))


@pytest.mark.parametrize(
    "text",
    [
        "Abdominal CT w/ contrast &amp; delay", "SAGITTAL T1 FSE", "Quantification 100%", "kernel=3D", "BONEPLUS_1",
        "deadbeefcafe", "12 34 56 78", "T1 vibe dixon tra p4 bh", "a=20 mA", "120kV+tin", "ORIGINAL\\PRIMARY\\AXIAL",
        base64.b64encode(b"lung window").decode(), "1.0\\2.0\\3.0\\4.0\\5.0\\6.0",
    ],
)  # fmt: skip
def test_what_only_looks_encoded_stays(text: str) -> None:
    assert scrubbed(text) == text


@pytest.mark.parametrize(
    "value",
    ["QUILL\\FEATHER", "\\".join("Quillfeather"), "1951\\0423", "on 28 M\\ay 2021", "51756\\96c6c\\66656174\\686572"],
)
def test_an_identifier_spread_over_the_values_of_an_attribute_goes(value: str) -> None:
    assert scrubbed(value) == "***"


@pytest.mark.parametrize(
    "text",
    [
        "2.25.186708941417506758597337327437848298582",
        "fd48444a-44de-4d74-9187-95402de29c3b",
        "fd48444a44de4d74918795402de29c3b",
    ],
)
def test_every_unique_identifier_in_a_text_goes_whoever_it_is_of(text: str) -> None:
    assert scrubbed(f"see {text}") == "see ***"


def test_a_number_filled_up_with_zeros_is_found_in_a_code_too(ct: Dataset, clean: Cleaner) -> None:
    ct.PatientID = "48213077"
    item = Dataset()
    item.LongCodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "case 0048213077", "99SITE", "case"
    ct.ProcedureCodeSequence = [item]
    assert b"48213077" not in clean(ct).content


@pytest.mark.parametrize("value", ["case of 22-OCT-1941", "fd48444a-44de-4d74-9187-95402de29c3b", "a.b77@mail.example"])
def test_a_code_that_no_list_can_have_goes(ct: Dataset, clean: Cleaner, value: str) -> None:
    item = Dataset()
    item.LongCodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "99SITE", "case"
    ct.ProcedureCodeSequence = [item]
    assert value.encode() not in clean(ct).content


@pytest.mark.parametrize("value", ["23_APR_1951", "2024_02_29", "16_OCTOBER_2015"])
def test_a_code_string_that_says_a_day_goes(ct: Dataset, clean: Cleaner, value: str) -> None:
    ct.add_new(0x0018_5104, "CS", value)
    assert value.encode() not in clean(ct).content


@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [
        (0x0020_9128, "UL", 48213077),
        (0x0018_603D, "SL", -48213077),
        (0x0018_9063, "FD", 48213077.0),
        (0x0008_0429, "UV", 48213077),
        (0x0072_0082, "SV", 48213077),
        (0x0072_0076, "FL", 48213077.0),
        (0x0072_0060, "AT", 48213077),
    ],
)
def test_a_binary_number_that_is_the_patients_goes(
    ct: Dataset, clean: Cleaner, tag: int, vr: str, value: float
) -> None:
    ct.PatientID = "48213077"
    ct.add_new(tag, vr, value)
    assert tag not in clean(ct).ds


@pytest.mark.parametrize("order", "<>")
def test_letters_in_numbers_are_read_in_either_order_of_bytes(ct: Dataset, clean: Cleaner, order: str) -> None:
    ct.PatientID = "48213077"
    ct.add_new(0x0018_9063, "FD", struct.unpack(f"{order}d", b"48213077")[0])
    assert 0x0018_9063 not in clean(ct).ds


def test_a_known_number_among_many_counts_from_seven_digits_on() -> None:
    known = BinaryNumbers({"48213", "48213077", "12000"})
    many = struct.pack("<40L", *range(48200, 48240))
    assert not known.hold(many, "UL", big=False)
    assert known.hold(many + struct.pack("<L", 48213077), "UL", big=False)
    assert known.hold(struct.pack(">L", 48213), "UL", big=True)
    assert not known.hold(struct.pack("<L", 12000), "UL", big=False)


def test_a_tag_of_the_standard_is_a_tag_whoever_has_its_number() -> None:
    frame_time = 0x0018_1063
    assert not BinaryNumbers({str(frame_time)}).hold(struct.pack("<2H", 0x0018, 0x1063), "AT", big=False)
