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
from readfirst.domain.reading.study_record import VERIFIED, RecordPart, StudyRecord
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
    paths = _reports(record, review) if signed else {}
    judged = {key: verdict.verdict for key, verdict in review.verdicts.items()} if signed else {}

    def note(there: StudyRecord) -> StudyRecord:
        newer = _sources(there) != _sources(record) or _review_of(there)[0].version != review.version
        if newer or any(there.outputs.get(kind, "") > path for kind, path in paths.items()):
            return there  # a later event, or a newer result, came meanwhile: whoever follows that notes it
        return there.model_copy(update={**summary(review), "judged": judged, "outputs": {**there.outputs, **paths}})

    list_study.amend_blob(token, note)
    if record.goes_home and any(isinstance(event.what, Signed) for event in events):  # also one that was taken back
        clients.queue(resource_names.RETURNS).send_message(token)
    list_study.index(record.clinic, token)  # last: the way home does not wait for the index


def _review_of(record: StudyRecord) -> tuple[Review, list[Event]]:
    events = reviews.events(clients.container(resource_names.STUDIES, resource_names.REVIEWS), record.id)
    return fold(events, reviews.run_key(record)), events


def _sources(record: StudyRecord) -> dict[str, str]:
    """The models' reports, by how the record calls them."""
    names = [part.outputs["sr"] for part in record.parts if "sr" in part.outputs]
    return {name: record.outputs[name] for name in names}


def _reports(record: StudyRecord, review: Review) -> dict[str, str]:
    """The blobs of the VERIFIED reports, one for each model that has a report, written unless the record names them."""
    paths = {}
    for part in record.parts:
        if "sr" not in part.outputs:
            continue
        source, name = record.outputs[part.outputs["sr"]], part.output(VERIFIED)
        paths[name] = f"{source.removesuffix('.dcm')}-verified-{review.version:06d}.dcm"
        if record.outputs.get(name) != paths[name]:
            before = record.outputs.get(name, source)
            _write(record, _of_part(review, part, first=len(paths) == 1), (source, before, paths[name]))
    return paths


def _of_part(review: Review, part: RecordPart, *, first: bool) -> Review:
    """What the review says of one model's findings, by its own names of them. What the reader added or measured is in
    the first report only: each is told once."""
    verdicts = {own: review.verdicts[name] for own, name in part.findings.items() if name in review.verdicts}
    own = review.model_copy(update={"verdicts": verdicts})
    return own if first else own.model_copy(update={"missed": (), "measurements": ()})


def _write(record: StudyRecord, review: Review, of: tuple[str, str, str]) -> None:
    """Writes the last of three blobs: the AI's report, the one that is followed, the new one.

    The date of the signature moves as the study's dates did: on its way home it becomes true again.
    """
    analysis = clients.container(resource_names.STUDIES, resource_names.ANALYSIS)
    shift = secrets.pseudonyms(record.clinic).shift_days(record.own_patient or record.patient)
    source, before, path = of
    made = verified(
        _open(analysis, source),
        review,
        predecessor=_open(analysis, before),
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
