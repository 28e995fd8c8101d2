"""Chapter: bad input is refused with a reason, and never raises."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from readfirst.domain.deid import KnownIdentifiers, known_identifiers, read_header
from readfirst.domain.deid.acceptance import as_dataset
from readfirst.domain.deid.dicom import codec
from readfirst.domain.intake.headers import header_of
from readfirst.domain.pseudonyms import Pseudonyms
from readfirst.domain.refusals import Reason, Refused, Skipped
from tests.spec.deid.conftest import ROOT, Clean, attempt, file_of

FOUND = sorted((Path(__file__).parent / "found").glob("*.dcm"))
NAMES = Pseudonyms(ROOT, "hilltop")


@pytest.mark.parametrize("path", FOUND, ids=lambda p: p.stem)
@pytest.mark.filterwarnings("ignore")
def test_what_fuzzing_found_is_answered_with_a_value(path: Path) -> None:
    content = path.read_bytes()
    header = read_header(io.BytesIO(content))
    known = known_identifiers(header) if isinstance(header, Dataset) else KnownIdentifiers()
    assert isinstance(attempt(content, NAMES, known=known), (Clean, Refused))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", Reason.EMPTY),
        (b"\0" * 500, Reason.NOT_DICOM),
        (b"\0" * 128 + b"DICM", Reason.NOT_DICOM),
    ],
)
def test_what_is_no_dicom_is_refused(content: bytes, expected: Reason) -> None:
    header = read_header(io.BytesIO(content))
    assert isinstance(header, Refused)
    assert header.reason == expected


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"[autorun]\r\nopen=viewer.exe\r\n", "text"),
        (b"MZ\x90\0" + b"\0" * 200, "program"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF" + b"\0" * 200, "picture"),
        (b"%PDF-1.7\n" + b"\0" * 200, "document"),
        (b'<?xml version="1.0"?><a/>', "text"),
    ],
)
def test_what_travels_on_media_beside_a_study_is_skipped(content: bytes, what: str) -> None:
    assert read_header(io.BytesIO(content)) == Skipped(what)


def test_a_file_that_ends_too_early_is_refused_by_its_header_alone(ct: Dataset) -> None:
    header = read_header(io.BytesIO(file_of(ct)[:-20]))
    assert isinstance(header, Refused)
    assert header.reason == Reason.TRUNCATED


def test_a_file_without_a_study_is_refused(ct: Dataset) -> None:
    del ct.StudyInstanceUID
    header = read_header(io.BytesIO(file_of(ct)))
    assert isinstance(header, Refused)
    assert header.reason == Reason.NO_STUDY


def test_an_object_without_an_image_is_refused(ct: Dataset) -> None:
    del ct.PixelData
    header = read_header(io.BytesIO(file_of(ct)))
    assert isinstance(header, Refused)
    assert header.reason == Reason.NO_PIXELS


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=150, deadline=None)
@given(position=st.integers(0, 1200), damage=st.binary(min_size=1, max_size=12), cut=st.booleans())
def test_damage_anywhere_never_raises(position: int, damage: bytes, cut: bool) -> None:
    content = bytearray(_SMALL)
    content[position : position + len(damage)] = b"" if cut else damage
    header = read_header(io.BytesIO(bytes(content)))
    known = known_identifiers(header) if isinstance(header, Dataset) else KnownIdentifiers()
    assert isinstance(attempt(bytes(content), NAMES, profile="strict", known=known), (Clean, Refused))


def _small() -> bytes:
    from benchmarks.planted_identifiers import base, person

    ds = base(person(3))
    ds.Modality = "CT"
    return file_of(ds)


_SMALL = _small()


@pytest.mark.parametrize("frames", ["0", "-1", "999999999", "many"])
def test_a_number_of_frames_that_cannot_be_is_refused(ct: Dataset, frames: str) -> None:
    content = file_of(ct).replace(b"\x28\x00\x10\x00US", b"\x28\x00\x08\x00IS\x04\x00TEMP\x28\x00\x10\x00US")
    done = attempt(content.replace(b"IS\x04\x00TEMP", b"IS" + _padded(frames)), NAMES)
    assert isinstance(done, Refused)


def _padded(text: str) -> bytes:
    value = text.encode() + b" " * (len(text) & 1)
    return len(value).to_bytes(2, "little") + value


def test_a_small_file_that_claims_a_huge_picture_is_refused_without_decoding_it(ct: Dataset) -> None:
    ct.Modality = "US"
    ct.compress(RLELossless, generate_instance_uid=False)
    ct.Rows = ct.Columns = 65535
    done = attempt(file_of(ct), NAMES)
    assert isinstance(done, Refused)
    assert done.reason == Reason.PIXELS_UNVERIFIED


def test_a_file_cut_inside_its_header_is_truncated_wherever_the_cut_is() -> None:
    path = get_testdata_file("CT_small.dcm")
    assert isinstance(path, str)
    whole = Path(path).read_bytes()
    verdicts = Counter(getattr(read_header(io.BytesIO(whole[:n])), "reason", "") for n in range(340, 5_000, 11))
    assert set(verdicts) <= {Reason.TRUNCATED, Reason.NO_PIXELS}, "an end between two elements looks like no picture"
    assert verdicts[Reason.TRUNCATED] > 20 * verdicts[Reason.NO_PIXELS]


def _data_set(body: bytes, deflated: bool) -> bytes:
    """A file of explicit VR little endian, deflated or not."""
    syntax = b"1.2.840.10008.1.2.1.99" if deflated else b"1.2.840.10008.1.2.1\0"
    meta = struct.pack("<HH2sH", 2, 0x10, b"UI", len(syntax)) + syntax
    head = struct.pack("<HH2sH", 8, 5, b"CS", 0)
    if deflated:
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        return bytes(128) + b"DICM" + meta + packer.compress(head + body) + packer.flush()
    return bytes(128) + b"DICM" + meta + head + body


def _sequence(items: bytes) -> bytes:
    return struct.pack("<HH2sHL", 8, 0x1115, b"SQ", 0, 0xFFFFFFFF) + items + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


_EMPTY_ITEM = struct.pack("<HHL", 0xFFFE, 0xE000, 0)
_OPEN_ITEM = struct.pack("<HHLHHL", 0xFFFE, 0xE000, 0xFFFFFFFF, 0xFFFE, 0xE00D, 0)
_ITEM_OF_ONE = struct.pack("<HHLHH2sH", 0xFFFE, 0xE000, 8, 8, 0x60, b"CS", 0)


def _peak(content: bytes) -> tuple[object, int]:
    """The verdict on a file, and the memory that it took in bytes."""
    source = io.BytesIO(content)
    tracemalloc.start()
    try:
        return read_header(source), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("deflated", [False, True])
@pytest.mark.parametrize("item", [_EMPTY_ITEM, _OPEN_ITEM, _ITEM_OF_ONE], ids=["empty", "delimited", "of one element"])
def test_items_are_counted_as_they_are_met(item: bytes, deflated: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_ITEMS", 500)
    refused = read_header(io.BytesIO(_data_set(_sequence(item * 501), deflated)))
    assert refused == Refused(Reason.UNREADABLE, "more items than the limit")
    fits = read_header(io.BytesIO(_data_set(_sequence(item * 500), deflated)))
    assert fits != refused


def test_as_many_items_as_are_allowed_fit_into_memory() -> None:
    """An item costs its sender next to nothing, deflated, and here what a pydicom data set of one element takes."""
    content = _data_set(_sequence(_ITEM_OF_ONE * 2000), False)
    tracemalloc.start()
    as_dataset(codec.parse(io.BytesIO(content)))
    memory = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert memory / 2000 * codec.MAX_ITEMS < 512 << 20


def test_items_of_items_count_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_ITEMS", 20)
    inner = _sequence(_EMPTY_ITEM)
    nested = struct.pack("<HHL", 0xFFFE, 0xE000, len(inner)) + inner
    assert read_header(io.BytesIO(_data_set(_sequence(nested * 11), False))) == Refused(
        Reason.UNREADABLE, "more items than the limit"
    )


def test_fragments_of_pixel_data_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_ELEMENTS", 50)
    pixels = struct.pack("<HH2sHL", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF) + _EMPTY_ITEM * 51
    with pytest.raises(codec.Unreadable, match="more elements"):
        codec.parse(io.BytesIO(_data_set(pixels + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0), False)))


@pytest.mark.parametrize("deflated", [False, True])
def test_zeros_behind_the_last_element_are_not_read_at_once(deflated: bool) -> None:
    _, memory = _peak(_data_set(bytes(72 << 20), deflated))
    assert memory < 56 << 20


def test_what_inflates_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "MAX_INFLATED", 4 << 20)
    verdict = read_header(io.BytesIO(_data_set(bytes(8 << 20), True)))
    assert verdict == Refused(Reason.TOO_LARGE, "inflates beyond the limit")


@pytest.mark.parametrize("vr", [b"US", b"SL", b"FD", b"AT", b"SS"])
@pytest.mark.parametrize("tag", [b"\x20\x00\x0d\x00", b"\x20\x00\x0e\x00", b"\x08\x00\x18\x00"])
def test_a_uid_that_says_it_is_a_number_is_refused(ct: Dataset, tag: bytes, vr: bytes) -> None:
    content = bytearray(file_of(ct))
    at = content.index(tag + b"UI")
    content[at + 4 : at + 6] = vr
    verdict = read_header(io.BytesIO(bytes(content)))
    assert isinstance(verdict, Refused)
    assert verdict.reason is Reason.UNREADABLE


def test_a_value_that_does_not_fit_its_vr_is_refused_where_it_is_needed(ct: Dataset) -> None:
    content = bytearray(file_of(ct))
    at = content.index(b"\x08\x00\x60\x00CS")
    content[at + 4 : at + 6] = b"FD"
    header = read_header(io.BytesIO(bytes(content)))
    assert isinstance(header, Dataset)
    assert isinstance(header_of(header), Refused)
