"""Results on their way home: what was made of the clean copies gets the original's identity back.

Only app `identity` can do this: it alone can open the vault.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydicom.dataset import Dataset

from readfirst.domain.deid import IdentityRecord, PatientIdentity
from readfirst.domain.deid.rules.dates import DUMMY_DATE, shift_date, shift_datetime
from readfirst.domain.deid.rules.whose_dates import moves

_GIVEN = {  # of StudyIdentity -> attribute of the returned object
    "study_uid": "StudyInstanceUID",
    "accession_number": "AccessionNumber",
    "study_id": "StudyID",
    "study_date": "StudyDate",
    "study_time": "StudyTime",
    "description": "StudyDescription",
    "referring_physician": "ReferringPhysicianName",
}


class NotOurs(Exception):
    """The object belongs to another study or to a patient that the identity record does not hold."""


def relink(ds: Dataset, identity: IdentityRecord) -> Dataset:
    """Gives a result (SEG, SR, SC, …) the patient, study and references of the originals, in place.

    UIDs that were made for the result itself stay. The patient's dates move forward by what they were moved back.
    Raises NotOurs for an object of another study.
    """
    if str(ds.get("StudyInstanceUID", "")) != identity.clean_study_uid:
        raise NotOurs("another study")
    patient = identity.patients.get(str(ds.get("PatientID", "")))
    if patient is None:
        raise NotOurs("another patient")
    for element in _elements(ds):
        element.value = _original(element, identity, patient)
    for field, keyword in _GIVEN.items():
        value = getattr(identity.study, field)
        if value or keyword in ds:
            setattr(ds, keyword, value)
    ds.PatientID, ds.PatientName = patient.patient_id, patient.name
    ds.PatientBirthDate, ds.PatientSex = patient.birth_date, patient.sex
    if patient.issuer:
        ds.IssuerOfPatientID = patient.issuer
    ds.PatientIdentityRemoved = "NO"
    for keyword in ("DeidentificationMethod", "DeidentificationMethodCodeSequence"):
        if keyword in ds:
            delattr(ds, keyword)
    ds.SpecificCharacterSet = "ISO_IR 192"
    return ds


def unlinked(ds: Dataset, identity: IdentityRecord, clean_uids: set[str]) -> set[str]:
    """The clean UIDs that still stand in a relinked object: empty when every reference found its original."""
    standing = {str(uid) for element in _elements(ds) if element.VR == "UI" for uid in _values(element.value)}
    return standing & (clean_uids | {identity.clean_study_uid})


def _elements(ds: Dataset) -> Iterator[Any]:
    for element in ds.iterall():
        if element.VR != "SQ" and element.value not in (None, ""):
            yield element


def _original(element: Any, identity: IdentityRecord, patient: PatientIdentity) -> Any:
    value = element.value
    if element.VR == "UI":
        return _each(value, lambda uid: identity.original(uid) or uid)
    if element.VR not in ("DA", "DT") or not moves(int(element.tag)):
        return value
    back = shift_date if element.VR == "DA" else shift_datetime
    shift = -patient.shift_days
    return _each(value, lambda date: date if date.startswith(DUMMY_DATE) else back(date, shift) or date)


def _each(value: Any, change: Any) -> Any:
    changed = [change(str(one)) for one in _values(value)]
    return changed if len(changed) > 1 else changed[0]


def _values(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) or type(value).__name__ == "MultiValue" else [value]
