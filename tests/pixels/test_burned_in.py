"""Chapter: names in the picture."""

from __future__ import annotations

import io
import random
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    UltrasoundImageStorage,
)

from benchmarks import burned_in_forms, burned_in_pictures
from readfirst.domain.decoding import Stored
from readfirst.domain.deid.dicom.elements import Fragments
from readfirst.domain.deid.pixels import barcodes, decode, screen, search
from readfirst.domain.pseudonyms import Pseudonyms
from readfirst.domain.refusals import Reason, Refused
from readfirst.local.phantom import write_phantom_study
from tests.spec.deid.conftest import ROOT, Clean, Cleaner, attempt, file_of

pytest.importorskip("rapidocr", reason="the text detector is not installed")
pytest.importorskip("zxingcpp", reason="the barcode reader is not installed")


def ultrasound(ct: Dataset, pixels: np.ndarray, frames: int = 1) -> Dataset:
    """The picture as an ultrasound image."""
    ct.SOPClassUID = UltrasoundImageStorage
    ct.Modality = "US"
    ct.Rows, ct.Columns = pixels.shape[-2:]
    ct.BitsAllocated = ct.BitsStored = 8
    ct.HighBit = 7
    if frames > 1:
        ct.NumberOfFrames = frames
    ct.PixelData = pixels.tobytes()
    ct["PixelData"].VR = "OB"
    return ct


def pictures() -> list[burned_in_pictures.Picture]:
    """One of each kind; `readfirst bench burned-in` has six."""
    return list(burned_in_pictures.burned_in(each=1))


@pytest.mark.parametrize("picture", pictures(), ids=lambda p: p.kind)
def test_burned_in_lines_are_blanked_and_the_rest_of_the_picture_stays(
    picture: burned_in_pictures.Picture, ct: Dataset, clean: Cleaner
) -> None:
    done = clean(ultrasound(ct, picture.pixels))
    changed = done.ds.pixel_array != picture.pixels
    for line in picture.lines:
        assert changed[line.ink].mean() >= 0.9, picture.kind
    assert changed.mean() < 0.2
    assert done.receipt.pixels.verified
    assert done.ds.BurnedInAnnotation == "NO"


def test_a_picture_without_text_stays_as_it_is(ct: Dataset, clean: Cleaner) -> None:
    picture = next(burned_in_pictures.clean(count=1))
    done = clean(ultrasound(ct, picture.pixels))
    assert np.array_equal(done.ds.pixel_array, picture.pixels)
    assert done.receipt.pixels.regions_blanked == 0


def test_side_markers_stay(ct: Dataset, clean: Cleaner) -> None:
    picture = next(burned_in_pictures.marked(count=1))
    done = clean(ultrasound(ct, picture.pixels))
    assert np.array_equal(done.ds.pixel_array, picture.pixels)


def test_text_in_a_cine_is_blanked_on_every_frame(ct: Dataset, clean: Cleaner) -> None:
    still = next(burned_in_pictures.clean(count=1)).pixels[:96, :320].copy()
    mask = burned_in_pictures.ink("QUILLFEATHER, OSWINA", random.Random(1), 20, rotated=False)
    inked = burned_in_pictures.draw(still, mask, 30, 30, 250)
    moving = np.random.default_rng(1).integers(0, 25, (7, *still.shape), dtype=np.uint8)
    frames = np.clip(still.astype(int) + moving, 0, 255).astype(np.uint8)
    done = clean(ultrasound(ct, frames, frames=7))
    for before, after in zip(frames, done.ds.pixel_array, strict=True):
        assert (before != after)[inked].mean() >= 0.9


def test_a_compressed_picture_is_stored_uncompressed_when_it_is_blanked(ct: Dataset, clean: Cleaner) -> None:
    picture = pictures()[0]
    ds = ultrasound(ct, picture.pixels)
    ds.compress(RLELossless, generate_instance_uid=False)
    done = clean(ds)
    assert done.ds.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    changed = done.ds.pixel_array != picture.pixels
    assert all(changed[line.ink].mean() >= 0.9 for line in picture.lines)


def test_a_picture_that_cannot_be_decoded_is_refused(ct: Dataset, names: Pseudonyms) -> None:
    ds = ultrasound(ct, pictures()[0].pixels)
    ds.compress(RLELossless, generate_instance_uid=False)
    content = bytearray(file_of(ds))
    start = content.rindex(b"\xfe\xff\x00\xe0") + 8
    content[start : start + 64] = bytes(range(64))
    refused = attempt(bytes(content), names)
    assert isinstance(refused, Refused)
    assert refused.reason == Reason.PIXELS_UNVERIFIED


def jpeg(ct: Dataset, stream: bytes, syntax: UID) -> bytes:
    """An ultrasound still with any bytes for its JPEG stream."""
    ds = ultrasound(ct, np.zeros((64, 64), np.uint8))
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = encapsulate([stream])
    ds["PixelData"].is_undefined_length = True
    return file_of(ds)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGLosslessSV1, JPEGLSLossless], ids=lambda uid: uid.name)
@pytest.mark.parametrize(
    "stream",
    [
        b"\xff\xd8\xff\xe0 no picture \xff\xd9\x00",
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8\xff\xc3\x00\x0b\x08\x00\x40\x00\x40\x01\x01\x11\x00\xff\xd9",
        b"\xff\xd8" * 20,
    ],
)
def test_a_jpeg_without_a_picture_is_refused_at_once(
    ct: Dataset, names: Pseudonyms, stream: bytes, syntax: UID
) -> None:
    refused = attempt(jpeg(ct, stream, syntax), names)
    assert isinstance(refused, Refused)
    assert refused.reason == Reason.PIXELS_UNVERIFIED


def lossless() -> Dataset:
    """A real JPEG Lossless image of pydicom's, as an ultrasound still."""
    ds = pydicom.dcmread(str(get_testdata_file("JPEG-LL.dcm")))
    ds.Modality = "US"
    return ds


@pytest.mark.filterwarnings("ignore")
def test_a_decoder_that_is_late_is_ended(names: Pseudonyms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "PATIENCE", 0.0)
    refused = attempt(file_of(lossless()), names)
    assert isinstance(refused, Refused)
    assert refused.detail == "the compressed picture could not be decoded in time"


@pytest.mark.filterwarnings("ignore")
def test_a_process_decodes_what_pydicom_decodes() -> None:
    ds = pydicom.dcmread(io.BytesIO(file_of(lossless())))
    words = ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation
    form = Stored(ds.file_meta.TransferSyntaxUID, ds.Rows, ds.Columns, *words)
    (frame,) = decode.decoded_frames(Fragments([b"", *generate_frames(ds.PixelData, number_of_frames=1)]), form)
    assert np.array_equal(frame, ds.pixel_array)


def test_without_the_detector_nothing_risky_passes(
    ct: Dataset, names: Pseudonyms, monkeypatch: pytest.MonkeyPatch
) -> None:
    from readfirst.domain.deid.pixels import text

    text.networks.cache_clear()
    monkeypatch.setattr(text.util, "find_spec", lambda name: None)
    refused = attempt(file_of(ultrasound(ct, pictures()[0].pixels)), names)
    text.networks.cache_clear()
    assert isinstance(refused, Refused)
    assert refused.reason == Reason.PIXELS_UNVERIFIED


def slice_of(ct: Dataset, pixels: np.ndarray) -> Dataset:
    """Grey values as a CT slice in Hounsfield units."""
    ct.Rows, ct.Columns = pixels.shape
    ct.PixelRepresentation = 1
    ct.PixelData = (pixels.astype(np.int16) * 8 - 1000).tobytes()
    return ct


def test_slices_straight_from_a_scanner_are_screened_and_stay_as_they_are(ct: Dataset, clean: Cleaner) -> None:
    picture = next(burned_in_pictures.clean(count=1)).pixels
    done: Clean = clean(slice_of(ct, picture))
    assert (done.receipt.pixels.outcome, done.receipt.pixels.frames) == ("screened", 1)
    assert done.ds.PixelData == ct.PixelData
    assert "BurnedInAnnotation" not in done.ds, "a look is no search"


def test_vessels_and_ribs_are_no_letters(tmp_path: Path) -> None:
    """What looks like a row of letters is searched where it stands, and found to be none."""
    write_phantom_study(tmp_path, seed=1, slices=4)
    for path in sorted(tmp_path.iterdir()):
        done = attempt(path.read_bytes(), Pseudonyms(ROOT, "hilltop"))
        assert isinstance(done, Clean)
        assert (done.receipt.pixels.outcome, done.receipt.pixels.suspects) == ("screened", 0)


@pytest.mark.parametrize("picture", pictures(), ids=lambda p: p.kind)
def test_a_name_burned_into_one_slice_of_a_ct_is_blanked(
    picture: burned_in_pictures.Picture, ct: Dataset, clean: Cleaner
) -> None:
    done = clean(slice_of(ct, picture.pixels))
    assert done.receipt.pixels.suspects == 1
    changed = done.ds.pixel_array != picture.pixels.astype(np.int16) * 8 - 1000
    assert all(changed[line.ink].mean() >= 0.9 for line in picture.lines)


@pytest.mark.parametrize("text", ["DOB 15/03/1995", "Dr Zubrowska", "A Brenn B"])
@pytest.mark.parametrize("angle", [45, -45, 20])
def test_the_first_and_the_last_letter_of_a_slanted_line_go_too(
    ct: Dataset, clean: Cleaner, text: str, angle: int
) -> None:
    pixels = speckle((280, 360), 70, 10)
    mask = burned_in_forms.turned(burned_in_pictures.ink(text, random.Random(23), 17, rotated=False), angle)
    inked = burned_in_forms.put(pixels, mask, 4, 240)
    assert changed_by(clean(ultrasound(ct, pixels)), pixels, inked) > 0.97


@pytest.mark.parametrize("kind", ["bright", "dark"])
def test_text_on_inner_frames_only_is_found_under_what_is_brighter_or_darker_there_later(
    ct: Dataset, clean: Cleaner, kind: str
) -> None:
    """The brightest, darkest and middle values of the group all hide it."""
    base = next(burned_in_pictures.clean(count=1)).pixels[:96, :320] // 2 + 60
    frames = np.stack([base] * 7)
    frames[3, 20:60, 20:300], frames[4, 20:60, 20:300] = 255, 0  # what comes and goes over the place of the text
    mask = burned_in_pictures.ink("QUILLFEATHER, OSWINA", random.Random(1), 20, rotated=False)
    inked = burned_in_pictures.draw(frames[2], mask, 30, 30, 250 if kind == "bright" else 4)
    done = clean(ultrasound(ct, frames, frames=7))
    assert (done.ds.pixel_array[2] != frames[2])[inked].mean() >= 0.9


def test_lines_that_stand_close_together_all_go(ct: Dataset, clean: Cleaner) -> None:
    picture = burned_in_pictures.block()
    changed = clean(ultrasound(ct, picture.pixels)).ds.pixel_array != picture.pixels
    assert all(changed[line.ink].mean() >= 0.9 for line in picture.lines)


def changed_by(done: Clean, before: np.ndarray, inked: np.ndarray) -> float:
    """The share of a text's ink that the clean copy shows differently."""
    return float((done.ds.pixel_array != before)[inked].mean())


def speckle(shape: tuple[int, ...], level: int = 60, spread: int = 12) -> np.ndarray:
    return burned_in_forms.speckle(5, shape, level, spread)


@pytest.mark.parametrize("angle", [-30, 15, 45])
def test_slanted_text_is_blanked_along_its_line(ct: Dataset, clean: Cleaner, angle: int) -> None:
    picture = speckle((250, 290))
    mask = burned_in_pictures.ink("CASTELLANOS, XIMENA", random.Random(2), 18, rotated=False)
    before = picture.copy()
    inked = burned_in_pictures.draw(picture, burned_in_forms.turned(mask, angle), 40, 30, 225)
    done = clean(ultrasound(ct, picture))
    assert changed_by(done, picture, inked) >= 0.9
    assert (done.ds.pixel_array != before).mean() < 0.25


@pytest.mark.parametrize(
    ("kind", "angle"), [("Code39", 0), ("Code128", 35), ("ITF", 90), ("QRCode", -20), ("DataMatrix", 45), ("PDF417", 0)]
)
def test_barcodes_are_blanked_and_never_read_out(ct: Dataset, clean: Cleaner, kind: str, angle: int) -> None:
    ink = burned_in_forms.turned(burned_in_forms.barcode(kind, "55209310"), angle)
    picture = np.full((ink.shape[0] + 50, ink.shape[1] + 40), 200, np.uint8)
    inked = burned_in_pictures.draw(picture, ink, 20, 25, 20)
    done = clean(ultrasound(ct, picture))
    assert changed_by(done, picture, inked) >= 0.9
    assert "55209310" not in done.receipt.model_dump_json()


def test_a_barcode_is_filled_with_what_lies_around_it_and_not_with_its_bars(ct: Dataset, clean: Cleaner) -> None:
    """A noisy ground has no value as common as the bars have."""
    picture = speckle((150, 260), level=215, spread=5)
    inked = burned_in_pictures.draw(picture, burned_in_forms.barcode("Code39", "5520"), 20, 40, 20)
    assert changed_by(clean(ultrasound(ct, picture)), picture, inked) >= 0.9


def test_without_the_barcode_reader_nothing_risky_passes(
    ct: Dataset, names: Pseudonyms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(barcodes.util, "find_spec", lambda name: None)
    assert isinstance(attempt(file_of(ultrasound(ct, speckle((64, 64)))), names), Refused)


def test_grey_text_on_one_inner_frame_is_found(ct: Dataset, clean: Cleaner) -> None:
    """Neither the brightest nor the darkest thing there, it shows in no picture that stands for the group."""
    frames = speckle((7, 96, 300), level=90, spread=20)
    mask = burned_in_pictures.ink("OYELARAN, ADEBAYO", random.Random(1), 18, rotated=False)
    inked = burned_in_pictures.draw(frames[4], mask, 30, 30, 160)
    done = clean(ultrasound(ct, frames, frames=7))
    assert (done.ds.pixel_array[4] != frames[4])[inked].mean() >= 0.9


def test_frames_that_are_like_the_first_are_not_searched_again(
    ct: Dataset, clean: Cleaner, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[tuple[int, ...]] = []
    find = search.find_text
    monkeypatch.setattr(search, "find_text", lambda picture: searched.append(picture.shape) or find(picture))
    clean(ultrasound(ct, np.stack([speckle((64, 96))] * 12), frames=12))
    assert len(searched) == 5


@pytest.mark.parametrize("above", [10, 22])
def test_a_faint_block_on_even_tissue_of_a_ct_slice_goes_with_all_its_lines(
    ct: Dataset, clean: Cleaner, above: int
) -> None:
    picture = np.full((256, 256), 150, np.uint8)
    picture[:40], picture[40:48] = 5, 250
    inked = np.zeros(picture.shape, dtype=bool)
    for number, text in enumerate(("Nakagawa, Haruto", "MRN 5520931", "14.02.1949")):
        mask = burned_in_pictures.ink(text, random.Random(number), 10, rotated=False)
        inked |= burned_in_pictures.draw(picture, mask, 70, 120 + 13 * number, 150 + above)
    done = clean(slice_of(ct, picture))
    assert done.receipt.pixels.suspects == 1
    assert changed_by(done, picture.astype(np.int16) * 8 - 1000, inked) >= 0.9


def test_letters_that_noise_lifts_in_part_over_the_limit_of_bright_ones_are_seen_as_faint_ones() -> None:
    """Split between the two, no letter of the line would be one part."""
    picture = burned_in_forms.speckle(4, (512, 512), 120, 2)
    picture[:40], picture[40:48] = 5, 250
    mask = burned_in_pictures.ink("MRN 5520931", random.Random(4), 12, rotated=False)
    rows, columns = np.nonzero(burned_in_pictures.draw(picture, mask, 70, 120, 130))
    found = screen.places(picture.astype(np.int16) * 8)
    assert any(left <= columns.mean() < right and top <= rows.mean() < bottom for left, top, right, bottom in found)
