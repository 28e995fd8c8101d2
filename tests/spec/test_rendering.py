"""A picture for a screen, by PS3.3's pixel pipeline: modality LUT, VOI, polarity, colour; plain and enhanced files."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, JPEGBaseline8Bit

from readfirst.domain.dicomweb import recoding
from readfirst.domain.dicomweb.rendering import LUNG, NoPicture, encoded, grey_or_colour
from tests.spec.images import file_in, instance

HU = np.array([-1000, -850, -600, 0, 40, 700])


def item(**values: object) -> Dataset:
    ds = Dataset()
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def strip(values: np.ndarray, frames: int = 1) -> np.ndarray:
    """Frames of two rows of these values."""
    return np.tile(np.asarray(values, "i2"), (frames, 2, 1))


def row(ds: Dataset, frame: int = 0, window: tuple[float, float] | None = None) -> list[int]:
    return grey_or_colour(ds, frame, window)[0].tolist()


def rescale(intercept: int, slope: float = 1) -> list[Dataset]:
    return [item(RescaleIntercept=intercept, RescaleSlope=slope, RescaleType="HU")]


def test_an_enhanced_picture_is_shown_with_the_rescale_that_its_frames_share() -> None:
    plain = instance(strip(HU + 1024), RescaleIntercept=-1024, RescaleSlope=1)
    shared = item(PixelValueTransformationSequence=rescale(-1024))
    enhanced = instance(strip(HU + 1024), SharedFunctionalGroupsSequence=[shared])
    assert row(enhanced, window=LUNG) == row(plain, window=LUNG) == [59, 85, 127, 229, 236, 255]


def test_each_frame_of_an_enhanced_picture_is_shown_with_its_own_rescale_and_window() -> None:
    values = np.concatenate([strip(HU + 1024), strip((HU + 1024) * 2)])
    windows = [item(FrameVOILUTSequence=[item(WindowCenter=c, WindowWidth=w)],
                    PixelValueTransformationSequence=rescale(-1024, s))
               for c, w, s in ((-600, 1500, 1), (40, 400, 0.5))]  # fmt: skip
    enhanced = instance(values, PerFrameFunctionalGroupsSequence=windows, SharedFunctionalGroupsSequence=[Dataset()],
                        RescaleIntercept=0, RescaleSlope=1)  # fmt: skip
    plain = instance(strip(HU))
    assert row(enhanced, 0) == row(plain, window=(-600, 1500))
    assert row(enhanced, 1) == row(plain, window=(40, 400))


def test_without_a_wish_the_picture_s_own_window_is_taken() -> None:
    values = np.linspace(0, 100, 64).astype(int)
    ds = instance(strip(values), WindowCenter=1000, WindowWidth=2000)
    assert row(ds) == row(ds, window=(1000, 2000)) and max(row(ds)) < 14
    ds.WindowCenter, ds.WindowWidth = [40, -600], [400, 1500]
    assert row(ds) == row(ds, window=(40, 400))


@pytest.mark.parametrize("slope", [1, 2.5])
def test_functions_of_a_window_are_those_of_the_standard(slope: float) -> None:
    values = np.array([-400, 0, 40, 100, 1000])
    ds = instance(strip(values), RescaleIntercept=0, RescaleSlope=slope, WindowCenter=40, WindowWidth=400)
    ds.VOILUTFunction = "SIGMOID"
    assert row(ds) == [round(255 / (1 + math.exp(-4 * (slope * v - 40) / 400))) for v in values]
    ds.VOILUTFunction = "LINEAR_EXACT"
    assert row(ds) == [math.floor(min(1, max(0, (slope * v - 40) / 400 + 0.5)) * 255) for v in values]


def test_a_window_that_is_no_number_is_none() -> None:
    values = strip(np.array([0, 50, 100]))
    for centre in ("", None):
        assert row(instance(values, WindowCenter=centre, WindowWidth=400)) == [0, 127, 255]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("words", [True, False])
def test_tables_turn_values_into_greys(syntax: str, words: bool) -> None:
    """The VOI LUT is for the values behind the rescale; what lies beyond its ends has the first and the last entry."""
    table = item(LUTDescriptor=[4, 100, 8])
    entries = [0, 10, 200, 255]
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    if words:
        table.add_new("LUTData", "OW", np.array(entries, f"{order}u2").tobytes())
    else:
        table.add_new("LUTData", "US", entries)
    ds = instance(strip(np.array([0, 100, 101, 102, 103, 900]) + 1000), VOILUTSequence=[table],
                  RescaleIntercept=-1000, RescaleSlope=1, WindowCenter=0, WindowWidth=1)  # fmt: skip
    assert row(recoding.opened(file_in(ds, syntax))) == [0, 0, 10, 200, 255, 255]


def test_a_modality_table_comes_before_the_window() -> None:
    table = item(LUTDescriptor=[3, 0, 16], ModalityLUTType="US")
    table.add_new("LUTData", "US", [0, 1000, 2000])
    ds = instance(strip(np.array([0, 1, 2])), ModalityLUTSequence=[table], WindowCenter=1000, WindowWidth=2001)
    assert row(ds) == [0, 127, 255]


@pytest.mark.parametrize("change", [{"photometric": "MONOCHROME1"}, {"PresentationLUTShape": "INVERSE"}])
def test_an_inverted_picture_is_dark_where_its_values_are_high(change: dict[str, str]) -> None:
    plain, inverted = (instance(strip(HU), **more) for more in ({}, change))
    assert row(inverted, window=(0, 2000)) == [255 - v for v in row(plain, window=(0, 2000))]


@pytest.mark.parametrize("photometric", ["YBR_FULL", "YBR_FULL_422"])
def test_colours_are_converted_once(photometric: str) -> None:
    """Of red and blue in a colour Doppler, one flows towards the probe and the other away from it."""
    red, blue = (76, 85, 255), (29, 255, 107)
    ds = instance(np.array([[[red] * 4] * 2, [[blue] * 4] * 2], "u1"), photometric)
    if photometric.endswith("422"):
        ds.PixelData = b"".join(bytes((y, y, cb, cr)) * 4 for y, cb, cr in (red, blue))
    for frame, colour in enumerate([(254, 0, 0), (0, 0, 254)]):
        assert np.abs(grey_or_colour(ds, frame).astype(int) - colour).max() <= 2


def test_a_lossy_jpeg_has_the_colours_that_were_taken() -> None:
    out = io.BytesIO()
    Image.fromarray(np.full((16, 16, 3), (254, 0, 0), np.uint8)).save(out, "JPEG", quality=95, subsampling="4:2:2")
    ds = instance(np.zeros((1, 16, 16, 3), "u1"), "YBR_FULL_422")
    ds.PixelData, ds.file_meta.TransferSyntaxUID = encapsulate([out.getvalue()]), JPEGBaseline8Bit
    ds["PixelData"].VR = "OB"
    assert np.abs(grey_or_colour(ds).astype(int) - (254, 0, 0)).max() <= 3


def test_a_palette_gives_its_own_colours_and_not_the_brightest_ones() -> None:
    values = np.array([[[0, 10, 20]]], "u1")
    expected = [[v, (v - 40) % 256, (v - 80) % 256] for v in (0, 10, 20)]
    assert grey_or_colour(instance(values, "PALETTE COLOR"))[0].tolist() == expected


def test_deep_colours_are_brought_to_eight_bits() -> None:
    values = np.array([[[[0x0100, 0x8000, 0xFFFF]]]], "u2")
    assert grey_or_colour(instance(values, "RGB"))[0, 0].tolist() == [1, 128, 255]


@pytest.mark.parametrize("kind", ["no pixels", "no such frame", "not all there", "no palette"])
def test_what_cannot_be_shown_is_said_to_be_no_picture(kind: str) -> None:
    ds = instance(strip(HU))
    if kind == "no pixels":
        del ds.PixelData
    elif kind == "not all there":
        ds.PixelData = b"\0\0"
    elif kind == "no palette":
        ds.PhotometricInterpretation = "PALETTE COLOR"
    with pytest.raises(NoPicture):
        grey_or_colour(ds, 5 if kind == "no such frame" else 0)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_is_as_small_as_was_asked_for(kind: str) -> None:
    picture = np.zeros((40, 80), np.uint8)
    opened = [Image.open(io.BytesIO(encoded(picture, side=side, kind=kind))) for side in (20, None)]
    assert [image.size for image in opened] == [(20, 10), (80, 40)] and opened[0].format == kind
