"""A DICOM image as a picture for a screen: PS3.3's pixel pipeline (modality LUT, VOI window, polarity) and PNG."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset

# Windows for CT in Hounsfield units (centre, width), where the image brings none or the wish is for another.
LUNG = (-600.0, 1500.0)


class NoPicture(Exception):
    """The data set holds no pixels that can be shown."""


def grey_or_colour(ds: Dataset, frame: int = 0, window: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """One frame in 8 bits: rows × columns, or rows × columns × 3. `frame` counts from 0. Raises NoPicture."""
    from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, convert_color_space

    if "PixelData" not in ds or not ds.get("Rows"):
        raise NoPicture
    try:
        pixels = ds.pixel_array
    except Exception as error:  # decoders raise whatever they like on damaged data
        raise NoPicture from error
    if int(ds.get("NumberOfFrames") or 1) > 1:
        pixels = pixels[frame]
    photometric = str(ds.get("PhotometricInterpretation", ""))
    if photometric == "PALETTE COLOR":
        return _stretched(apply_color_lut(pixels, ds))
    if pixels.ndim == 3:
        rgb = convert_color_space(pixels, photometric, "RGB") if photometric.startswith("YBR_FULL") else pixels
        return np.asarray(rgb, dtype=np.uint8)
    values = np.asarray(apply_modality_lut(pixels, ds), dtype=np.float64)
    if window is not None:
        picture = windowed(values, *window)
    elif "WindowCenter" in ds or "VOILUTSequence" in ds:
        picture = _stretched(apply_voi_lut(values if "VOILUTSequence" not in ds else pixels, ds))
    else:
        picture = _stretched(values)
    return 255 - picture if photometric == "MONOCHROME1" else picture


def windowed(values: NDArray[np.float64], centre: float, width: float) -> NDArray[np.uint8]:
    """PS3.3 C.11.2.1.2.1's linear window to 8 bits."""
    width = max(width, 1.0)
    scaled = (values - (centre - 0.5)) / max(width - 1, 1e-6) + 0.5
    return (np.clip(scaled, 0, 1) * 255).astype(np.uint8)


def _stretched(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    values = np.asarray(values, dtype=np.float64)
    low, high = float(values.min()), float(values.max())
    return ((values - low) / max(high - low, 1e-6) * 255).astype(np.uint8)


def encoded(picture: NDArray[np.uint8], *, side: int | None = None, kind: str = "PNG", quality: int = 90) -> bytes:
    """The picture as PNG or JPEG, no side longer than `side`."""
    image = Image.fromarray(picture)
    if side and max(image.size) > side:
        image.thumbnail((side, side), Image.Resampling.BILINEAR)
    out = io.BytesIO()
    image.save(out, kind, **({"quality": quality} if kind == "JPEG" else {"compress_level": 3}))
    return out.getvalue()
