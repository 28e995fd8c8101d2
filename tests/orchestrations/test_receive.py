"""Receive: what a clinic uploads is taken into the ledger, skipped, or refused with a reason. Nothing is lost."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.data import get_testdata_file

from orchestrations.deidentify import _original
from readfirst.adapters import clients, secrets
from readfirst.adapters.uploads.ledger import ledger_of
from readfirst.domain import resource_names
from readfirst.domain.workflow_messages import Run
from readfirst.services.decide_quarantined import release
from readfirst.services.receive_upload import receive

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("settings")]
CLINIC = "lakeside"

Upload = Callable[[bytes, str], frozenset[Run]]


def upload(data: bytes, name: str, clinic: str = CLINIC) -> frozenset[Run]:
    """Uploads and receives as the trigger does; the runs are those that would be started."""
    inbox = clients.container(resource_names.UPLOADS, resource_names.inbox(clinic))
    blob = inbox.get_blob_client(name)
    blob.upload_blob(data)
    received = receive(clinic, blob)
    received.clear()
    assert not blob.exists(), "the inbox is cleared"
    return received.runs


def answers(clinic: str = CLINIC) -> list[dict[str, Any]]:
    results = clients.container(resource_names.UPLOADS, resource_names.results(clinic))
    return [
        json.loads(results.download_blob(n).readall()) for n in results.list_blob_names(name_starts_with="uploads/")
    ]


def answer_to(name: str) -> dict[str, Any]:
    return next(answer for answer in answers() if answer["upload"] == name)


def ct(study_uid: str = "", **values: str) -> bytes:
    """A real CT slice (pydicom's), of a study of its own; `values` by keyword replace its own."""
    path = get_testdata_file("CT_small.dcm")
    assert isinstance(path, str)
    dataset = pydicom.dcmread(path)
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.StudyInstanceUID = study_uid or pydicom.uid.generate_uid()
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def folder() -> str:
    return uuid.uuid4().hex


def only(runs: frozenset[Run]) -> Run:
    (run,) = runs
    return run


@pytest.mark.parametrize(
    "name", ["image.dcm", "IM000001", "image.jpg", "…/Ünïcode näme 1.dcm", "a/%2e%2e/;drop table.dcm"]
)
def test_a_dicom_file_is_taken_whatever_its_name(name: str) -> None:
    run = only(upload(ct(), f"{folder()}/{name}"))
    assert run.n == 1
    (note,) = ledger_of(run.token).notes()
    assert note.modality == "CT"


def test_a_dicom_file_without_preamble_is_taken() -> None:
    assert only(upload(ct()[132:], f"{folder()}/bare"))


def test_the_original_moves_out_of_the_clinics_reach_unchanged() -> None:
    data = ct()
    run = only(upload(data, f"{folder()}/a.dcm"))
    ledger = ledger_of(run.token)
    (arrival,) = ledger.arrivals(tuple(note.id for note in ledger.notes()))
    originals = clients.container(resource_names.UPLOADS, resource_names.ORIGINALS)
    assert originals.download_blob(arrival.original).readall() == data


def test_an_empty_blob_in_the_originals_place_is_no_original() -> None:
    """A copy that failed leaves one behind: the service's copies are not done when they are answered."""
    data, name = ct(), f"{folder()}/a.dcm"
    blob = clients.container(resource_names.UPLOADS, resource_names.inbox(CLINIC)).get_blob_client(name)
    etag = blob.upload_blob(data)["etag"]
    keys = secrets.pseudonyms(CLINIC)
    uid = str(pydicom.dcmread(io.BytesIO(data)).StudyInstanceUID)
    original = f"{keys.study_token(uid)}/{keys.arrival(name, etag)}"
    originals = clients.container(resource_names.UPLOADS, resource_names.ORIGINALS)
    originals.upload_blob(original, b"")
    received = receive(CLINIC, blob)
    received.clear()
    assert originals.download_blob(original).readall() == data
    (arrival,) = ledger_of(only(received.runs).token).arrivals((keys.arrival(name, etag),))
    assert arrival.etag == originals.get_blob_client(original).get_blob_properties().etag


@pytest.mark.parametrize("hold", ["create_snapshot", "acquire_lease"])
def test_a_snapshot_or_a_lease_of_the_senders_does_not_keep_an_upload_in_the_inbox(hold: str) -> None:
    blob = clients.container(resource_names.UPLOADS, resource_names.inbox(CLINIC)).get_blob_client(f"{folder()}/a.dcm")
    blob.upload_blob(ct())
    getattr(blob, hold)()
    received = receive(CLINIC, blob)
    received.clear()
    assert len(received.runs) == 1
    assert not blob.exists()


def test_receiving_the_same_version_twice_makes_one_arrival() -> None:
    inbox = clients.container(resource_names.UPLOADS, resource_names.inbox(CLINIC))
    blob = inbox.get_blob_client(f"{folder()}/a.dcm")
    blob.upload_blob(ct())
    first, second = receive(CLINIC, blob), receive(CLINIC, blob)
    first.clear()
    second.clear()
    assert first.runs == second.runs
    assert len(ledger_of(only(first.runs).token).notes()) == 1


def test_an_upload_that_is_gone_needs_nothing() -> None:
    inbox = clients.container(resource_names.UPLOADS, resource_names.inbox(CLINIC))
    assert receive(CLINIC, inbox.get_blob_client("gone")).runs == frozenset()


def test_a_replaced_upload_is_not_deleted_with_its_old_version() -> None:
    inbox = clients.container(resource_names.UPLOADS, resource_names.inbox(CLINIC))
    blob = inbox.get_blob_client(f"{folder()}/a.dcm")
    blob.upload_blob(ct())
    received = receive(CLINIC, blob)
    blob.upload_blob(ct(), overwrite=True)
    received.clear()
    assert blob.exists()


def test_two_clinics_with_one_study_uid_have_two_studies() -> None:
    uid = pydicom.uid.generate_uid()
    here = only(upload(ct(uid), f"{folder()}/a.dcm"))
    there = only(upload(ct(uid), f"{folder()}/a.dcm", "hillcrest"))
    assert here.token != there.token


def truncated() -> bytes:
    return ct()[:-5000]


def without_pixels() -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(ct()))
    del dataset.PixelData
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def without_study() -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(ct()))
    del dataset.StudyInstanceUID
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: b"", "empty-file"),
        (lambda: bytes(range(256)) * 40, "not-dicom"),
        (truncated, "truncated"),
        (without_pixels, "no-pixel-data"),
        (without_study, "no-study-uid"),
        (lambda: b"PK\x03\x04 broken", "zip-unreadable"),
    ],
)
def test_bad_input_is_kept_aside_with_a_reason_that_the_clinic_reads(make: Callable[[], bytes], reason: str) -> None:
    name = f"{folder()}/bad.dcm"
    data = make()
    assert upload(data, name) == frozenset()
    answer = answer_to(name)
    assert answer["outcome"] == "refused"
    assert answer["reason"] == reason
    assert answer["advice"]
    quarantine = clients.container(resource_names.UPLOADS, resource_names.QUARANTINE)
    kept = [quarantine.download_blob(n).readall() for n in quarantine.list_blob_names(name_starts_with=CLINIC)]
    assert data in kept


@pytest.mark.parametrize("name", ["README.TXT", "autorun.inf"])
def test_clutter_is_skipped_and_said_so(name: str) -> None:
    path = f"{folder()}/{name}"
    assert upload(b"[autorun]\nopen=viewer.exe\n" * 20, path) == frozenset()
    assert answer_to(path)["outcome"] == "skipped"


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def test_a_zip_of_a_study_is_taken_member_by_member_and_its_names_are_never_followed(tmp_path: Path) -> None:
    uid = pydicom.uid.generate_uid()
    name = f"{folder()}/study.zip"
    members = {"../../1.dcm": ct(uid), "/etc/2": ct(uid), "viewer/README.txt": b"hello " * 40, "3.dcm": ct()[:-9000]}
    run = only(upload(zipped(members), name))
    assert len(ledger_of(run.token).notes()) == 2
    answer = answer_to(name)
    assert answer["images"] == 2
    assert sorted(other["outcome"] for other in answer["others"]) == ["refused", "skipped"]


def tarred(members: dict[str, bytes], mode: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize(("ending", "mode"), [("tar", "w:"), ("tar.gz", "w:gz"), ("tgz", "w:gz")])
def test_a_tar_of_a_study_is_taken_member_by_member_and_each_is_read_back(ending: str, mode: str) -> None:
    uid = pydicom.uid.generate_uid()
    name = f"{folder()}/study.{ending}"
    images = [ct(uid), ct(uid)]
    members = {"../../1.dcm": images[0], "/etc/2": images[1], "viewer/README.txt": b"hello " * 40, "3": ct()[:-9000]}
    run = only(upload(tarred(members, mode), name))
    assert len(ledger_of(run.token).notes()) == 2
    answer = answer_to(name)
    assert answer["images"] == 2
    assert sorted(other["outcome"] for other in answer["others"]) == ["refused", "skipped"]
    ledger = ledger_of(run.token)
    arrivals = ledger.arrivals(tuple(note.id for note in ledger.notes()))
    assert {_original(arrival).read() for arrival in arrivals} == set(images)


@pytest.mark.parametrize(
    ("ending", "data", "reason"),
    [
        ("7z", b"7z\xbc\xaf\x27\x1c" + bytes(200), "archive-not-opened"),
        ("rar", b"Rar!\x1a\x07\x01\0" + bytes(200), "archive-not-opened"),
        ("tar.xz", b"\xfd7zXZ\0" + bytes(200), "archive-not-opened"),
        ("dcm.gz", gzip.compress(bytes(2000)), "archive-not-opened"),
        ("tar.gz", gzip.compress(tarred({"a.txt": b"hello " * 40}, "w:"))[:-20], "zip-unreadable"),
        ("tar", tarred({"a.txt": b"hello " * 40}, "w:"), "zip-without-dicom"),
    ],
    ids=["7z", "rar", "tar.xz", "dcm.gz", "tar.gz cut off", "tar without an image"],
)
def test_an_archive_that_is_not_opened_is_refused_and_a_zip_is_asked_for(ending: str, data: bytes, reason: str) -> None:
    name = f"{folder()}/study.{ending}"
    assert upload(data, name) == frozenset()
    answer = answer_to(name)
    assert (answer["outcome"], answer["reason"]) == ("refused", reason)
    assert reason != "archive-not-opened" or ".zip" in answer["advice"]


def _released(kept: str) -> frozenset[Run]:
    """Releases a file from quarantine, and receives it as the trigger does."""
    assert release(CLINIC, kept) is None
    blob = clients.container(resource_names.UPLOADS, resource_names.inbox(CLINIC)).get_blob_client(f"released/{kept}")
    received = receive(CLINIC, blob)
    received.clear()
    assert not blob.exists()
    return received.runs


def test_a_released_file_is_answered_under_the_name_that_its_clinic_gave_it_however_often_it_comes_back() -> None:
    data, name = b"\0" + uuid.uuid4().bytes * 40, f"{folder()}/Aufnahme №1.dcm"
    upload(data, name)
    for _ in range(2):
        (kept,) = _kept(data)
        assert _released(kept) == frozenset()
    assert len(_kept(data)) == 1, "refused again, it waits again"
    (answer,) = [a for a in answers() if a["upload"] == name]
    assert answer["outcome"] == "refused"
    assert not [a["upload"] for a in answers() if a["upload"].startswith("released/")]


def test_a_released_complete_message_is_judged_as_one() -> None:
    data, name = uuid.uuid4().hex.encode(), f"{folder()}/complete.json"
    upload(data, name)
    before = answer_to(name)
    _released(*_kept(data))
    assert answer_to(name)["reason"] == before["reason"] != "not-dicom"


def test_a_file_from_a_quarantine_that_knew_no_names_is_not_told_to_its_clinic_as_a_new_one() -> None:
    data, kept = b"\0" + uuid.uuid4().bytes * 40, uuid.uuid4().hex
    quarantine = clients.container(resource_names.UPLOADS, resource_names.QUARANTINE)
    quarantine.upload_blob(f"{CLINIC}/{kept}", data, metadata={"reason": "not-dicom"})
    before = len(answers())
    _released(kept)
    assert len(_kept(data)) == 1 and len(answers()) == before


def _kept(data: bytes) -> list[str]:
    """The arrivals in quarantine with that content."""
    quarantine = clients.container(resource_names.UPLOADS, resource_names.QUARANTINE)
    found = quarantine.list_blob_names(name_starts_with=f"{CLINIC}/")
    return [name.partition("/")[2] for name in found if quarantine.download_blob(name).readall() == data]


def test_a_zip_without_an_image_is_refused() -> None:
    name = f"{folder()}/photos.zip"
    assert upload(zipped({"a.txt": b"hello " * 40}), name) == frozenset()
    assert answer_to(name)["reason"] == "zip-without-dicom"


def test_the_senders_word_is_kept_for_the_study() -> None:
    uid = pydicom.uid.generate_uid()
    run = only(upload(ct(uid), f"{folder()}/a.dcm"))
    word = {"studyInstanceUid": str(uid), "expected": 2, "priority": "stat", "purpose": "prior"}
    upload(json.dumps(word).encode(), f"{folder()}/complete.json")
    kept = ledger_of(run.token).complete()
    assert kept is not None
    assert (kept.expected, kept.priority, kept.purpose) == (2, "stat", "prior")


@pytest.mark.parametrize("word", [b"{", b'{"studyInstanceUid": "x"}', b'{"studyInstanceUid": "1.2", "expected": -1}'])
def test_a_word_that_cannot_be_read_is_refused_with_what_it_should_hold(word: bytes) -> None:
    name = f"{folder()}/complete"
    upload(word, name)
    assert answer_to(name)["reason"] == "bad-complete-message"
    assert "studyInstanceUid" in answer_to(name)["advice"]
