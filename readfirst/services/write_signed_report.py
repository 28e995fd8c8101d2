"""Writes the VERIFIED successor of a study's AI report once its review is signed. App `intake` owns the results."""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pydicom

from readfirst.adapters import blobs, clients, secrets
from readfirst.adapters.studies import reviews
from readfirst.domain import resource_names
from readfirst.domain.reading.reviews import Review, fold
from readfirst.domain.reading.signed_report import verified
from readfirst.domain.reading.study_record import VERIFIED, StudyRecord
from readfirst.services import list_study

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient


def follow_review(token: str, clinic: str = "") -> None:
    """Does what follows from a study's review, all of it, however often it is asked: index, report, its way home.

    `clinic` finds a study that is listed and has no record yet.
    """
    if write_verified(token) is not None:
        return
    if (record := list_study.read(token)) is not None:
        list_study.index(record.clinic, token)
    elif clinic:
        list_study.index_review(clinic, token)


def write_verified(token: str) -> str | None:
    """Writes it, notes it in the record, and asks for its return, each of them again where it was done before.

    Returns its blob; None where there is no report, or nothing is signed. A record that names the report proves
    nothing of what came after: an earlier try may have ended there, and each step gives the same when it is repeated.
    """
    record = list_study.read(token)
    if record is None or "sr" not in record.outputs:
        return None
    events = reviews.events(clients.container(resource_names.STUDIES, resource_names.REVIEWS), token)
    review = fold(events, reviews.run_key(record))
    if review.state != "signed" or review.superseded:
        return None
    path = f"{record.outputs['sr'].removesuffix('.dcm')}-verified-{review.version:06d}.dcm"
    if record.outputs.get(VERIFIED) != path:
        _write(record, review, path)

    def note(there: StudyRecord) -> StudyRecord:
        if there.outputs.get("sr") != record.outputs["sr"] or there.outputs.get(VERIFIED, "") > path:
            return there  # a later signature, or a newer result, was noted meanwhile: their names are in order
        return there.model_copy(update={"outputs": {**there.outputs, VERIFIED: path}})

    list_study.amend_blob(token, note)
    clients.queue(resource_names.RETURNS).send_message(token)
    list_study.index(record.clinic, token)  # last: the way home does not wait for the index
    return path


def _write(record: StudyRecord, review: Review, path: str) -> None:
    """The date of the signature moves as the study's dates did: on its way home it becomes true again."""
    analysis = clients.container(resource_names.STUDIES, resource_names.ANALYSIS)
    shift = secrets.pseudonyms(record.clinic).shift_days(record.own_patient or record.patient)
    made = verified(
        _open(analysis, record.outputs["sr"]),
        review,
        predecessor=_open(analysis, record.outputs.get(VERIFIED, record.outputs["sr"])),
        at=datetime.fromisoformat(review.signed) - timedelta(days=shift),
        reader=review.reader_name,
    )
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    blobs.put(analysis, path, file.getvalue(), "application/dicom")


def _open(container: ContainerClient, name: str) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(blobs.read(container, name) or b""))
