"""What a reader measured, as measurement groups of a structured report (PS3.16 TID 1501, its items of TID 300)."""

from __future__ import annotations

import math
from collections.abc import Sequence as Points

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from readfirst.domain.reading.reviews import Measured
from readfirst.domain.reading.sr_items import COMMENT, LONG_AXIS, MILLIMETER, Code, concept, group, item, number, text

_UNITS: dict[str, Code] = {
    "mm": MILLIMETER,
    "mm2": ("mm2", "UCUM", "square millimeter"),
    "px": ("{pixels}", "UCUM", "pixels"),
    "px2": ("{pixels}2", "UCUM", "square pixels"),
    "deg": ("deg", "UCUM", "degree"),
}
_WHAT: dict[str, Code] = {
    "length": ("410668003", "SCT", "Length"),
    "ellipse": ("42798000", "SCT", "Area"),
    "angle": ("1483009", "SCT", "Angle"),
    "bidirectional": LONG_AXIS,
}
_SHORT_AXIS: Code = ("103340004", "SCT", "Short Axis")
_ATTENUATION: Code = ("112031", "DCM", "Attenuation Coefficient")
_HU: Code = ("[hnsf'U]", "UCUM", "Hounsfield unit")
_DERIVATION: Code = ("121401", "DCM", "Derivation")
_MEAN: Code = ("373098007", "SCT", "Mean")
_SPREAD: Code = ("386136009", "SCT", "Standard Deviation")
_PATH: Code = ("121055", "DCM", "Path")


def measured_group(report: Dataset, k: int, measured: Measured, space: str) -> Dataset:
    """A group with the figures of one measurement and, in the frame of reference `space`, where each was taken."""
    return group(
        report,
        f"measured by the reader {k}",
        f"measured {k}",
        *_figures(measured, space),
        text(COMMENT, f"{measured.tool.capitalize()} drawn by the reader"),
    )


def _figures(measured: Measured, space: str) -> list[Dataset]:
    if measured.tool == "arrow":
        return []
    unit, points = _UNITS[measured.unit], measured.points
    if measured.tool == "bidirectional" and measured.short is not None:
        long, short = sorted((points[:2], points[2:4]), key=_length, reverse=True)
        return [
            _placed(number(_WHAT["bidirectional"], measured.value, unit), "POLYLINE", long, space),
            _placed(number(_SHORT_AXIS, measured.short, unit), "POLYLINE", short, space),
        ]
    if measured.tool == "ellipse":
        major, minor = sorted((points[:2], points[2:4]), key=_length, reverse=True)  # PS3.3 C.18.9.1.2: the major first
        area = _placed(number(_WHAT["ellipse"], measured.value, unit), "ELLIPSE", (*major, *minor), space)
        return [area, *_attenuation(measured)]
    return [_placed(number(_WHAT[measured.tool], measured.value, unit), "POLYLINE", points, space)]


def _attenuation(measured: Measured) -> list[Dataset]:
    """Mean and standard deviation inside an area, where the values are Hounsfield units."""
    found = ((_MEAN, measured.mean_hu), (_SPREAD, measured.sd_hu))
    made = []
    for how, value in found:
        if value is not None:
            one = number(_ATTENUATION, value, _HU)
            derived = item("CODE", _DERIVATION, "HAS CONCEPT MOD")
            derived.ConceptCodeSequence = Sequence([concept(how)])
            one.ContentSequence = Sequence([derived])
            made.append(one)
    return made


def _placed(figure: Dataset, kind: str, points: Points[tuple[float, float, float]], space: str) -> Dataset:
    if space:
        place = item("SCOORD3D", _PATH, "INFERRED FROM")
        place.GraphicType, place.ReferencedFrameOfReferenceUID = kind, space
        place.GraphicData = [coordinate for point in points for coordinate in point]
        figure.ContentSequence = Sequence([place])
    return figure


def _length(axis: Points[tuple[float, float, float]]) -> float:
    return math.dist(*axis) if len(axis) == 2 else 0.0
