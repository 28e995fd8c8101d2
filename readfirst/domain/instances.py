"""What the pipeline knows about one clean instance without opening it again."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict
from pydicom.dataset import Dataset


class InstanceFacts(BaseModel):
    """The facts of one clean instance that choose and order a series. No identifier, no free text.

    Lengths in mm, positions and directions in the patient's coordinate system (PS3.3 C.7.6.2.1.1, LPS).
    Absent or malformed attributes are None.
    """

    model_config = ConfigDict(frozen=True)

    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class: str
    transfer_syntax: str
    modality: str
    body_part: str = ""
    image_type: tuple[str, ...] = ()
    rows: int = 0
    columns: int = 0
    frames: int = 1
    position: tuple[float, float, float] | None = None
    orientation: tuple[float, float, float, float, float, float] | None = None
    pixel_spacing: tuple[float, float] | None = None
    slice_thickness: float | None = None
    gantry_tilt: float | None = None
    series_number: int | None = None
    acquisition_number: int | None = None
    patient_age: str = ""
    patient: str = ""  # the patient's token: PatientID of the clean copy
    path: str = ""  # blob name in container `clean`
    digest: str = ""  # sha256 of the clean file, hex


def facts_of(ds: Dataset, *, path: str = "", digest: str = "") -> InstanceFacts:
    """Reads the facts from a data set (a clean one: nothing here is removed)."""
    meta = getattr(ds, "file_meta", None)
    return InstanceFacts(
        study_uid=_text(ds, "StudyInstanceUID"),
        series_uid=_text(ds, "SeriesInstanceUID"),
        sop_uid=_text(ds, "SOPInstanceUID"),
        sop_class=_text(ds, "SOPClassUID"),
        transfer_syntax=str(getattr(meta, "TransferSyntaxUID", "") or ""),
        modality=_text(ds, "Modality"),
        body_part=_text(ds, "BodyPartExamined").upper(),
        image_type=tuple(str(v) for v in _values(ds, "ImageType")),
        rows=_integer(ds, "Rows") or 0,
        columns=_integer(ds, "Columns") or 0,
        frames=_integer(ds, "NumberOfFrames") or 1,
        position=_numbers(ds, "ImagePositionPatient", 3),
        orientation=_numbers(ds, "ImageOrientationPatient", 6),
        pixel_spacing=_numbers(ds, "PixelSpacing", 2),
        slice_thickness=(_numbers(ds, "SliceThickness", 1) or (None,))[0],
        gantry_tilt=(_numbers(ds, "GantryDetectorTilt", 1) or (None,))[0],
        series_number=_integer(ds, "SeriesNumber"),
        acquisition_number=_integer(ds, "AcquisitionNumber"),
        patient_age=_text(ds, "PatientAge"),
        patient=_text(ds, "PatientID"),
        path=path,
        digest=digest,
    )


def _text(ds: Dataset, keyword: str) -> str:
    value = ds.get(keyword)
    return "" if value is None else str(value).strip()


def _values(ds: Dataset, keyword: str) -> list[Any]:
    value = ds.get(keyword)
    if value is None or value == "":
        return []
    return [value] if isinstance(value, (str, int, float)) else list(value)


def _integer(ds: Dataset, keyword: str) -> int | None:
    try:
        return int(str(ds.get(keyword)))
    except (TypeError, ValueError):
        return None


def _numbers(ds: Dataset, keyword: str, count: int) -> Any:
    try:
        numbers = tuple(float(v) for v in _values(ds, keyword))
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count else None
