"""What the rules need to know of a file's own subject and of what it says of itself."""

from __future__ import annotations

from dataclasses import dataclass

from readfirst.domain.deid.dicom import tags
from readfirst.domain.deid.dicom.charsets import decoded
from readfirst.domain.deid.dicom.elements import (
    Element,
    File,
    text_of,
)


@dataclass(frozen=True)
class Subject:
    """What the original says about patient and study, as Unicode."""

    values: dict[int, str]

    def __getitem__(self, tag: int) -> str:
        return self.values.get(tag, "")


_SUBJECT_TAGS = frozenset(
    (
        tags.ImageType,
        tags.SOPClassUID,
        tags.StudyDate,
        tags.StudyTime,
        tags.AccessionNumber,
        tags.Modality,
        tags.ConversionType,
        tags.ReferringPhysicianName,
        tags.StudyDescription,
        tags.SeriesDescription,
        tags.PatientName,
        tags.PatientID,
        tags.IssuerOfPatientID,
        tags.PatientBirthDate,
        tags.PatientSex,
        tags.PatientAge,
        tags.BodyPartExamined,
        tags.ProtocolName,
        tags.StudyInstanceUID,
        tags.StudyID,
        tags.BurnedInAnnotation,
    )
)


def subject_of(file: File) -> Subject:
    charsets = charsets_of(file.elements)
    return Subject(
        {
            e.tag: decoded(e.value, charsets).strip(" \0")
            for e in file.elements
            if e.tag in _SUBJECT_TAGS and isinstance(e.value, bytes)
        }
    )


def charsets_of(elements: list[Element]) -> tuple[str, ...]:
    return tuple(next((text_of(e) for e in elements if e.tag == tags.SpecificCharacterSet), "").split("\\"))
