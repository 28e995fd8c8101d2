"""Content items of a structured report, in plain pydicom (PS3.3 C.17.3)."""

from __future__ import annotations

import hashlib

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

Code = tuple[str, str, str]  # value, coding scheme, meaning
GROUP: Code = ("125007", "DCM", "Measurement Group")
TRACKING: Code = ("112039", "DCM", "Tracking Identifier")
COMMENT: Code = ("121106", "DCM", "Comment")
LONG_AXIS: Code = ("103339001", "SCT", "Long Axis")
MILLIMETER: Code = ("mm", "UCUM", "millimeter")


def item(kind: str, name: Code, relation: str = "CONTAINS") -> Dataset:
    """An item of that value type without a value."""
    made = Dataset()
    made.RelationshipType, made.ValueType = relation, kind
    made.ConceptNameCodeSequence = Sequence([concept(name)])
    return made


def text(name: Code, words: str, relation: str = "CONTAINS") -> Dataset:
    """A TEXT item."""
    made = item("TEXT", name, relation)
    made.TextValue = words
    return made


def coded(name: Code, value: Code) -> Dataset:
    """A CODE item."""
    made = item("CODE", name)
    made.ConceptCodeSequence = Sequence([concept(value)])
    return made


def number(name: Code, value: float, unit: Code) -> Dataset:
    """A NUM item."""
    made, measured = item("NUM", name), Dataset()
    measured.NumericValue = f"{value:.10g}"
    measured.MeasurementUnitsCodeSequence = Sequence([concept(unit)])
    made.MeasuredValueSequence = Sequence([measured])
    return made


def group(report: Dataset, name: str, uid: str, *children: Dataset) -> Dataset:
    """A measurement group of TID 1501, tracked under that name."""
    made = item("CONTAINER", GROUP)
    made.ContinuityOfContent = "SEPARATE"
    template = Dataset()
    template.MappingResource, template.TemplateIdentifier = "DCMR", "1501"
    made.ContentTemplateSequence = Sequence([template])
    tracked = item("UIDREF", ("112040", "DCM", "Tracking Unique Identifier"), "HAS OBS CONTEXT")
    tracked.UID = uid_of(report, uid)
    made.ContentSequence = Sequence([text(TRACKING, name, "HAS OBS CONTEXT"), tracked, *children])
    return made


def concept(code: Code) -> Dataset:
    """A code as the only item of its sequence."""
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = code
    return made


def uid_of(report: Dataset, what: str) -> str:
    """A UID that is always the same for the same part of the same report."""
    digest = hashlib.sha256(f"{report.SOPInstanceUID}|{what}".encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"
