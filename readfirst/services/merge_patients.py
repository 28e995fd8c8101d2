"""Merges: patient tokens that a privacy officer found to be one person's.

Container `arrivals`, `merges/{clinic}/{token}.json`: which token the records of that one carry. No clean copy
changes: it keeps its own token and its own shift of dates, and the record says by how many days its dates have to
move to stand beside the other's. Merging a token into itself undoes a merge.
"""

from __future__ import annotations

import json

from readfirst.adapters import blobs, clients, secrets
from readfirst.adapters.studies.study_index import Worklist
from readfirst.domain import resource_names
from readfirst.domain.reading.study_record import StudyRecord
from readfirst.services import list_study

_LONGEST_CHAIN = 20


def merge(clinic: str, token: str, into: str) -> int:
    """Links every study of a patient's token to another's, or undoes that. Returns how many records changed."""
    before, target = patient_of(clinic, token), patient_of(clinic, into)
    name = _name(clinic, token)
    merges = clients.container(resource_names.UPLOADS, resource_names.ARRIVALS)
    if into == token:
        blobs.delete_now(merges, name)
    elif target != token:  # the other way round it stands already: a circle would have no end
        blobs.put(merges, name, json.dumps({"into": target}).encode(), "application/json")
    changed = 0
    for study in list(Worklist(clients.cosmos_container()).newest([clinic], {"patient": before})):
        changed += list_study.amend(str(study["id"]), linked)
    return changed


def patient_of(clinic: str, token: str) -> str:
    """The token that records of a patient's token carry."""
    merges = clients.container(resource_names.UPLOADS, resource_names.ARRIVALS)
    for _ in range(_LONGEST_CHAIN):
        found = blobs.read(merges, _name(clinic, token))
        if found is None:
            break
        token = str(json.loads(found)["into"])
    return token


def linked(record: StudyRecord) -> StudyRecord:
    """The record under the patient that it belongs to."""
    own = record.own_patient or record.patient
    patient = patient_of(record.clinic, own) if own else own
    shift = secrets.pseudonyms(record.clinic).shift_days
    return record.model_copy(
        update={
            "patient": patient,
            "own_patient": own if patient != own else "",
            "moved_days": shift(own) - shift(patient) if patient != own else 0,
        }
    )


def _name(clinic: str, token: str) -> str:
    return f"merges/{clinic}/{token}.json"
