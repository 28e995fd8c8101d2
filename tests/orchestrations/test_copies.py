"""Wherever a file moves, its source is deleted only once the copy is proven, however the service's copies end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import azure.functions as func
import pytest

from function_app.triggers.commands import take_command
from readfirst.adapters import blobs, clients, secrets
from readfirst.domain import resource_names
from readfirst.domain.analysis.messages import Command
from readfirst.services.decide_quarantined import reject, release
from readfirst.services.receive_upload import receive
from tests.adapters.blob_service import Blob, BlobService
from tests.orchestrations.test_receive import CLINIC, ct, zipped

NOT_DICOM = bytes(range(256)) * 8
INBOX = f"{resource_names.inbox(CLINIC)}/a.dcm"
ENDINGS = ["success", "failed", "aborted", "pending"]


def take(name: str = "a.dcm") -> int:
    """Receives as the trigger does; how many runs there must be."""
    received = receive(
        CLINIC, clients.container(resource_names.UPLOADS, resource_names.inbox(CLINIC)).get_blob_client(name)
    )
    received.clear()
    return len(received.runs)


def ends(service: BlobService, how: str) -> None:
    """How the next copy ends; `pending`: only long after its caller gave up."""
    service.copies.append(("success", -1) if how == "pending" else (how, 2))


def until_done(step: Callable[[], object], service: BlobService, pending: str) -> None:
    """Tries again as a queue or a durable retry does; between two tries a pending copy comes to its end."""
    for _ in range(4):
        try:
            step()
        except blobs.CopyFailed:
            for blob in service.under(pending).values():
                blob.looks = 1
        else:
            return
    raise AssertionError("four tries were not enough")


def contents(service: BlobService, container: str) -> list[bytes]:
    return [blob.data for blob in service.under(f"{container}/").values()]


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs, "_COPY_PATIENCE_SECONDS", 0.5)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("make", [ct, lambda: zipped({"1.dcm": ct()})], ids=["a file", "a zip"])
def test_an_upload_is_taken_whole_however_its_copies_end(
    service: BlobService, make: Callable[[], bytes], ending: str
) -> None:
    data = make()
    service.blobs[INBOX] = Blob(data)
    ends(service, ending)
    until_done(take, service, f"{resource_names.ORIGINALS}/")
    assert contents(service, resource_names.ORIGINALS) == [data]
    assert INBOX not in service.blobs


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_refused_upload_is_kept_whole_however_its_copies_end(service: BlobService, ending: str) -> None:
    service.blobs[INBOX] = Blob(NOT_DICOM)
    ends(service, ending)
    until_done(take, service, f"{resource_names.QUARANTINE}/")
    assert contents(service, resource_names.QUARANTINE) == [NOT_DICOM]
    assert INBOX not in service.blobs


@pytest.mark.parametrize("left", ["failed", "aborted", ""])
def test_an_empty_original_of_an_earlier_try_does_not_stand_for_the_upload(service: BlobService, left: str) -> None:
    """What a worker of an earlier release left behind after a copy that failed."""
    data = ct()
    upload = service.blobs[INBOX] = Blob(data)
    take()
    (path,) = service.under(f"{resource_names.ORIGINALS}/")
    for trace in (*service.under(f"{resource_names.ARRIVALS}/"), path):
        del service.blobs[trace]
    service.blobs |= {INBOX: upload, path: Blob(b"", copy=left, copy_id="1")}
    assert take() == 1
    assert contents(service, resource_names.ORIGINALS) == [data]


@pytest.mark.parametrize("ending", ["failed", "aborted"])
def test_an_upload_stays_in_the_inbox_while_no_copy_of_it_ends_well(service: BlobService, ending: str) -> None:
    service.blobs[INBOX] = Blob(ct())
    service.copies.extend([(ending, 1)] * 20)
    with pytest.raises(blobs.CopyFailed):
        take()
    assert INBOX in service.blobs
    assert not service.under(f"{resource_names.ARRIVALS}/"), "and nothing says that it arrived"


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_that_goes_back_to_its_inbox_is_whole_there_before_it_leaves_quarantine(
    service: BlobService, ending: str
) -> None:
    kept = f"{resource_names.QUARANTINE}/{CLINIC}/{'a' * 32}"
    service.blobs[kept] = Blob(NOT_DICOM, {"reason": "not-dicom"})
    ends(service, ending)
    until_done(lambda: release(CLINIC, "a" * 32), service, f"{resource_names.inbox(CLINIC)}/")
    assert contents(service, resource_names.inbox(CLINIC)) == [NOT_DICOM]
    assert kept not in service.blobs


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_that_joins_its_study_again_no_longer_needs_the_original(service: BlobService, ending: str) -> None:
    """The original is deleted by age, or lies in a zip; the file that a person saw is the one in quarantine."""
    service.blobs[INBOX] = Blob(data := ct())
    take()
    (path,) = service.under(f"{resource_names.ORIGINALS}/")
    token, arrival = path.split("/")[1:]
    del service.blobs[path]
    service.blobs[f"{resource_names.QUARANTINE}/{token}/{arrival}"] = Blob(data, {"reason": "pixels-not-verified"})
    ends(service, ending)
    until_done(lambda: release(token, arrival), service, f"{resource_names.ORIGINALS}/")
    reject(token, arrival)  # as the command does when the run exists
    again = secrets.pseudonyms(CLINIC).arrival(arrival, "released")
    assert list(service.under(f"{resource_names.ORIGINALS}/")) == [f"{resource_names.ORIGINALS}/{token}/{again}"]
    assert contents(service, resource_names.ORIGINALS) == [data]
    assert not service.under(f"{resource_names.QUARANTINE}/")


def test_a_released_file_leaves_quarantine_only_once_its_run_exists(service: BlobService) -> None:
    """The command comes again where the run could not be started, and must find the file."""
    service.blobs[INBOX] = Blob(data := ct())
    take()
    (path,) = service.under(f"{resource_names.ORIGINALS}/")
    token, arrival = path.split("/")[1:]
    service.blobs[f"{resource_names.QUARANTINE}/{token}/{arrival}"] = Blob(data, {"reason": "pixels-not-verified"})
    started: list[str] = []

    class Client:
        async def get_status(self, instance: str) -> None:
            return None

        async def start_new(self, orchestrator: str, *, instance_id: str, client_input: object) -> None:
            if not self.there:
                raise OSError("the orchestrations are away")
            started.append(instance_id)

        there = False

    command = Command(kind="release", token=token, by="pia", at="", detail={"arrival": arrival})
    message = func.QueueMessage(body=command.model_dump_json().encode())
    carry_out = take_command._function.get_user_function().client_function
    with pytest.raises(OSError, match="away"):
        asyncio.run(carry_out(message, Client()))
    Client.there = True
    for _ in range(2):
        asyncio.run(carry_out(message, Client()))
    assert started == [f"{token}-1"]
    assert not service.under(f"{resource_names.QUARANTINE}/")


def test_a_half_file_in_quarantine_is_not_released_in_place_of_a_lost_original(service: BlobService) -> None:
    service.blobs[INBOX] = Blob(data := ct())
    take()
    (path,) = service.under(f"{resource_names.ORIGINALS}/")
    token, arrival = path.split("/")[1:]
    service.blobs[f"{resource_names.QUARANTINE}/{token}/{arrival}"] = Blob(data[:-1])
    del service.blobs[path]
    with pytest.raises(FileNotFoundError):
        release(token, arrival)
    assert contents(service, resource_names.QUARANTINE) == [data[:-1]]
