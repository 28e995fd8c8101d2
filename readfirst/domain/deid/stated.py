"""What a header says of the patient: read alike when a file arrives and when it is cleaned."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydicom.dataset import Dataset

from readfirst.domain.deid.dicom import tags
from readfirst.domain.deid.dicom.charsets import decoded
from readfirst.domain.intake.person import Person, Stated, person_of, persons
from readfirst.domain.pseudonyms import Pseudonyms

_FIELDS = {
    tags.PatientName: "name",
    tags.PatientID: "patient_id",
    tags.IssuerOfPatientID: "issuer",
    tags.PatientBirthDate: "birth_date",
    tags.PatientSex: "sex",
}


def stated_by(values: Mapping[int, str]) -> Stated:
    """What a header's values (by tag) say of the patient."""
    return Stated(**{field: values.get(tag, "") for tag, field in _FIELDS.items()})


def stated_person(header: Dataset) -> Stated:
    """What the header of a file says of the patient, as `read_header` gave it."""
    terms = tuple(_text(header, tags.SpecificCharacterSet, ()).split("\\"))
    return stated_by({tag: _text(header, tag, terms) for tag in _FIELDS})


def study_of(header: Dataset) -> str:
    """The Study Instance UID."""
    return _text(header, tags.StudyInstanceUID, ())


def _text(header: Dataset, tag: int, terms: tuple[str, ...]) -> str:
    element = header.get_item(tag)
    value: Any = None if element is None else element.value
    if isinstance(value, bytes):
        return decoded(value, terms).strip(" \0")
    if isinstance(value, (list, tuple)) or type(value).__name__ == "MultiValue":
        return "\\".join(map(str, value))
    return "" if value is None else str(value).strip(" \0")


def person_among(own: Stated, said: frozenset[tuple[str, Stated]], names: Pseudonyms, study_uid: str) -> Person:
    """The person of a file, by what is known of the other files of its study (UID and statement).

    For who has nothing but the files' identifiers: where the study names several persons, each file is its own one's.
    """
    return person_of(_group(own, said, study_uid), {}, names, study_uid)


@lru_cache(maxsize=256)
def _group(own: Stated, said: frozenset[tuple[str, Stated]], study_uid: str) -> tuple[Stated, ...]:
    counted = dict.fromkeys([own, *(stated for uid, stated in said if uid == study_uid)], 1)
    return next(group for group in persons(counted) if own in group)
