"""Chapter: files that break a rule and still say what they mean are read; others are refused with the cause."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from readfirst.domain.coded_terms import as_term
from readfirst.domain.deid import engine
from readfirst.domain.intake.ledger import Complete
from readfirst.domain.pseudonyms import Pseudonyms
from readfirst.domain.refusals import Reason, Refused
from tests.spec.deid.conftest import Cleaner, attempt, file_of

FRAMES = struct.pack("<HH2s", 0x0028, 0x0008, b"IS")


def with_frames(ct: Dataset, text: bytes, frames: int = 4) -> bytes:
    """A native picture of so many frames whose NumberOfFrames is written like that."""
    ct.NumberOfFrames = frames
    ct.PixelData = bytes(range(128)) * frames
    content = file_of(ct)
    at = content.index(FRAMES) + 6
    size = int.from_bytes(content[at : at + 2], "little")
    return content[:at] + struct.pack("<H", len(text)) + text + content[at + 2 + size :]


@pytest.mark.parametrize("text", [b"4.0 ", b"+4", b" 4", b"4\0", b"4.", b"04", b"4.00", b"4e0 "])
def test_every_frame_stays_however_their_number_is_written(ct: Dataset, clean: Cleaner, text: bytes) -> None:
    done = clean(with_frames(ct, text))
    assert done.ds.NumberOfFrames == done.facts.frames == 4
    assert done.ds.pixel_array.shape == (4, 8, 8)


@pytest.mark.parametrize("text", [b"4.5 ", b"four", b"0 ", b"-4", b"1\\4 ", b"1 "])
def test_a_number_of_frames_that_says_nothing_true_is_refused_with_its_name(
    ct: Dataset, names: Pseudonyms, text: bytes
) -> None:
    refused = attempt(with_frames(ct, text), names)
    assert isinstance(refused, Refused)
    assert refused.reason == Reason.UNREADABLE
    assert "Number of Frames (0028,0008)" in refused.detail


@pytest.mark.parametrize("written", [b"us", b"Us", b"US\\US ", b" US ", b"US\0\0"])
def test_a_modality_is_read_as_it_is_meant(ct: Dataset, clean: Cleaner, written: bytes) -> None:
    """An ultrasound in lower case was not searched for text, and its modality was emptied."""
    content = file_of(ct).replace(b"\x08\x00\x60\x00CS\x02\x00CT",
                                  b"\x08\x00\x60\x00CS" + struct.pack("<H", len(written)) + written)  # fmt: skip
    done = clean(content)
    assert (done.ds.Modality, done.facts.modality) == ("US", "US")
    assert done.receipt.pixels.outcome == "searched"


@pytest.mark.parametrize("written", [b"CT\\MR ", b"brain ", b"BRAIN "])
def test_a_modality_that_is_no_known_term_stays_what_it_is(written: bytes) -> None:
    assert as_term(0x00080060, written) == written


def test_a_photometric_interpretation_in_lower_case_is_a_picture_that_can_be_shown(ct: Dataset, clean: Cleaner) -> None:
    done = clean(file_of(ct).replace(b"MONOCHROME2 ", b"monochrome2 "))
    assert done.ds.PhotometricInterpretation == "MONOCHROME2" and "grey" not in done.facts.unfit


def test_integers_with_a_decimal_point_stay_as_integers(ct: Dataset, clean: Cleaner) -> None:
    content = file_of(ct).replace(b"\x20\x00\x11\x00IS\x02\x004 ", b"\x20\x00\x11\x00IS\x04\x004.0 ")
    done = clean(content)
    assert done.ds.SeriesNumber == done.facts.series_number == 4


# ---------------------------------------------------------------- sequences that say UN


def item(body: bytes, sized: bool) -> bytes:
    if sized:
        return struct.pack("<HHL", 0xFFFE, 0xE000, len(body)) + body
    return struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF) + body + struct.pack("<HHL", 0xFFFE, 0xE00D, 0)


def explicit(group: int, element: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", group, element, vr, len(value)) + value


def implicit(group: int, element: int, value: bytes) -> bytes:
    return struct.pack("<HHL", group, element, len(value)) + value


INNER = {
    "explicit": explicit(0x0008, 0x0100, b"SH", b"CODE") + explicit(0x0008, 0x0104, b"LO", b"Header"),
    "explicit, a short text that looks like a length": explicit(0x0008, 0x0104, b"LO", b"Ab"),
    "implicit": implicit(0x0008, 0x0100, b"CODE") + implicit(0x0008, 0x0104, b"Header"),
    "implicit, nested": implicit(0x0008, 0x0100, b"CODE")
    + struct.pack("<HHL", 0x0040, 0xA043, 0xFFFFFFFF)
    + item(implicit(0x0008, 0x0104, b"Header"), sized=False)
    + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0),
    "nothing": b"",
}

NESTED = INNER["implicit, nested"]
MEANINGS = {b"": "", NESTED: "", INNER["explicit, a short text that looks like a length"]: "Ab"}


@pytest.mark.parametrize("inner", INNER.values(), ids=INNER.keys())
@pytest.mark.parametrize("sized", [True, False], ids=["items with a length", "items without"])
@pytest.mark.parametrize("tag", [(0x2001, 0x105F), (0x0018, 0x9346)], ids=["private", "public"])
def test_a_sequence_that_says_un_is_read_in_the_encoding_that_it_has(
    ct: Dataset, clean: Cleaner, tag: tuple[int, int], sized: bool, inner: bytes
) -> None:
    whole = item(inner, sized) * 2 + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    unknown = struct.pack("<HH2sHL", *tag, b"UN", 0, 0xFFFFFFFF) + whole
    content = file_of(ct)
    at = content.index(b"\x28\x00\x02\x00US")
    done = clean(content[:at] + unknown + content[at:])
    if tag[0] & 1:
        assert tag not in done.ds
    else:
        assert [str(i.get("CodeMeaning", "")) for i in done.ds[tag]] == [MEANINGS.get(inner, "Header")] * 2
    assert done.ds.PixelData == ct.PixelData


# ---------------------------------------------------------------- values beyond 64 KiB


@pytest.mark.parametrize(
    ("keyword", "vr", "value"),
    [
        ("FrameTimeVector", "DS", ["33.3333"] * 9000),
        ("RWaveTimeVector", "FL", [0.5] * 20000),
        ("SliceVector", "US", [1 + k % 600 for k in range(40000)]),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_value_of_more_than_64_kib_is_kept_as_the_standard_writes_it(
    ct: Dataset, clean: Cleaner, keyword: str, vr: str, value: list[float]
) -> None:
    """PS3.5 6.2.2: as UN, where the length of its VR has 16 bits."""
    setattr(ct, keyword, value)
    done = clean(file_of(ct))
    kept = done.ds[keyword]
    raw = kept.value if isinstance(kept.value, bytes) else None
    if vr == "DS":
        assert raw is None or raw.split(b"\\")[:2] == [b"33.3333"] * 2
    else:
        numbers = np.frombuffer(raw, {"FL": "<f4", "US": "<u2"}[vr]) if raw is not None else np.array(kept.value)
        assert np.allclose(numbers, value)
    assert done.ds.PixelData == ct.PixelData


@pytest.mark.filterwarnings("ignore")
def test_a_lookup_table_of_65536_entries_stays(ct: Dataset, clean: Cleaner) -> None:
    table = Dataset()
    table.LUTDescriptor = [0, 0, 16]
    table.add_new(0x00283006, "US", list(range(65536)))
    ct.VOILUTSequence = [table]
    kept = clean(file_of(ct)).ds.VOILUTSequence[0].LUTData
    entries = np.frombuffer(kept, "<u2") if isinstance(kept, bytes) else np.array(kept)
    assert np.array_equal(entries, np.arange(65536))


# ---------------------------------------------------------------- what a file is


def test_the_class_and_the_instance_may_be_in_the_meta_information_alone(ct: Dataset, clean: Cleaner) -> None:
    content, uid = file_of(ct), str(ct.SOPInstanceUID)
    whole = clean(content)
    for tag in (b"\x08\x00\x16\x00UI", b"\x08\x00\x18\x00UI"):
        at = content.index(tag)
        size = int.from_bytes(content[at + 6 : at + 8], "little")
        content = content[:at] + content[at + 8 + size :]
    done = clean(content)
    assert done.ds.SOPClassUID == CTImageStorage
    assert done.ds.SOPInstanceUID == whole.ds.SOPInstanceUID != uid
    assert done.facts.sop_class == CTImageStorage


def test_a_file_that_names_no_class_anywhere_is_refused_with_the_attribute_s_name(
    ct: Dataset, names: Pseudonyms
) -> None:
    content = file_of(ct).replace(CTImageStorage.encode(), b"\0" * len(CTImageStorage))
    refused = attempt(content, names)
    assert isinstance(refused, Refused)
    assert "(0008,0016)" in refused.detail


def test_a_study_uid_beyond_64_characters_can_be_announced(ct: Dataset, clean: Cleaner) -> None:
    uid = "1.2.826.0.1.3680043.8.498." + "1234567890" * 4
    assert Complete.model_validate({"studyInstanceUid": uid}).study_uid == uid
    content = file_of(ct)
    old = content.index(b"\x20\x00\x0d\x00UI")
    size = int.from_bytes(content[old + 6 : old + 8], "little")
    done = clean(content[: old + 6] + struct.pack("<H", len(uid)) + uid.encode() + content[old + 8 + size :])
    assert len(done.ds.StudyInstanceUID) <= 64
    assert done.identity.study.study_uid == uid


def test_a_value_that_nobody_expected_refuses_the_file_and_does_not_raise(
    ct: Dataset, names: Pseudonyms, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise struct.error("an invented fault")

    monkeypatch.setattr(engine, "shape_of", broken)
    with pytest.raises(AssertionError, match=r"led to a fault \(error\)"):  # which this helper never lets pass
        attempt(file_of(ct), names)
