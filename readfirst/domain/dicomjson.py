"""The DICOM JSON model (PS3.18 Annex F) of studies, series and instances, with the attributes that PS3.18 10.6 asks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset

from readfirst.domain.records import StudyRecord

_SERIES = (
    "SpecificCharacterSet", "Modality", "TimezoneOffsetFromUTC", "SeriesDescription", "SeriesInstanceUID",
    "SeriesNumber", "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime", "BodyPartExamined",
    "StudyInstanceUID",
)  # fmt: skip
_INSTANCE = (
    "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "InstanceNumber", "Rows", "Columns", "BitsAllocated",
    "NumberOfFrames", "StudyInstanceUID", "SeriesInstanceUID",
)  # fmt: skip

Json = dict[str, Any]


def keyword(name: str) -> str | None:
    """The keyword of an attribute that a query names by keyword or by tag (8 hex digits); None for other words."""
    if len(name) == 8 and all(c in "0123456789abcdefABCDEF" for c in name):
        return keyword_for_tag(int(name, 16)) or None
    return name if tag_for_keyword(name) is not None else None


def study(record: StudyRecord) -> Json:
    """A study of the index. Nothing here names a person: the patient's ID is a token, the accession the handle."""
    ds = Dataset()
    ds.StudyDate = ds.StudyTime = ""
    ds.AccessionNumber = ds.StudyID = record.handle
    ds.ModalitiesInStudy = sorted({s.modality for s in record.series} or {record.modality})
    ds.ReferringPhysicianName = ds.PatientName = ""
    ds.PatientID, ds.PatientBirthDate, ds.PatientSex = record.patient, "", ""
    ds.StudyInstanceUID = record.study_uid
    ds.StudyDescription = f"{record.modality} {record.body_part}".strip()
    ds.NumberOfStudyRelatedSeries = len(record.series)
    ds.NumberOfStudyRelatedInstances = record.instances
    return dict(ds.to_json_dict())


def series(header: Dataset, instances: int) -> Json:
    """A series, from the header of one of its instances and their number."""
    ds = _only(header, _SERIES)
    ds.NumberOfSeriesRelatedInstances = instances
    return dict(ds.to_json_dict())


def instance(header: Dataset) -> Json:
    """An instance."""
    return dict(_only(header, _INSTANCE).to_json_dict())


def metadata(header: Dataset, study_address: str) -> Json:
    """Everything but the pixels, which are named by their address."""
    found = dict(header.to_json_dict(suppress_invalid_tags=True))
    address = f"{study_address}/series/{header.SeriesInstanceUID}/instances/{header.SOPInstanceUID}/frames"
    if header.get("Rows"):
        found["7FE00010"] = {"vr": "OW", "BulkDataURI": address}
    return found


def _only(header: Dataset, keywords: Iterable[str]) -> Dataset:
    ds = Dataset()
    for name in keywords:
        if name in header:
            ds[name] = header[name]
    return ds
