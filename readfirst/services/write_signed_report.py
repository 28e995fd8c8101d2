"""Writes the VERIFIED successor of a study's AI report once its review is signed. App `intake` owns the results."""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pydicom

from readfirst.adapters import blobs, clients, secrets
from readfirst.adapters.studies import reviews
from readfirst.domain import resource_names
from readfirst.domain.reading.reviews import fold
from readfirst.domain.reading.signed_report import verified
from readfirst.domain.reading.study_record import VERIFIED, StudyRecord
from readfirst.services import list_study

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient


def write_verified(token: str) -> str | None:
    """Writes it and notes it in the record. Returns its blob; None where there is no report, or nothing is signed.

    The date of the signature moves as the study's dates did: on its way home it becomes true again.
    """
    record = list_study.read(token)
    if record is None or "sr" not in record.outputs:
        return None
    events = reviews.events(clients.container(resource_names.STUDIES, resource_names.REVIEWS), token)
    review = fold(events, reviews.run_key(record))
    if review.state != "signed" or review.superseded:
        return None
    analysis = clients.container(resource_names.STUDIES, resource_names.ANALYSIS)
    path = f"{record.outputs['sr'].removesuffix('.dcm')}-verified-{review.version:06d}.dcm"
    before = record.outputs.get(VERIFIED, record.outputs["sr"])
    if before == path:
        return path
    shift = secrets.pseudonyms(record.clinic).shift_days(record.own_patient or record.patient)
    made = verified(
        _open(analysis, record.outputs["sr"]),
        review,
        predecessor=_open(analysis, before),
        at=datetime.fromisoformat(review.signed) - timedelta(days=shift),
        reader=review.reader_name,
    )
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    blobs.put(analysis, path, file.getvalue(), "application/dicom")

    def note(there: StudyRecord) -> StudyRecord:
        return there.model_copy(update={"outputs": {**there.outputs, VERIFIED: path}})

    list_study.amend(token, note)
    clients.queue(resource_names.RETURNS).send_message(token)
    return path


def _open(container: ContainerClient, name: str) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(blobs.read(container, name) or b""))
