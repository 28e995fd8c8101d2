"""What follows from a study's review: its place in record and index, the VERIFIED successor of the AI's report, and
the way home of both. App `intake` owns the results."""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pydicom

from readfirst.adapters import blobs, clients, secrets
from readfirst.adapters.studies import reviews
from readfirst.domain import blob_paths, resource_names
from readfirst.domain.reading.reviews import Event, Review, Signed, fold, summary
from readfirst.domain.reading.signed_report import verified
from readfirst.domain.reading.study_record import VERIFIED, StudyRecord
from readfirst.services import list_study

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient


def follow_review(token: str, clinic: str = "") -> None:
    """Does what follows from a study's review, all of it, however often it is asked: record, report, way home, index.

    `clinic` finds a study that is listed and has no record yet. What the record says already proves nothing of what
    came after: an earlier try may have ended there, and each step gives the same when it is repeated.
    """
    record = list_study.read(token)
    if record is None:
        if clinic:
            list_study.index_review(clinic, token)
        return
    review, events = _review_of(record)
    signed = review.state == "signed" and not review.superseded
    path = _report(record, review) if signed and "sr" in record.outputs else ""
    judged = {key: verdict.verdict for key, verdict in review.verdicts.items()} if signed else {}

    def note(there: StudyRecord) -> StudyRecord:
        newer = there.outputs.get("sr") != record.outputs.get("sr") or _review_of(there)[0].version != review.version
        if newer or (path and there.outputs.get(VERIFIED, "") > path):
            return there  # a later event, or a newer result, came meanwhile: whoever follows that notes it
        outputs = {**there.outputs, VERIFIED: path} if path else there.outputs
        return there.model_copy(update={**summary(review), "judged": judged, "outputs": outputs})

    list_study.amend_blob(token, note)
    if record.goes_home and any(isinstance(event.what, Signed) for event in events):  # also one that was taken back
        clients.queue(resource_names.RETURNS).send_message(token)
    list_study.index(record.clinic, token)  # last: the way home does not wait for the index


def _review_of(record: StudyRecord) -> tuple[Review, list[Event]]:
    events = reviews.events(clients.container(resource_names.STUDIES, resource_names.REVIEWS), record.id)
    return fold(events, reviews.run_key(record)), events


def _report(record: StudyRecord, review: Review) -> str:
    """The blob of the VERIFIED report, written unless the record names it."""
    path = f"{record.outputs['sr'].removesuffix('.dcm')}-verified-{review.version:06d}.dcm"
    if record.outputs.get(VERIFIED) != path:
        _write(record, review, path)
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
        spaces=_spaces(record, review),
    )
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    blobs.put(analysis, path, file.getvalue(), "application/dicom")


def _spaces(record: StudyRecord, review: Review) -> dict[str, str]:
    """The frames of reference of the clean images that were measured, where they say one."""
    clean = clients.container(resource_names.STUDIES, resource_names.CLEAN)
    found = {}
    for series_uid, sop_uid in {(m.series_uid, m.sop_uid) for m in review.measurements}:
        data = blobs.read(clean, blob_paths.instance_path(record.id, series_uid, sop_uid))
        if data is not None:
            header = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True, specific_tags=["FrameOfReferenceUID"])
            found[sop_uid] = str(header.get("FrameOfReferenceUID") or "")
    return found


def _open(container: ContainerClient, name: str) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(blobs.read(container, name) or b""))
