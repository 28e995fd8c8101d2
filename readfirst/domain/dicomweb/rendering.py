"""A DICOM image as a picture for a screen: PS3.3's pixel pipeline (modality LUT, VOI window, polarity) and PNG."""

from __future__ import annotations

import io
from collections.abc import MutableSequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset

from readfirst.domain.dicomweb import recoding

Picture = NDArray[np.uint8]


class Window(NamedTuple):
    """A VOI window: centre and width in the values after the modality LUT, and its function (PS3.3 C.11.2.1.2)."""

    centre: float
    width: float
    function: str = "LINEAR"


# For CT in Hounsfield units, where the wish is for another window than the image's own.
LUNG = Window(-600.0, 1500.0)


class NoPicture(Exception):
    """The data set holds no pixels that can be shown."""


def grey_or_colour(ds: Dataset, frame: int = 0, window: Window | tuple[float, float] | None = None) -> Picture:
    """One frame in 8 bits: rows × columns, or rows × columns × 3. `frame` counts from 0. Raises NoPicture.

    Without `window` the picture's own is taken: its VOI LUT, its first window, else the range of its values.
    """
    pixels, photometric = _decoded(ds, frame)
    if photometric == "PALETTE COLOR":
        return _coloured(ds, pixels)
    if pixels.ndim == 3:
        return _in_eight_bits(pixels, int(ds.get("BitsStored") or 8))
    values = _modality_values(ds, frame, pixels)
    picture = windowed(values, *window) if window is not None else _as_the_picture_asks(ds, frame, values)
    inverted = photometric == "MONOCHROME1" or ds.get("PresentationLUTShape") == "INVERSE"
    return 255 - picture if inverted else picture


def _decoded(ds: Dataset, frame: int) -> tuple[NDArray[np.generic], str]:
    """The frame's stored values, colours as RGB, and what the decoder says that they are."""
    from pydicom.pixels import get_decoder

    if "PixelData" not in ds or not ds.get("Rows"):
        raise NoPicture
    try:
        if recoding.is_compressed(ds):
            (pixels,) = recoding.decoded(ds, [frame], as_rgb=True, bare=False)
            return pixels, recoding.colours_after(ds, as_rgb=True)
        pixels, form = get_decoder(ds.file_meta.TransferSyntaxUID).as_array(ds, index=frame, as_rgb=True)
        return pixels, str(form["photometric_interpretation"])
    except Exception as error:  # no transfer syntax, no such frame, damaged data
        raise NoPicture from error


def _coloured(ds: Dataset, pixels: NDArray[np.generic]) -> Picture:
    from pydicom.pixels import apply_color_lut

    try:
        colours = apply_color_lut(pixels, ds)
    except Exception as error:  # a palette that is missing, or not as long as it says
        raise NoPicture from error
    return _in_eight_bits(colours, 8 * colours.dtype.itemsize)


def _in_eight_bits(colours: NDArray[np.generic], bits: int) -> Picture:
    return np.asarray(np.right_shift(colours, max(0, bits - 8)), dtype=np.uint8)


# ---------------------------------------------------------------- from stored values to grey (PS3.3 C.11, C.7.6.16.2)


def _group(ds: Dataset, frame: int, name: str) -> Dataset:
    """Where the attributes of a functional group stand: with the frame, for all frames, or in a plain header."""
    own, shared = ds.get("PerFrameFunctionalGroupsSequence") or (), ds.get("SharedFunctionalGroupsSequence") or ()
    for groups in (*own[frame : frame + 1], *shared[:1]):
        if items := groups.get(name):
            found: Dataset = items[0]
            return found
    return ds


def _modality_values(ds: Dataset, frame: int, pixels: NDArray[np.generic]) -> NDArray[np.float64]:
    group = _group(ds, frame, "PixelValueTransformationSequence")
    if table := group.get("ModalityLUTSequence"):
        return _looked_up(ds, table[0], pixels)
    slope, intercept = _number(group, "RescaleSlope"), _number(group, "RescaleIntercept")
    if slope is None or intercept is None:
        return pixels.astype(np.float64)
    return np.asarray(pixels.astype(np.float64) * slope + intercept)


def _as_the_picture_asks(ds: Dataset, frame: int, values: NDArray[np.float64]) -> Picture:
    group = _group(ds, frame, "FrameVOILUTSequence")
    if table := group.get("VOILUTSequence"):
        highest = (1 << int(table[0].LUTDescriptor[2])) - 1
        return np.rint(np.clip(_looked_up(ds, table[0], values) / highest, 0, 1) * 255).astype(np.uint8)
    centre, width = _number(group, "WindowCenter"), _number(group, "WindowWidth")
    if centre is not None and width is not None:
        return windowed(values, centre, width, str(group.get("VOILUTFunction") or "LINEAR"))
    stored = int(ds.get("BitsStored") or 16)
    if stored <= 8 and not ds.get("PixelRepresentation") and values.min() >= 0 and values.max() < 1 << stored:
        return np.rint(values * (255 / ((1 << stored) - 1))).astype(np.uint8)
    return _stretched(values)


def _looked_up(ds: Dataset, table: Dataset, values: NDArray[np.generic]) -> NDArray[np.float64]:
    """Values by a table (PS3.3 C.11.1.1): the first entry is for `first` and all below, the last for all above."""
    try:
        count, first, bits = (int(v) for v in table.LUTDescriptor)
        count = count & 0xFFFF or 1 << 16  # 0 is 65536; readers give counts above 32767 a sign where the first has one
        data = table.LUTData
        if isinstance(data, bytes):
            wide = 1 if len(data) < 2 * count else 2
            data = np.frombuffer(data, f"{'>' if ds.original_encoding[1] is False else '<'}u{wide}")
        entries = np.asarray(data, dtype=np.float64)[:count]
    except (AttributeError, TypeError, ValueError) as error:
        raise NoPicture from error
    if not len(entries) or not 1 <= bits <= 16:
        raise NoPicture
    return np.asarray(entries[np.clip(np.rint(values).astype(np.int64) - first, 0, len(entries) - 1)])


def _number(ds: Dataset, keyword: str) -> float | None:
    """The first value; None where there is none that is a number."""
    try:
        value = ds.get(keyword)
        found = float(value[0] if isinstance(value, MutableSequence) else value)
    except (IndexError, TypeError, ValueError):
        return None
    return found if np.isfinite(found) else None


def windowed(values: NDArray[np.float64], centre: float, width: float, function: str = "LINEAR") -> Picture:
    """The window's function to 8 bits (PS3.3 C.11.2.1.2 and C.11.2.1.3)."""
    if function == "SIGMOID":
        exponent = np.clip(-4 * (values - centre) / max(width, 1e-6), -99, 99)
        return np.rint(255 / (1 + np.exp(exponent))).astype(np.uint8)
    if function == "LINEAR_EXACT":
        scaled = (values - centre) / max(width, 1e-6) + 0.5
    else:
        scaled = (values - (centre - 0.5)) / max(max(width, 1.0) - 1, 1e-6) + 0.5
    return (np.clip(scaled, 0, 1) * 255 + 1e-6).astype(np.uint8)  # a whole grey stays one, however it was rounded


def _stretched(values: NDArray[np.float64]) -> Picture:
    values = np.asarray(values, dtype=np.float64)
    low, high = float(values.min()), float(values.max())
    return ((values - low) / max(high - low, 1e-6) * 255).astype(np.uint8)


def encoded(picture: Picture, *, side: int | None = None, kind: str = "PNG", quality: int = 90) -> bytes:
    """The picture as PNG or JPEG, no side longer than `side`."""
    image = Image.fromarray(picture)
    if side and max(image.size) > side:
        image.thumbnail((side, side), Image.Resampling.BILINEAR)
    out = io.BytesIO()
    image.save(out, kind, **({"quality": quality} if kind == "JPEG" else {"compress_level": 3}))
    return out.getvalue()
