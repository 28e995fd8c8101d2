"""Chapter: what is hidden in the bits of a pixel that no value uses."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, RLELossless

from benchmarks.burned_in_pictures import anatomy, ink
from readfirst.domain.deid.dicom.unused_bits import CLEARED
from tests.spec.deid.conftest import Cleaner


def hidden(ct: Dataset, values: np.ndarray, beside: np.ndarray, *, stored: int, high: int, signed: bool) -> Dataset:
    """A picture of values with something beside them in each pixel."""
    ct.Rows, ct.Columns = values.shape
    ct.BitsStored, ct.HighBit, ct.PixelRepresentation = stored, high, int(signed)
    used = ((values.astype(np.uint16) & (2**stored - 1)) << (high + 1 - stored)).astype(np.uint16)
    free = np.uint16(0xFFFF ^ (2**stored - 1) << (high + 1 - stored))
    pixels = used | (beside.astype(np.uint16) & free)
    order = ">" if ct.file_meta.TransferSyntaxUID == ExplicitVRBigEndian else "<"
    ct.PixelData = pixels.astype(f"{order}u2").tobytes()
    ct["PixelData"].VR = "OW"
    return ct


RNG = np.random.default_rng(11)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("size", [8, 300])
@pytest.mark.parametrize(
    ("stored", "high", "signed"), [(12, 11, False), (12, 11, True), (12, 15, False), (10, 12, False)]
)
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian], ids=["little", "big"])
def test_only_the_values_of_the_pixels_stay(
    ct: Dataset, clean: Cleaner, size: int, stored: int, high: int, signed: bool, syntax: str
) -> None:
    ct.file_meta.TransferSyntaxUID = syntax
    low = -(2 ** (stored - 1)) if signed else 0
    values = RNG.integers(low, low + 2**stored, (size, size))
    done = clean(hidden(ct, values, RNG.integers(0, 2**16, (size, size)), stored=stored, high=high, signed=signed))
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    stored_pixels = np.frombuffer(done.ds.PixelData, f"{order}{'i' if signed else 'u'}2").reshape(size, size)
    assert np.array_equal(stored_pixels, values << (high + 1 - stored))
    assert CLEARED in done.receipt.notes


def test_pixels_with_nothing_beside_their_values_stay_as_they_are(ct: Dataset, clean: Cleaner) -> None:
    values = RNG.integers(-2048, 2048, (300, 300)).astype(np.int16)
    ct.Rows, ct.Columns, ct.BitsStored, ct.HighBit, ct.PixelRepresentation = 300, 300, 12, 11, 1
    ct.PixelData = values.tobytes()
    done = clean(ct)
    assert done.ds.PixelData == values.tobytes()
    assert done.receipt.notes == ()


def test_padding_beside_the_values_stays_padding(ct: Dataset, clean: Cleaner) -> None:
    values = np.full((64, 64), 0xF830, np.uint16)
    values[20:40, 20:40] = 1000
    ct.Rows, ct.Columns, ct.BitsStored, ct.HighBit = 64, 64, 12, 11
    ct.PixelPaddingValue = 0xF830
    ct.PixelData = values.tobytes()
    assert clean(ct).ds.PixelData == values.tobytes()


@pytest.mark.filterwarnings("ignore")
def test_a_compressed_picture_hides_nothing_either(ct: Dataset, clean: Cleaner) -> None:
    values, overlay = RNG.integers(0, 4096, (64, 64)), np.zeros((64, 64), int)
    overlay[10:20, 10:50] = 0x1000
    hidden(ct, values, overlay, stored=12, high=11, signed=False)
    ct.compress(RLELossless, generate_instance_uid=False)
    done = clean(ct)
    assert done.ds.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert np.array_equal(np.frombuffer(done.ds.PixelData, "<u2").reshape(64, 64), values)


@pytest.mark.filterwarnings("ignore")
def test_what_lies_beside_the_values_neither_hides_a_line_nor_looks_like_one(ct: Dataset, clean: Cleaner) -> None:
    """An old overlay stretches the greys: faint under it, a name passes the screen; and its own shapes are no text."""
    picture, ground = np.asarray(anatomy(Random(3), 320), int) * 8, np.asarray(anatomy(Random(3), 320), int) * 8
    letters = ink("QUILLFEATHER", Random(1), 18, rotated=False) > 127
    picture[40 : 40 + letters.shape[0], 30 : 30 + letters.shape[1]][letters] = 1900
    overlay = RNG.integers(0, 2, picture.shape) << 15
    overlay[200:] = 0
    for values in (picture, ground):
        done = clean(hidden(ct, values, overlay, stored=12, high=11, signed=False))
        left = np.frombuffer(done.ds.PixelData, "<u2").reshape(values.shape)
        inked = picture == 1900
        assert (left[inked] != 1900).mean() > 0.9
        assert np.array_equal(left[100:], values[100:])
