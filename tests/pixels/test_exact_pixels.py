"""Pixel values are those of the original, to the bit, in the clean copy, in the job and in every DICOMweb answer."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from pydicom.pixels import pixel_array
from pydicom.uid import UID, RLELossless

from readfirst.domain.decoding import DECODED, NATIVE
from readfirst.domain.dicomweb import recoding, rendering
from readfirst.domain.dicomweb.content_negotiation import Offer, file_as, frames_as
from tests.pixels import pixel_streams, pixel_table
from tests.pixels.pixel_streams import Case
from tests.spec.images import COMPRESSED, JPEG_XL, UNCOMPRESSED, file_in, instance
from tools import pixels_page

OCTETS = Offer("application/octet-stream", True, None)
FILE = Offer("application/dicom", True, None)
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


@pytest.mark.parametrize("case", [pytest.param(c, id=f"{c.syntax}-{c.name}") for c in pixel_streams.cases()])
def test_every_picture_has_the_values_that_were_stored_whichever_way_it_leaves(case: Case) -> None:
    assert pixel_table.outcome(case) == pixel_table.right(case)


def test_the_table_has_every_transfer_syntax_that_is_taken() -> None:
    assert {case.syntax for case in pixel_streams.cases()} == DECODED | NATIVE


def test_the_page_of_the_table_says_what_the_table_holds() -> None:
    """The page is written from a run; this test holds its rows, the one above their contents."""
    assert pixels_page.table({c: pixel_table.right(c) for c in pixel_streams.cases()}) in pixels_page.PAGE.read_text()


@pytest.mark.parametrize(("depth", "signed"), [(8, 0), (12, 0), (12, 1), (16, 1)])
def test_a_lossy_picture_in_htj2k_is_what_a_decoder_that_shares_no_code_with_ours_makes_of_it(
    depth: int, signed: int
) -> None:
    """But for rounding: the standard leaves the irreversible transformation's last digit open."""
    case = Case(pixel_streams.HT_LOSSY, "MONOCHROME2", depth, signed)
    content, streams = pixel_streams.stored_file(case, pixel_streams.drawn(case))
    (frame, _), _ = frames_as(content, [1, 2], OCTETS)
    other = pixel_streams.by_openjph(streams[0], case)
    assert np.abs(np.frombuffer(frame, other.dtype).astype(int) - other.ravel()).max() <= 2


@pytest.mark.parametrize(("depth", "signed"), [(8, 0), (12, 0), (16, 0)])
def test_near_lossless_values_are_as_near_as_the_stream_promises(depth: int, signed: int) -> None:
    case = Case(pixel_streams.NEAR, "MONOCHROME2", depth, signed)
    values = pixel_streams.drawn(case)
    (frame, _), _ = frames_as(pixel_streams.stored_file(case, values)[0], [1, 2], OCTETS)
    apart = np.abs(np.frombuffer(frame, values.dtype).astype(int) - values[0].ravel())
    assert 0 < apart.max() <= pixel_streams.DISTANCE


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
