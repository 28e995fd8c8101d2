"""A radiograph as every reader sees it: its own window, dense parts bright, whatever the maker stores.

Radiographs have no Hounsfield units. What travels on is what the picture means to show: its modality and VOI
transformations done (PS3.4 N.2), MONOCHROME1 turned round, from 0 (black: air) to 4095 (white).
"""

from __future__ import annotations

import io

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from model_container.images.pixels import NATIVE, Format, UnreadablePixels, decode_all, native, packed
from model_container.images.volume import Volume, meant, padded

WHITE = 4095
_GREYS = ("MONOCHROME1", "MONOCHROME2")
_ENDS = (0.5, 99.5)  # percentiles, where a picture names no window
_CONTRAST = 0.01  # of the range from black to white; less is a picture that was blanked, or a window beside it


def read_projection(content: bytes) -> Volume:
    """The one slice of a radiograph. Raises UnreadablePixels where it cannot be read."""
    ds = pydicom.dcmread(io.BytesIO(content))
    form = Format.of(ds, _GREYS)
    if form.syntax in NATIVE:
        values = native(ds, form, 0)
    else:
        (values,) = decode_all([packed(ds, form, 0)])
    grey = presented(values, ds, form)
    del ds.PixelData
    nowhere = np.zeros((1, 3))
    across, down = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])
    return Volume(grey[None], nowhere, across, down, (1.0, 1.0), 1.0, (ds,), (0,), flat=True)


def presented(values: NDArray[np.integer], ds: Dataset, form: Format) -> NDArray[np.int16]:
    """Stored values as grey from 0 to WHITE."""
    own = meant(values, form)
    empty = padded(values, own, ds, form)
    if empty is None:
        empty = np.zeros(own.shape, np.bool_)
    if empty.all():
        raise UnreadablePixels("the picture holds nothing but padding")
    try:
        shown = _through_window(_through_modality(own, ds), ds, ~empty)
    except (AttributeError, IndexError, NotImplementedError, TypeError, ValueError) as error:
        raise UnreadablePixels("the picture's header contradicts itself about how it is shown") from error
    if ds.PhotometricInterpretation == "MONOCHROME1":
        shown = 1.0 - shown
    if np.ptp(shown[~empty]) < _CONTRAST:
        raise UnreadablePixels("the picture shows nothing: all of it is of one grey")
    return np.where(empty, 0, np.round(shown * WHITE)).astype(np.int16)


def _through_modality(own: NDArray[np.integer], ds: Dataset) -> NDArray[np.float64]:
    from pydicom.pixels import apply_modality_lut

    return np.asarray(apply_modality_lut(np.ascontiguousarray(own), ds), np.float64)


def _through_window(values: NDArray[np.float64], ds: Dataset, there: NDArray[np.bool_]) -> NDArray[np.float64]:
    """From 0 to 1: by the first VOI table or window, else from the darkest to the brightest value that is there."""
    tables = ds.get("VOILUTSequence")
    if tables:
        return _through_table(values, tables[0])
    if ds.get("WindowWidth") is not None and ds.get("WindowCenter") is not None:
        centre, width = (float(np.ravel(ds[name].value)[0]) for name in ("WindowCenter", "WindowWidth"))
        return _windowed(values, centre, width, str(ds.get("VOILUTFunction") or "LINEAR"))
    low, high = np.percentile(values[there], _ENDS)
    if high <= low:
        raise ValueError("the picture has one value only")
    return np.asarray(np.clip((values - low) / (high - low), 0.0, 1.0))


def _windowed(values: NDArray[np.float64], centre: float, width: float, function: str) -> NDArray[np.float64]:
    """PS3.3 C.11.2.1.2.1 and C.11.2.1.3."""
    if not width > 0:
        raise ValueError("a window has a width")
    if function == "SIGMOID":
        return np.asarray(1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - centre) / width, -50, 50))))
    if function == "LINEAR_EXACT":
        return np.asarray(np.clip((values - centre) / width + 0.5, 0.0, 1.0))
    return np.asarray(np.clip((values - (centre - 0.5)) / max(width - 1.0, 1e-6) + 0.5, 0.0, 1.0))


def _through_table(values: NDArray[np.float64], table: Dataset) -> NDArray[np.float64]:
    """PS3.3 C.11.2.1.1: values before the first entry take the first, those after the last one the last."""
    count, first, bits = (int(v) for v in table.LUTDescriptor)
    raw = table.LUTData
    entries = np.frombuffer(raw, "<u2") if isinstance(raw, bytes) else np.asarray(raw)
    entries = entries[: count or 1 << 16].astype(np.float64)
    if first >= 1 << 15 and values.min() < 0:  # a signed first value that was read without its sign
        first -= 1 << 16
    at = np.clip(np.round(values) - first, 0, len(entries) - 1).astype(np.intp)
    return np.clip(entries[at] / ((1 << bits) - 1), 0.0, 1.0)
