"""Clean DICOM slices become one volume of Hounsfield units that knows where every voxel lies in the patient."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import UID

from model_container.images.pixels import NATIVE, RLE, Format, UnreadablePixels, decode_all, native, packed
from readfirst.domain.analysis.densities import unfit

AIR = -1024
_HIGHEST = 3071


@dataclass(frozen=True)
class Volume:
    """A stack of parallel slices. Lengths in mm, coordinates in the patient's system (LPS)."""

    hu: NDArray[np.int16]  # [slice, row, column]
    positions: NDArray[np.float64]  # [slice, 3]: the centre of each slice's first pixel
    along_columns: NDArray[np.float64]  # unit vector in which the column index grows
    along_rows: NDArray[np.float64]  # unit vector in which the row index grows
    pixel: tuple[float, float]  # between rows, between columns
    spacing: float  # between slices, along their normal
    headers: tuple[Dataset, ...]  # per slice, without pixels (frames of one file share theirs)
    frames: tuple[int, ...]  # per slice: its frame in the file, from 1; 0 in a file that has but one
    flat: bool = False  # a radiograph (projection.py): grey values, and no place in the patient

    def point(self, z: float, row: float, column: float) -> tuple[float, float, float]:
        """Where a voxel's centre lies in the patient, in mm; indexes may be fractions."""
        low = int(np.clip(np.floor(z), 0, len(self.positions) - 1))
        high = min(low + 1, len(self.positions) - 1)
        share = min(max(z - low, 0.0), 1.0)
        origin = self.positions[low] * (1 - share) + self.positions[high] * share
        at = origin + row * self.pixel[0] * self.along_rows + column * self.pixel[1] * self.along_columns
        return (round(float(at[0]), 2), round(float(at[1]), 2), round(float(at[2]), 2))


def read_volume(contents: Sequence[bytes], frames: Sequence[int] = ()) -> Volume:
    """Decodes slices into a volume. `contents[k]` is the file of the slice k, from feet to head; `frames[k]` is its
    frame in that file, from 1, and 0 in a file that has but one. A file may be given for many slices.

    Raises UnreadablePixels when a slice cannot be decoded or does not fit the others.
    """
    files = {key: _Source(content) for key, content in {id(content): content for content in contents}.items()}
    slices = [_Slice(files[id(content)], max(0, frame - 1)) for content, frame in
              zip(contents, frames or [0] * len(contents), strict=True)]  # fmt: skip
    if len({(one.source.form.rows, one.source.form.columns) for one in slices}) != 1:
        raise UnreadablePixels("the slices do not have one size")
    _place_in_one_frame(list(files.values()))
    hu = _densities(slices)
    rows, columns = _directions(slices[0].numbers("PlaneOrientationSequence", "ImageOrientationPatient", 6))
    positions = np.array([one.numbers("PlanePositionSequence", "ImagePositionPatient", 3) for one in slices])
    spacing = slices[0].numbers("PixelMeasuresSequence", "PixelSpacing", 2)
    for source in files.values():
        del source.ds.PixelData
    return Volume(
        hu, positions, columns, rows, (spacing[0], spacing[1]), _step(positions, rows, columns),
        tuple(one.source.ds for one in slices), tuple(one.frame + 1 if one.source.own else 0 for one in slices),
    )  # fmt: skip


def _place_in_one_frame(sources: Sequence[_Source]) -> None:
    """Gives files without a frame of reference that of the others: it is one for a whole series (PS3.3 C.7.4.1)."""
    known = {str(uid).strip() for s in sources if (uid := s.ds.get("FrameOfReferenceUID"))}
    if len(known) > 1:
        raise UnreadablePixels("the slices lie in several frames of reference: their places cannot be compared")
    for source in sources if known else ():
        source.ds.FrameOfReferenceUID = next(iter(known))


def _directions(orientation: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Along the rows' index (second triple of ImageOrientationPatient) and along the columns' index (first one)."""
    values = np.array(orientation)
    return values[3:] / np.linalg.norm(values[3:]), values[:3] / np.linalg.norm(values[:3])


def _step(positions: NDArray[np.float64], rows: NDArray[np.float64], columns: NDArray[np.float64]) -> float:
    """Between slices as they lie, whatever headers say. The mean: written places are rounded, and it is not."""
    heights = positions @ np.cross(columns, rows)
    return float(np.abs(heights[-1] - heights[0]) / (len(heights) - 1)) if len(heights) > 1 else 1.0


# ---------------------------------------------------------------- a slice: a file, or a frame of an enhanced one


class _Source:
    """One file: its header, how it stores its pictures, and what its frames share."""

    def __init__(self, content: bytes) -> None:
        with io.BytesIO(content) as file:  # closed, or the header would hold on to the whole file
            self.ds: FileDataset = pydicom.dcmread(file)
        if not self.ds.get("SOPClassUID"):
            self.ds.SOPClassUID = self.ds.file_meta.get("MediaStorageSOPClassUID") or UID("")
        if not self.ds.SOPClassUID:
            raise UnreadablePixels("a file does not say of which SOP class it is")
        self.form = Format.of(self.ds)
        self.shared = _first(self.ds, "SharedFunctionalGroupsSequence")
        self.own: Sequence[Dataset] = self.ds.get("PerFrameFunctionalGroupsSequence") or ()


@dataclass(frozen=True)
class _Slice:
    source: _Source
    frame: int  # from 0

    def group(self, name: str) -> Dataset:
        """Where the attributes of a functional group stand: with the frame, for all frames, or in a plain header."""
        if not self.source.own:
            return self.source.ds
        if not self.frame < len(self.source.own):
            raise UnreadablePixels("the file does not describe this frame")
        own = self.source.own[self.frame]
        return _first(own, name) if name in own else _first(self.source.shared, name)

    def numbers(self, group: str, keyword: str, count: int) -> list[float]:
        """Raises UnreadablePixels unless there are as many numbers as there should be."""
        try:
            value = self.group(group).get(keyword)
            found = [float(v) for v in (value if count > 1 else [value])]
        except (TypeError, ValueError) as error:
            raise UnreadablePixels(f"a slice's {keyword} is missing or no number") from error
        if len(found) != count or not np.isfinite(found).all():
            raise UnreadablePixels(f"a slice's {keyword} is missing or no number")
        return found

    def rescaling(self) -> tuple[float, float]:
        """Slope and intercept to HU. A CT slice that does not say them has no densities that anyone could trust."""
        group, name = self.group("PixelValueTransformationSequence"), "PixelValueTransformationSequence"
        if wrong := unfit(group.get, needed=False):
            raise UnreadablePixels(wrong)
        if self.source.ds.get("Modality") != "CT" and "RescaleSlope" not in group:
            return 1.0, 0.0
        slope, intercept = (self.numbers(name, keyword, 1)[0] for keyword in ("RescaleSlope", "RescaleIntercept"))
        return slope, intercept


def _first(ds: Dataset, keyword: str) -> Dataset:
    items = ds.get(keyword) or ()
    return items[0] if items else Dataset()


# ---------------------------------------------------------------- densities


def _densities(slices: Sequence[_Slice]) -> NDArray[np.int16]:
    """HU of every slice; plain pixels are taken here, compressed ones are decoded first."""
    form = slices[0].source.form
    hu = np.empty((len(slices), form.rows, form.columns), np.int16)
    compressed = [k for k, one in enumerate(slices) if one.source.form.syntax not in NATIVE]
    pictures = [packed(slices[k].source.ds, slices[k].source.form, slices[k].frame) for k in compressed]
    decoded = dict(zip(compressed, decode_all(pictures), strict=True))
    for k, one in enumerate(slices):
        values = decoded.pop(k) if k in decoded else native(one.source.ds, one.source.form, one.frame)
        hu[k] = hounsfield(values, one)
    return hu


def hounsfield(values: NDArray[np.integer], one: _Slice) -> NDArray[np.int16]:
    """Stored values in HU: padding made air, clipped to what scanners mean (-1024 to 3071)."""
    form, (slope, intercept) = one.source.form, one.rescaling()
    own = meant(values, form)
    if slope == 1.0 and intercept == int(intercept) and abs(intercept) < 1 << 30:
        hu = np.clip(own.astype(np.int32) + int(intercept), AIR, _HIGHEST).astype(np.int16)
    else:
        hu = np.clip(np.round(own * slope + intercept), AIR, _HIGHEST).astype(np.int16)
    empty = padded(values, own, one.source.ds, form)
    if empty is not None:
        hu[empty] = AIR
    return hu


def padded(
    values: NDArray[np.integer], own: NDArray[np.integer], ds: Dataset, form: Format
) -> NDArray[np.bool_] | None:
    """Where stored values, or what is meant by them, stand for no picture; None where the file names no such value."""
    padding = _padding(ds, form)
    if padding is None:
        return None
    empty = (own >= padding[0]) & (own <= padding[1])
    if own is not values:  # padding may lie outside of the bits that hold values
        empty |= (values >= padding[0]) & (values <= padding[1])
    return np.asarray(empty)


def meant(values: NDArray[np.integer], form: Format) -> NDArray[np.integer]:
    """The words' stored bits alone, with their sign: what lies in the other bits (old overlays) is no density."""
    spare = form.allocated - form.stored
    if not spare or (form.syntax not in NATIVE and form.syntax != RLE):  # other decoders know the stored bits
        return values
    left = form.allocated - 1 - form.high
    own = values.astype(values.dtype.newbyteorder("="))
    return np.right_shift(np.left_shift(own, left), spare)


def _padding(ds: Dataset, form: Format) -> tuple[int, int] | None:
    """The stored values, from and to, that stand for no picture."""
    first, last = ds.get("PixelPaddingValue"), ds.get("PixelPaddingRangeLimit")
    try:
        ends = [int(first), int(first if last is None else last)] if first is not None else []
    except (TypeError, ValueError) as error:
        raise UnreadablePixels("a slice's PixelPaddingValue is not a number") from error
    if form.signed:  # readers without the pixel's sign give signed padding as unsigned
        ends = [end - (1 << form.allocated) if end >= 1 << (form.allocated - 1) else end for end in ends]
    return (min(ends), max(ends)) if ends else None


def windowed(hu: NDArray[np.int16], window: tuple[float, float]) -> NDArray[np.uint8]:
    """HU as grey values in a window (PS3.3 C.11.2.1.2, linear)."""
    centre, width = window
    return np.asarray(np.clip((hu - (centre - width / 2)) / width * 255, 0, 255), dtype=np.uint8)
