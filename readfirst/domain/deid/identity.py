"""The identity record: everything the vault must hold to bring a result back to the original patient and study."""

from __future__ import annotations

from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict


class Identity(BaseModel):
    """A frozen piece of the identity record."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, extra="forbid")


class PatientIdentity(Identity):
    """A patient as the originals name them. Values are Unicode, component groups of names joined by "="."""

    patient_id: str = ""
    issuer: str = ""
    name: str = ""
    birth_date: str = ""
    sex: str = ""
    shift_days: int = 0  # the clean dates lie this many days before the original ones


class StudyIdentity(Identity):
    """What a returned object must carry of the original study."""

    study_uid: str = ""
    accession_number: str = ""
    issuer_of_accession: str = ""
    study_id: str = ""
    study_date: str = ""
    study_time: str = ""
    description: str = ""
    referring_physician: str = ""


class IdentityRecord(Identity):
    """The identities of one study. Merge the records of its files: one sealed record per batch.

    UID maps go from the clean UID to the original one.
    """

    schema_version: Literal[1] = 1
    clinic: str
    token: str  # the study's
    handle: str
    clean_study_uid: str
    study: StudyIdentity
    patients: dict[str, PatientIdentity]  # by patient token: one (intake/person.py); older records may have several
    series: dict[str, str] = {}
    instances: dict[str, str] = {}
    frames_of_reference: dict[str, str] = {}
    other_uids: dict[str, str] = {}  # of objects and concepts that the files refer to

    def merge(self, other: IdentityRecord) -> IdentityRecord:
        """Both records in one. Raises ValueError for records of two studies."""
        if (self.clinic, self.token) != (other.clinic, other.token):
            raise ValueError("identity records of two studies cannot be merged")
        return self.model_copy(
            update={
                "patients": other.patients
                | {token: _fuller(own, other.patients.get(token, own)) for token, own in self.patients.items()},
                "study": _fuller(self.study, other.study),
                "series": other.series | self.series,
                "instances": other.instances | self.instances,
                "frames_of_reference": other.frames_of_reference | self.frames_of_reference,
                "other_uids": other.other_uids | self.other_uids,
            }
        )

    def original(self, clean_uid: str) -> str | None:
        """The original of a clean UID; None if the record does not hold it."""
        if clean_uid == self.clean_study_uid:
            return self.study.study_uid
        for uids in (self.series, self.instances, self.frames_of_reference, self.other_uids):
            if clean_uid in uids:
                return uids[clean_uid]
        return None


_Piece = TypeVar("_Piece", PatientIdentity, StudyIdentity)


def _fuller(first: _Piece, second: _Piece) -> _Piece:
    """The first, with what only the second says."""
    return first.model_copy(update={k: v or getattr(second, k) for k, v in first.model_dump().items()})
