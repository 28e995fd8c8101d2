"""The signed review as a DICOM report: a VERIFIED successor of the AI's structured report (PS3.3 C.17.2, TID 1500).

What the reader rejected is absent in it, what they corrected is corrected, what the AI missed is added. It names the
report that it follows, who signed and when; the AI's own report stays as it was.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from datetime import datetime
from types import MappingProxyType

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from readfirst.domain.reading import sr_items
from readfirst.domain.reading.content_dates import date_content, in_zone_of
from readfirst.domain.reading.measured_items import measured_group
from readfirst.domain.reading.person_name import person_name
from readfirst.domain.reading.reviews import FindingAssessment, Missed, Review
from readfirst.domain.reading.sr_items import (
    COMMENT,
    GROUP,
    LONG_AXIS,
    MILLIMETER,
    TRACKING,
    Code,
    coded,
    concept,
    group,
    text,
    uid_of,
)

_MEASUREMENTS = "126010"
_FINDING: Code = ("121071", "DCM", "Finding")
_PRESENCE: Code = ("705057003", "SCT", "Presence")
_PRESENT: Code = ("52101004", "SCT", "Present")
_ABSENT: Code = ("2667000", "SCT", "Absent")
_ABNORMAL: Code = ("49755003", "SCT", "Morphologically Abnormal Structure")


def verified(
    report: Dataset,
    review: Review,
    *,
    predecessor: Dataset,
    at: datetime,
    reader: str,
    spaces: Mapping[str, str] = MappingProxyType({}),
) -> Dataset:
    """The successor of `predecessor` with the content of the AI's `report` as the review left it.

    `at` is when it was signed, shifted as all dates of the study are; `reader` a name for the signature; `spaces` the
    Frame of Reference UIDs of the images that were measured, by SOP Instance UID: without one, a measurement has its
    figures and no place.
    """
    made = copy.deepcopy(report)
    at = in_zone_of(report, at)
    (body,) = (c for c in made.ContentSequence if _code(c) == _MEASUREMENTS)
    for part in body.ContentSequence:
        if _code(part) == GROUP[0] and (verdict := review.verdicts.get(_key(part))):
            _judge(part, verdict)
    body.ContentSequence.extend(_added(missed, made, k) for k, missed in enumerate(review.missed, start=1))
    body.ContentSequence.extend(
        measured_group(made, k, measured, spaces.get(measured.sop_uid, ""))
        for k, measured in enumerate(review.measurements, start=1)
    )
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = uid_of(report, f"verified {review.version}")
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
            item.ConceptCodeSequence = Sequence([concept(_ABSENT)])
    elif verdict.diameter_mm is not None:
        for item in _items(group, LONG_AXIS):
            item.MeasuredValueSequence[0].NumericValue = f"{verdict.diameter_mm:g}"
    words = {"accept": "Accepted", "reject": "Rejected", "correct": "Corrected"}[verdict.verdict]
    where = f"; {verdict.site}" if verdict.site else ""
    said = f": {verdict.comment}" if verdict.comment else ""
    group.ContentSequence.append(text(COMMENT, f"{words} by the reader{where}{said}"))


def _added(missed: Missed, report: Dataset, number: int) -> Dataset:
    """A finding that the AI did not make, in the reader's words."""
    where = f"; {missed.site}" if missed.site else ""
    said = f": {missed.comment}" if missed.comment else ""
    return group(
        report,
        f"added by the reader {number}",
        f"added {number}",
        coded(_FINDING, _ABNORMAL),
        *([sr_items.number(LONG_AXIS, missed.diameter_mm, MILLIMETER)] if missed.diameter_mm else []),
        coded(_PRESENCE, _PRESENT),
        text(COMMENT, f"{missed.what}{where}; slice {missed.slice + 1}{said}"),
    )


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
    tracked = next((c.TextValue for c in group.ContentSequence if _code(c) == TRACKING[0]), "")
    return str(tracked).rpartition(" ")[2]


def _items(group: Dataset, concept: tuple[str, str, str]) -> Iterator[Dataset]:
    yield from (c for c in group.ContentSequence if _code(c) == concept[0])


def _code(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeValue) if item.get("ConceptNameCodeSequence") else ""
