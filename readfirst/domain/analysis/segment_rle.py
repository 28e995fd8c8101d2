"""A segmentation as runs of pixels: what a page needs to paint a finding, without a DICOM reader of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

Runs = list[tuple[int, int, int]]  # row, first column, length
Places = Mapping[str, Sequence[float]]  # a slice's name → where the centre of its first pixel lies, in mm

_TIE = 1e-4  # of a pixel: halves fall to one side, however the places that they come from are rounded


def pixels_between(here: Sequence[float], there: Sequence[float], directions: Any, pixel: Sequence[float]) -> list[int]:
    """By how many rows and columns `there` lies beyond `here`, to the nearest pixel.

    `directions`: in which the row index and the column index grow; `pixel`: between rows and between columns, in mm.
    """
    way = np.subtract(there, here)
    exact = (float(np.dot(way, direction)) / step for direction, step in zip(directions, pixel, strict=True))
    return [math.floor(distance + 0.5 - _TIE) for distance in exact]


def segment_rle(
    segmentation: Dataset, findings: Sequence[str], places: Places | None = None
) -> dict[str, dict[str, Runs]]:
    """Finding → SOP Instance UID of the source image → runs, from a SEG (PS3.3 A.51). Empty frames are left out.

    A frame of a multi-frame source is named by the UID, "#" and its number.

    Of a slice that was moved onto the segmentation's grid (SpatialLocationsPreserved NO: a tilted gantry), runs are
    in its own pixels: `places` says where such slices lie, and one that it does not name is left out.

    A segment belongs to the finding whose key is the last word of its Tracking ID or label; else to the finding of
    its number. What all frames share stands in the shared functional groups (PS3.3 C.7.6.16).
    """
    owners = {int(s.SegmentNumber): _owner(s, findings) for s in segmentation.SegmentSequence}
    frames = segmentation.pixel_array.reshape(-1, int(segmentation.Rows), int(segmentation.Columns))
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    found: dict[str, dict[str, Runs]] = {}
    for frame, groups in zip(frames, segmentation.PerFrameFunctionalGroupsSequence, strict=False):
        identified = groups if "SegmentIdentificationSequence" in groups else shared
        owner = owners.get(int(identified.SegmentIdentificationSequence[0].ReferencedSegmentNumber))
        source = _source(groups) or _source(shared)
        start = _start(segmentation, groups, (places or {}).get(source)) if owner and frame.any() else None
        if owner and source and start:
            found.setdefault(owner, {}).setdefault(source, []).extend(_runs(frame, *start))
    return found


def is_moved(segmentation: Dataset) -> bool:
    """Whether its frames lie elsewhere than the pixels of their slices."""
    return any(_moved(groups) for groups in segmentation.PerFrameFunctionalGroupsSequence[:1])


def _moved(groups: Dataset) -> bool:
    return any(
        source.get("SpatialLocationsPreserved") == "NO"
        for derivation in groups.get("DerivationImageSequence", [])
        for source in derivation.get("SourceImageSequence", [])
    )


def _start(segmentation: Dataset, groups: Dataset, place: Sequence[float] | None) -> tuple[int, int] | None:
    """The row and column of the frame at which its slice begins; None where nobody can tell."""
    if not _moved(groups):
        return 0, 0
    if place is None:
        return None
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    ways = [float(v) for v in shared.PlaneOrientationSequence[0].ImageOrientationPatient]
    pixel = [float(v) for v in shared.PixelMeasuresSequence[0].PixelSpacing]
    corner = [float(v) for v in groups.PlanePositionSequence[0].ImagePositionPatient]
    row, column = pixels_between(corner, place, (ways[3:], ways[:3]), pixel)
    return row, column


def _owner(segment: Dataset, findings: Sequence[str]) -> str | None:
    for text in (segment.get("TrackingID", ""), segment.get("SegmentLabel", "")):
        key = str(text).rsplit(" ", 1)[-1]
        if key in findings:
            return key
    index = int(segment.SegmentNumber) - 1
    return findings[index] if index < len(findings) else None


def _source(groups: Dataset) -> str:
    for derivation in groups.get("DerivationImageSequence", []):
        for source in derivation.get("SourceImageSequence", []):
            frame = source.get("ReferencedFrameNumber")
            return f"{source.ReferencedSOPInstanceUID}#{frame}" if frame else str(source.ReferencedSOPInstanceUID)
    return ""


def _runs(frame: NDArray[np.uint8], top: int, left: int) -> Runs:
    edges = np.diff(np.pad(frame.astype(bool).astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, starts = np.nonzero(edges == 1)
    _, ends = np.nonzero(edges == -1)
    return [(int(r) - top, int(s) - left, int(e - s)) for r, s, e in zip(rows, starts, ends, strict=True)]
