"""Writes the VERIFIED successor of a study's AI report once its review is signed. App `intake` owns the results."""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pydicom

from readfirst.adapters import blobs, clients, index, reviews, secrets
from readfirst.domain import names
from readfirst.domain.records import VERIFIED, StudyRecord
from readfirst.domain.reviews import fold
from readfirst.domain.verifying import verified

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient


def write_verified(token: str) -> str | None:
    """Writes it and notes it in the record. Returns its blob; None where there is no report, or nothing is signed.

    The date of the signature moves as the study's dates did: on its way home it becomes true again.
    """
    record = index.read(token)
    if record is None or "sr" not in record.outputs:
        return None
    events = reviews.events(clients.container(names.STUDIES, names.REVIEWS), token)
    review = fold(events, reviews.run_key(record))
    if review.state != "signed" or review.superseded:
        return None
    analysis = clients.container(names.STUDIES, names.ANALYSIS)
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

    index.amend(token, note)
    clients.queue(names.RETURNS).send_message(token)
    return path


def _open(container: ContainerClient, name: str) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(blobs.read(container, name) or b""))
