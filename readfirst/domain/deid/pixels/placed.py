"""What the frames of an instance show of the body: measured with the spacing and units that its header gives."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from readfirst.domain.deid.dicom import tags
from readfirst.domain.deid.dicom.elements import Element, text_of
from readfirst.domain.deid.heads import Region, region_shown
from readfirst.domain.deid.pixels.frames import Images
from readfirst.domain.deid.pixels.text import NoDetector
from readfirst.domain.deid.pixels.thin import planes_for

_SHARED, _PER_FRAME = tags.SharedFunctionalGroupsSequence, tags.PerFrameFunctionalGroupsSequence
_LEVEL = 0.8  # cosine of a slice's normal against the body's axis, from which it is a cross-section


def region_of(elements: list[Element], images: Images, modality: str, limb: bool) -> Region:
    """What the frames show: a head if any does, a trunk if all do. Raises Unreadable."""
    spacing = _numbers(elements, tags.PixelSpacing, 2)
    if spacing is None or images.shape.samples != 1 or images.palette is not None:
        return ""
    slope = _numbers(elements, tags.RescaleSlope, 1) or [1.0]
    intercept = _numbers(elements, tags.RescaleIntercept, 1) or [0.0]
    seen: set[Region] = set()
    try:
        for frame in images.frames():
            values = planes_for(frame.shape).values
            np.copyto(values, frame)
            values *= slope[0]
            values += intercept[0]
            seen.add(region_shown(values, (spacing[0], spacing[1]), modality, limb))
            if "head" in seen:
                return "head"
    except NoDetector:
        return ""
    return "trunk" if seen == {"trunk"} and _is_axial(elements) else ""


def _is_axial(elements: list[Element]) -> bool:
    sides = _numbers(elements, tags.ImageOrientationPatient, 6)
    return sides is not None and abs(sides[0] * sides[4] - sides[1] * sides[3]) >= _LEVEL


def _numbers(elements: list[Element], tag: int, count: int) -> list[float] | None:
    """The numbers of an attribute, at the top or in the first functional group that has it."""
    for element in _everywhere(elements):
        if element.tag == tag and isinstance(element.value, bytes):
            try:
                numbers = [float(part) for part in text_of(element).split("\\")]
            except ValueError:
                return None
            return numbers if len(numbers) == count else None
    return None


def _everywhere(elements: list[Element]) -> Iterator[Element]:
    """The elements, and those of the items of the functional groups (PS3.3 C.7.6.16)."""
    yield from elements
    for groups in (e.value for e in elements if e.tag in (_SHARED, _PER_FRAME)):
        for item in groups if isinstance(groups, list) else ():
            for macro in item:
                yield from (e for inner in (macro.value if isinstance(macro.value, list) else ()) for e in inner)
