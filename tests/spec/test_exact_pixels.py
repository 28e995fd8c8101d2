"""Pixel values in every DICOMweb answer are those of the original, to the bit: a generated table."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest
from PIL import Image
from pydicom.pixels import pixel_array
from pydicom.uid import UID, ExplicitVRLittleEndian, RLELossless

from readfirst.domain.dicomweb import recoding, rendering
from readfirst.domain.dicomweb.content_negotiation import Offer, file_as, frames_as
from tests.spec.images import COMPRESSED, JPEG_XL, UID_OF_INSTANCE, UNCOMPRESSED, file_in, instance

OCTETS = Offer("application/octet-stream", True, None)
FILE = Offer("application/dicom", True, None)
GREY = [(p, depth, signed) for p in ("MONOCHROME1", "MONOCHROME2") for depth in (8, 10, 12, 16) for signed in (0, 1)]
COLOUR = [("PALETTE COLOR", 8, 0), ("PALETTE COLOR", 16, 0), ("RGB", 8, 0), ("YBR_FULL", 8, 0)]
ROWS, COLUMNS, FRAMES = 33, 35, 3  # odd, so that padding and frames' ends do not fall together


def name(syntax: str) -> str:
    return "JPEGXLLossless" if syntax == JPEG_XL else UID(syntax).keyword


def drawn(depth: int, signed: int, samples: int) -> np.ndarray:
    """Random values over the whole range, the lowest and the highest among them."""
    low, high = (-(1 << depth - 1), (1 << depth - 1) - 1) if signed else (0, (1 << depth) - 1)
    shape = (FRAMES, ROWS, COLUMNS, 3) if samples == 3 else (FRAMES, ROWS, COLUMNS)
    values = np.random.default_rng(depth + signed).integers(low, high + 1, shape)
    values[:, 0, :2], values[:, -1, -2:] = low, high
    return values.astype(f"{'i' if signed else 'u'}{1 if depth <= 8 else 2}")


def table() -> Iterator[object]:
    for syntax, (photometric, depth, signed) in product((*UNCOMPRESSED, *COMPRESSED), [*GREY, *COLOUR]):
        if syntax == JPEG_XL and photometric == "YBR_FULL":
            continue  # it is not used with such colours
        sign = "signed" if signed else "unsigned"
        yield pytest.param(syntax, photometric, depth, signed,
                           id=f"{name(syntax)}-{photometric}-{depth}-{sign}")  # fmt: skip


@pytest.mark.parametrize(("syntax", "photometric", "depth", "signed"), list(table()))
def test_frames_and_files_hold_the_values_that_were_stored(
    syntax: str, photometric: str, depth: int, signed: int
) -> None:
    values = drawn(depth, signed, 3 if photometric in ("RGB", "YBR_FULL") else 1)
    stored = file_in(instance(values, photometric, stored=depth), syntax)
    header = recoding.opened(stored)
    by_plane = header.get("PlanarConfiguration") == 1
    expected = [frame.transpose(2, 0, 1) if by_plane else frame for frame in values]

    frames, kind = frames_as(stored, [3, 2], OCTETS)
    assert kind == "application/octet-stream"
    assert sorted(frames) == sorted(frame.tobytes() for frame in expected[1:])
    assert frames[0] == expected[2].tobytes(), "frames come in the order that was asked for"

    got = recoding.opened(file_as(stored, FILE))
    assert (got.file_meta.TransferSyntaxUID, got.SOPInstanceUID) == (ExplicitVRLittleEndian, UID_OF_INSTANCE)
    assert got.file_meta.MediaStorageSOPInstanceUID == UID_OF_INSTANCE
    assert (got.BitsStored, got.PixelRepresentation) == (depth, signed)
    assert np.array_equal(pixel_array(got, raw=True), values)
    assert file_as(stored, Offer("application/dicom", True, "*")) == stored


@pytest.mark.parametrize("syntax", [*UNCOMPRESSED, *COMPRESSED], ids=name)
@pytest.mark.parametrize("photometric", ["RGB", "MONOCHROME2", "MONOCHROME1"])
def test_a_rendered_picture_of_eight_bits_shows_its_own_greys_and_colours(syntax: str, photometric: str) -> None:
    values = drawn(8, 0, 3 if photometric == "RGB" else 1)
    ds = recoding.opened(file_in(instance(values, photometric), syntax))
    shown = rendering.encoded(rendering.grey_or_colour(ds, 1), kind="PNG")
    expected = 255 - values[1] if photometric == "MONOCHROME1" else values[1]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(shown))), expected)


@pytest.mark.parametrize("syntax", [*UNCOMPRESSED, *COMPRESSED], ids=name)
@pytest.mark.parametrize(("depth", "signed"), [(12, 1), (12, 0), (16, 1)])
def test_a_window_of_256_values_shows_each_as_a_grey_of_its_own(syntax: str, depth: int, signed: int) -> None:
    values = drawn(depth, signed, 1)
    ds = recoding.opened(file_in(instance(values, stored=depth), syntax))
    assert np.array_equal(rendering.grey_or_colour(ds, 2, (128, 256)), np.clip(values[2].astype(int), 0, 255))


@pytest.mark.parametrize("syntax", UNCOMPRESSED, ids=name)
def test_colours_by_plane_stay_by_plane_in_frames_and_are_colours_in_pictures(syntax: str) -> None:
    values = drawn(8, 0, 3)
    ds = instance(values, "RGB", PlanarConfiguration=1)
    ds.PixelData = np.ascontiguousarray(values.transpose(0, 3, 1, 2)).tobytes() + b"\0"
    stored = file_in(ds, syntax)
    assert frames_as(stored, [2], OCTETS)[0] == [values[1].transpose(2, 0, 1).tobytes()]
    assert np.array_equal(rendering.grey_or_colour(recoding.opened(stored), 1), values[1])


def test_rle_of_colours_by_plane_follows_its_header() -> None:
    """The stream is by plane in any case; PlanarConfiguration says how a reader of the frames expects them."""
    values = drawn(8, 0, 3)
    ds = recoding.opened(file_in(instance(values, "RGB"), RLELossless))
    ds.PlanarConfiguration = 1
    out = io.BytesIO()
    ds.save_as(out)
    assert frames_as(out.getvalue(), [1], OCTETS)[0] == [values[0].transpose(2, 0, 1).tobytes()]
    got = recoding.opened(file_as(out.getvalue(), FILE))
    assert np.array_equal(pixel_array(got, raw=True), values)


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_big_endian_words_are_turned_round_and_bytes_are_not(bits: int) -> None:
    values = np.arange(FRAMES * 4 * 6).reshape(FRAMES, 4, 6).astype(f"u{bits // 8}")
    stored = file_in(instance(values), UNCOMPRESSED[3])
    assert frames_as(stored, [2], OCTETS)[0] == [values[1].tobytes()]
    assert frames_as(stored, [2], Offer("*/*", None, "*"))[0] == [values[1].tobytes()]
    assert recoding.opened(file_as(stored, FILE)).PixelData == values.tobytes()


def test_bits_that_no_pixel_uses_stay_in_rle_and_are_not_shown() -> None:
    """Old files keep overlays there."""
    values = np.random.default_rng(1).integers(0, 256, (1, 33, 34)).astype("u2")
    marked = values | 0x8000
    ds = recoding.opened(file_in(instance(marked, stored=16), RLELossless))
    ds.BitsStored, ds.HighBit = 12, 11
    out = io.BytesIO()
    ds.save_as(out)
    assert frames_as(out.getvalue(), [1], OCTETS)[0] == [marked.tobytes()]
    assert np.array_equal(rendering.grey_or_colour(ds, 0, (128, 256)), values[0])
