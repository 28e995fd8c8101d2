"""The signed review as a DICOM report: a VERIFIED successor of the AI's structured report (PS3.3 C.17.2, TID 1500).

What the reader rejected is absent in it, what they corrected is corrected, what the AI missed is added. It names the
report that it follows, who signed and when; the AI's own report stays as it was.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator
from datetime import datetime

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from readfirst.domain.reading.content_dates import date_content, in_zone_of
from readfirst.domain.reading.person_name import person_name
from readfirst.domain.reading.reviews import FindingAssessment, Missed, Review

_GROUP, _MEASUREMENTS, _TRACKING = "125007", "126010", "112039"
_COMMENT = ("121106", "DCM", "Comment")
_FINDING = ("121071", "DCM", "Finding")
_PRESENCE = ("705057003", "SCT", "Presence")
_PRESENT, _ABSENT = ("52101004", "SCT", "Present"), ("2667000", "SCT", "Absent")
_LONG_AXIS = ("103339001", "SCT", "Long Axis")
_ABNORMAL = ("49755003", "SCT", "Morphologically Abnormal Structure")
_MILLIMETER = ("mm", "UCUM", "millimeter")


def verified(report: Dataset, review: Review, *, predecessor: Dataset, at: datetime, reader: str) -> Dataset:
    """The successor of `predecessor` with the content of the AI's `report` as the review left it.

    `at` is when it was signed, shifted as all dates of the study are; `reader` a name for the signature.
    """
    made = copy.deepcopy(report)
    at = in_zone_of(report, at)
    (body,) = (c for c in made.ContentSequence if _code(c) == _MEASUREMENTS)
    for group in body.ContentSequence:
        if _code(group) == _GROUP and (verdict := review.verdicts.get(_key(group))):
            _judge(group, verdict)
    body.ContentSequence.extend(_added(missed, made, k) for k, missed in enumerate(review.missed, start=1))
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = _uid(report, f"verified {review.version}")
    made.InstanceNumber = str(1 + review.version)
    date_content(made, at)
    made.SpecificCharacterSet = "ISO_IR 192"  # the reader writes as they like
    made.VerificationFlag, made.CompletionFlag = "VERIFIED", "COMPLETE"
    made.VerifyingObserverSequence = Sequence([_signature(at, reader)])
    made.PredecessorDocumentsSequence = Sequence([_reference(predecessor)])
    return made


def _judge(group: Dataset, verdict: FindingAssessment) -> None:
    """Writes what the reader said of a finding into its group of measurements."""
    if verdict.verdict == "reject":
        group.ContentSequence = Sequence([c for c in group.ContentSequence if c.ValueType != "NUM"])
        for item in _items(group, _PRESENCE):
            item.ConceptCodeSequence = Sequence([_concept(_ABSENT)])
    elif verdict.diameter_mm is not None:
        for item in _items(group, _LONG_AXIS):
            item.MeasuredValueSequence[0].NumericValue = f"{verdict.diameter_mm:g}"
    words = {"accept": "Accepted", "reject": "Rejected", "correct": "Corrected"}[verdict.verdict]
    where = f"; {verdict.site}" if verdict.site else ""
    said = f": {verdict.comment}" if verdict.comment else ""
    group.ContentSequence.append(_text(_COMMENT, f"{words} by the reader{where}{said}"))


def _added(missed: Missed, report: Dataset, number: int) -> Dataset:
    """A finding that the AI did not make, in the reader's words."""
    group = _item("CONTAINER", (_GROUP, "DCM", "Measurement Group"))
    group.ContinuityOfContent = "SEPARATE"
    template = Dataset()
    template.MappingResource, template.TemplateIdentifier = "DCMR", "1501"
    group.ContentTemplateSequence = Sequence([template])
    uid = _item("UIDREF", ("112040", "DCM", "Tracking Unique Identifier"), "HAS OBS CONTEXT")
    uid.UID = _uid(report, f"added {number}")
    where = f"; {missed.site}" if missed.site else ""
    said = f": {missed.comment}" if missed.comment else ""
    children = [
        _text((_TRACKING, "DCM", "Tracking Identifier"), f"added by the reader {number}", "HAS OBS CONTEXT"),
        uid,
        _coded(_FINDING, _ABNORMAL),
        *([_long_axis(missed.diameter_mm)] if missed.diameter_mm else []),
        _coded(_PRESENCE, _PRESENT),
        _text(_COMMENT, f"{missed.what}{where}; slice {missed.slice + 1}{said}"),
    ]
    group.ContentSequence = Sequence(children)
    return group


def _long_axis(millimetres: float) -> Dataset:
    item, value = _item("NUM", _LONG_AXIS), Dataset()
    value.NumericValue = f"{millimetres:g}"
    value.MeasurementUnitsCodeSequence = Sequence([_concept(_MILLIMETER)])
    item.MeasuredValueSequence = Sequence([value])
    return item


def _signature(at: datetime, reader: str) -> Dataset:
    item = Dataset()
    item.VerifyingOrganization = "Readfirst: review of the AI result, no radiology report"
    item.VerificationDateTime = at.strftime("%Y%m%d%H%M%S")
    item.VerifyingObserverName = person_name(reader)
    item.VerifyingObserverIdentificationCodeSequence = Sequence()
    return item


def _reference(report: Dataset) -> Dataset:
    study, series, instance = Dataset(), Dataset(), Dataset()
    instance.ReferencedSOPClassUID, instance.ReferencedSOPInstanceUID = report.SOPClassUID, report.SOPInstanceUID
    series.SeriesInstanceUID, series.ReferencedSOPSequence = report.SeriesInstanceUID, Sequence([instance])
    study.StudyInstanceUID, study.ReferencedSeriesSequence = report.StudyInstanceUID, Sequence([series])
    return study


def _key(group: Dataset) -> str:
    """The finding's key: the last word of its tracking identifier."""
    tracked = next((c.TextValue for c in group.ContentSequence if _code(c) == _TRACKING), "")
    return str(tracked).rpartition(" ")[2]


def _items(group: Dataset, concept: tuple[str, str, str]) -> Iterator[Dataset]:
    yield from (c for c in group.ContentSequence if _code(c) == concept[0])


def _code(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeValue) if item.get("ConceptNameCodeSequence") else ""


def _item(kind: str, concept: tuple[str, str, str], relation: str = "CONTAINS") -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = relation, kind
    item.ConceptNameCodeSequence = Sequence([_concept(concept)])
    return item


def _text(concept: tuple[str, str, str], text: str, relation: str = "CONTAINS") -> Dataset:
    item = _item("TEXT", concept, relation)
    item.TextValue = text
    return item


def _coded(concept: tuple[str, str, str], value: tuple[str, str, str]) -> Dataset:
    item = _item("CODE", concept)
    item.ConceptCodeSequence = Sequence([_concept(value)])
    return item


def _concept(code: tuple[str, str, str]) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code
    return item


def _uid(report: Dataset, what: str) -> str:
    digest = hashlib.sha256(f"{report.SOPInstanceUID}|{what}".encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"
