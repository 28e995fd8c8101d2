"""Studies, series and instances as DICOM JSON, with the attributes that PS3.18 10.6 asks."""

from __future__ import annotations

from collections.abc import Iterable

from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset

from readfirst.domain.dicomweb.jsonmodel import Json, json_model
from readfirst.domain.pseudonyms import patient_name
from readfirst.domain.reading.study_record import StudyRecord

SERIES_ATTRIBUTES = (
    "SpecificCharacterSet", "Modality", "TimezoneOffsetFromUTC", "SeriesDescription", "SeriesInstanceUID",
    "SeriesNumber", "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime", "BodyPartExamined",
    "StudyInstanceUID",
)  # fmt: skip
INSTANCE_ATTRIBUTES = (
    "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "InstanceNumber", "Rows", "Columns", "BitsAllocated",
    "NumberOfFrames", "StudyInstanceUID", "SeriesInstanceUID",
)  # fmt: skip


def keyword(name: str) -> str | None:
    """The keyword of an attribute that a query names by keyword or by tag (8 hex digits); None for other words."""
    if len(name) == 8 and all(c in "0123456789abcdefABCDEF" for c in name):
        return keyword_for_tag(int(name, 16)) or None
    return name if tag_for_keyword(name) is not None else None


def study(record: StudyRecord) -> Json:
    """A study of the index. Nothing here names a person: name and ID of the patient are what the clean objects hold,
    a pseudonym and a token; the accession is the handle."""
    ds = Dataset()
    ds.StudyDate = ds.StudyTime = ""
    ds.AccessionNumber = ds.StudyID = record.handle
    ds.ModalitiesInStudy = sorted({s.modality for s in record.series} or {record.modality})
    ds.ReferringPhysicianName = ""
    ds.PatientName = patient_name(record.patient) if record.patient else ""
    ds.PatientID, ds.PatientBirthDate, ds.PatientSex = record.patient, "", ""
    ds.StudyInstanceUID = record.study_uid
    ds.StudyDescription = f"{record.modality} {record.body_part}".strip()
    ds.NumberOfStudyRelatedSeries = len(record.series)
    ds.NumberOfStudyRelatedInstances = record.instances
    return json_model(ds)


def series(header: Dataset, instances: int) -> Json:
    """A series, from the header of one of its instances and their number."""
    return {**json_model(header, _tags(SERIES_ATTRIBUTES)), "00201209": {"vr": "IS", "Value": [instances]}}


def instance(header: Dataset) -> Json:
    """An instance."""
    return json_model(header, _tags(INSTANCE_ATTRIBUTES))


def metadata(header: Dataset, study_address: str) -> Json:
    """Everything but the pixels, which are named by their address."""
    found = json_model(header)
    address = f"{study_address}/series/{header.SeriesInstanceUID}/instances/{header.SOPInstanceUID}/frames"
    if header.get("Rows"):
        found["7FE00010"] = {"vr": _vr_of_pixels(header), "BulkDataURI": address}
    return found


def _vr_of_pixels(header: Dataset) -> str:
    """What a reader of the frames' address gets: bytes, or words (PS3.5 8.2 and A.2)."""
    return "OW" if int(header.get("BitsAllocated") or 0) > 8 else "OB"


def _tags(keywords: Iterable[str]) -> list[int]:
    return [tag for name in keywords if (tag := tag_for_keyword(name)) is not None]
