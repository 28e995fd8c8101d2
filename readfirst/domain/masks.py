"""A segmentation as runs of pixels: what a page needs to paint a finding, without a DICOM reader of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

Runs = list[tuple[int, int, int]]  # row, first column, length


def runs(segmentation: Dataset, findings: Sequence[str]) -> dict[str, dict[str, Runs]]:
    """Finding → SOP Instance UID of the source image → runs, from a SEG (PS3.3 A.51). Empty frames are left out.

    A frame of a multi-frame source is named by the UID, "#" and its number.

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
        if owner and source and frame.any():
            found.setdefault(owner, {}).setdefault(source, []).extend(_runs(frame))
    return found


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


def _runs(frame: NDArray[np.uint8]) -> Runs:
    edges = np.diff(np.pad(frame.astype(bool).astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, starts = np.nonzero(edges == 1)
    _, ends = np.nonzero(edges == -1)
    return [(int(r), int(s), int(e - s)) for r, s, e in zip(rows, starts, ends, strict=True)]
