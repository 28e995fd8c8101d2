"""Clean DICOM slices become one volume of Hounsfield units that knows where every voxel lies in the patient."""

from __future__ import annotations

import io
import multiprocessing
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.pixels import pixel_array
from pydicom.uid import UID

AIR = -1024
_PROCESSES_FROM = 160  # compressed slices: below that, starting processes costs more than they save on most machines
_PATIENCE, _PATIENCE_PER_SLICE = 30.0, 1.0  # seconds
# Which decoder reads what. The others (JPEG lossless) are GDCM's, in processes that can be ended.
_PLUGINS = {
    "1.2.840.10008.1.2.1.99": "",
    "1.2.840.10008.1.2.2": "",
    "1.2.840.10008.1.2.4.80": "pyjpegls",
    "1.2.840.10008.1.2.4.81": "pyjpegls",
    "1.2.840.10008.1.2.4.90": "pylibjpeg",
    "1.2.840.10008.1.2.4.91": "pylibjpeg",
    "1.2.840.10008.1.2.5": "pylibjpeg",
}
_NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"}


class UnreadablePixels(ValueError):
    """A slice's pixels cannot be decoded, or are no plain grey image. The message holds no content."""


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
    frames: tuple[int, ...]  # per slice: its frame in the file, from 1

    def point(self, z: float, row: float, column: float) -> tuple[float, float, float]:
        """Where a voxel's centre lies in the patient, in mm; indexes may be fractions."""
        low = int(np.clip(np.floor(z), 0, len(self.positions) - 1))
        high = min(low + 1, len(self.positions) - 1)
        share = min(max(z - low, 0.0), 1.0)
        origin = self.positions[low] * (1 - share) + self.positions[high] * share
        at = origin + row * self.pixel[0] * self.along_rows + column * self.pixel[1] * self.along_columns
        return (round(float(at[0]), 2), round(float(at[1]), 2), round(float(at[2]), 2))


def read_volume(contents: Sequence[bytes]) -> Volume:
    """Decodes slices (files in order from feet to head, or one multi-frame file) into a volume.

    Raises UnreadablePixels when a slice cannot be decoded or does not fit the others.
    """
    parsed = [pydicom.dcmread(io.BytesIO(content)) for content in contents]
    if len(parsed) == 1 and int(parsed[0].get("NumberOfFrames") or 1) > 1:
        return _read_frames(parsed[0])
    planes = _decode_all(parsed, contents)
    shapes = {plane.shape for plane in planes}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        raise UnreadablePixels("the slices do not have one size")
    first = parsed[0]
    rows, columns = _directions(first.ImageOrientationPatient)
    positions = np.array([[float(v) for v in ds.ImagePositionPatient] for ds in parsed])
    for ds in parsed:
        del ds.PixelData
    pixel = (float(first.PixelSpacing[0]), float(first.PixelSpacing[1]))
    return Volume(
        np.stack(planes), positions, columns, rows, pixel, _step(positions, rows, columns), tuple(parsed),
        (1,) * len(parsed),
    )  # fmt: skip


def _directions(orientation: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Along the rows' index (second triple of ImageOrientationPatient) and along the columns' index (first one)."""
    values = np.array([float(v) for v in orientation])
    return values[3:] / np.linalg.norm(values[3:]), values[:3] / np.linalg.norm(values[:3])


def _step(positions: NDArray[np.float64], rows: NDArray[np.float64], columns: NDArray[np.float64]) -> float:
    heights = positions @ np.cross(columns, rows)
    return float(np.median(np.abs(np.diff(heights)))) if len(heights) > 1 else 1.0


# ---------------------------------------------------------------- pixels


def _decode_all(parsed: Sequence[FileDataset], contents: Sequence[bytes]) -> list[NDArray[np.int16]]:
    """Plain pixels are reshaped here; compressed ones are decoded in processes when there are many."""
    if all(str(ds.file_meta.TransferSyntaxUID) in _NATIVE for ds in parsed):
        return [hounsfield(ds) for ds in parsed]
    only_gdcm = any(str(ds.file_meta.TransferSyntaxUID) not in _PLUGINS for ds in parsed)
    if len(contents) < _PROCESSES_FROM and not only_gdcm:
        return [_decode_file(content) for content in contents]
    # Spawned, not forked: this process has threads. And ended when late: GDCM can hang for ever on a broken JPEG.
    workers = min(os.cpu_count() or 1, len(contents))
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        work = pool.map_async(_decode_file, contents, chunksize=max(1, len(contents) // (4 * workers)))
        try:
            return work.get(_PATIENCE + _PATIENCE_PER_SLICE * len(contents))
        except multiprocessing.TimeoutError as late:
            raise UnreadablePixels("a slice could not be decoded in time") from late


def _decode_file(content: bytes) -> NDArray[np.int16]:
    return hounsfield(pydicom.dcmread(io.BytesIO(content)))


def hounsfield(ds: FileDataset) -> NDArray[np.int16]:
    """The pixels of a grey image in HU, padding made air, clipped to what scanners mean (-1024 to 3071)."""
    if int(ds.get("SamplesPerPixel", 1)) != 1 or ds.get("PhotometricInterpretation") != "MONOCHROME2":
        raise UnreadablePixels("not a grey image")
    stored = _stored(ds)
    slope, intercept = float(ds.get("RescaleSlope") or 1), float(ds.get("RescaleIntercept") or 0)
    if slope == 1.0 and intercept == int(intercept):
        hu = np.clip(stored.astype(np.int32) + int(intercept), AIR, 3071).astype(np.int16)
    else:
        hu = np.clip(np.round(stored * slope + intercept), AIR, 3071).astype(np.int16)
    padding = _padding(ds)
    if padding is not None:
        hu[(stored >= padding[0]) & (stored <= padding[1])] = AIR
    return hu


def _stored(ds: FileDataset) -> NDArray[np.integer]:
    """Stored values; plain little-endian 16-bit files skip pydicom's general path, which costs more than the work."""
    shape = (int(ds.Rows), int(ds.Columns))
    plain = str(ds.file_meta.TransferSyntaxUID) in _NATIVE - {"1.2.840.10008.1.2.1.99"}
    if plain and ds.get("BitsAllocated") == 16 and ds.get("BitsStored") == 16 and "NumberOfFrames" not in ds:
        kind = "<i2" if ds.PixelRepresentation else "<u2"
        raw = ds.PixelData
        if len(raw) < 2 * shape[0] * shape[1]:
            raise UnreadablePixels("fewer pixels than rows and columns say")
        return np.frombuffer(raw, kind, shape[0] * shape[1]).reshape(shape)
    try:
        return np.asarray(pixel_array(ds, decoding_plugin=_PLUGINS.get(str(ds.file_meta.TransferSyntaxUID), "")))
    except Exception as error:  # decoders raise many kinds; the cause travels on, the content does not
        raise UnreadablePixels(f"cannot decode {UID(str(ds.file_meta.TransferSyntaxUID)).name}") from error


def _padding(ds: Dataset) -> tuple[int, int] | None:
    if ds.get("PixelPaddingValue") is None:
        return None
    ends = [int(ds.PixelPaddingValue), int(ds.get("PixelPaddingRangeLimit") or ds.PixelPaddingValue)]
    if ds.get("PixelRepresentation"):  # readers without the pixel's sign give signed padding as unsigned
        ends = [end - 65536 if end > 32767 else end for end in ends]
    return min(ends), max(ends)


# ---------------------------------------------------------------- enhanced, multi-frame files


def _read_frames(ds: FileDataset) -> Volume:
    """One enhanced CT file: every frame says where it lies in its functional groups."""
    frames = _decode_frames(ds)
    shared = ds.SharedFunctionalGroupsSequence[0] if "SharedFunctionalGroupsSequence" in ds else Dataset()
    groups = list(ds.PerFrameFunctionalGroupsSequence)
    positions = np.array(
        [[float(v) for v in _group(g, shared, "PlanePositionSequence").ImagePositionPatient] for g in groups]
    )
    rows, columns = _directions(_group(groups[0], shared, "PlaneOrientationSequence").ImageOrientationPatient)
    spacing = _group(groups[0], shared, "PixelMeasuresSequence").PixelSpacing
    order = np.argsort(positions @ np.cross(columns, rows) * np.sign(np.cross(columns, rows)[2] or 1.0))
    hu = np.empty(frames.shape, np.int16)
    for k, group in enumerate(groups):
        rescale = _group(group, shared, "PixelValueTransformationSequence")
        value = frames[k] * float(rescale.RescaleSlope) + float(rescale.RescaleIntercept)
        hu[k] = np.clip(np.round(value), AIR, 3071).astype(np.int16)
    del ds.PixelData
    positions = positions[order]
    return Volume(
        hu[order], positions, columns, rows, (float(spacing[0]), float(spacing[1])), _step(positions, rows, columns),
        (ds,) * len(order), tuple(int(k) + 1 for k in order),
    )  # fmt: skip


def _decode_frames(ds: FileDataset) -> NDArray[np.integer]:
    syntax = str(ds.file_meta.TransferSyntaxUID)
    if syntax not in _NATIVE and syntax not in _PLUGINS:
        raise UnreadablePixels(f"multi-frame files in {UID(syntax).name} are not taken")
    return np.asarray(pixel_array(ds, decoding_plugin=_PLUGINS.get(syntax, "")))


def _group(frame: Dataset, shared: Dataset, name: str) -> Dataset:
    """A functional group: the frame's own, else the shared one."""
    source = frame if name in frame else shared
    if name not in source:
        raise UnreadablePixels(f"the file has no {name}")
    item: Dataset = source[name].value[0]
    return item
