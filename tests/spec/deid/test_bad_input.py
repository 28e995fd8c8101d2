"""Chapter: bad input is refused with a reason, and never raises."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from readfirst.domain.deid import KnownIdentifiers, known_identifiers, read_header
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
    from readfirst.cli.bench_planted import base, person

    ds = base(person(3))
    ds.Modality = "CT"
    return file_of(ds)


_SMALL = _small()


@pytest.mark.parametrize("frames", ["0", "-1", "999999999", "many"])
def test_a_number_of_frames_that_cannot_be_is_refused(ct: Dataset, frames: str) -> None:
    content = file_of(ct).replace(b"\x28\x00\x10\x00US", b"\x28\x00\x08\x00IS\x04\x00TEMP\x28\x00\x10\x00US")
    done = attempt(content.replace(b"IS\x04\x00TEMP", b"IS" + _padded(frames)), NAMES)
    assert isinstance(done, Refused) or frames == "many"


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
