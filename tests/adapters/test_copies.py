"""A copy inside the account counts as done only when it is proven: its source is deleted afterwards, and only then."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobClient, BlobServiceClient
from azure.storage.queue import QueueClient

from model_container.storage import Studies
from readfirst.adapters import blobs
from tests.adapters.blob_service import Blob, BlobService, Refusal

DATA = b"a slice of a chest" * 40
FROM, TO = "inbox/a.dcm", "originals/a"
BY_ITSELF_NEVER = -1


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[BlobService]:
    monkeypatch.setattr(blobs, "_COPY_POLL_SECONDS", 0.01)
    made = BlobService()
    yield made
    made.close()


def client(service: BlobService, path: str) -> BlobClient:
    container, _, name = path.partition("/")
    account = BlobServiceClient.from_connection_string(service.connection, retry_total=0)
    return account.get_blob_client(container, name)


def sent(service: BlobService, data: bytes = DATA) -> Blob:
    service.blobs[FROM] = Blob(data)
    return service.blobs[FROM]


def copied(service: BlobService) -> str:
    source = service.blobs[FROM]
    return blobs.copy(client(service, FROM), source.etag, len(source.data), client(service, TO))


def complete(service: BlobService, etag: str) -> bool:
    target = service.blobs[TO]
    return (target.data, target.copy, target.etag) == (service.blobs[FROM].data, "success", etag)


@pytest.mark.parametrize("looks", [0, 1, 4], ids=["at once", "at the first look", "after some looks"])
def test_a_copy_that_succeeds_is_complete_when_the_call_returns(service: BlobService, looks: int) -> None:
    sent(service)
    service.copies.append(("success", looks))
    assert complete(service, copied(service))


@pytest.mark.parametrize("ending", ["failed", "aborted"])
@pytest.mark.parametrize("looks", [0, 3])
def test_a_copy_that_did_not_end_well_is_made_again(service: BlobService, ending: str, looks: int) -> None:
    sent(service)
    service.copies.append((ending, looks))
    assert complete(service, copied(service))


def test_a_copy_that_never_ends_well_is_a_fault_and_leaves_the_source(service: BlobService) -> None:
    source = sent(service)
    service.copies.extend([("failed", 1)] * 10)
    with pytest.raises(blobs.CopyFailed):
        copied(service)
    assert service.blobs[FROM] is source


@pytest.mark.parametrize("data", [DATA, b""], ids=["some bytes", "no bytes"])
@pytest.mark.parametrize("status", ["failed", "aborted", ""])
def test_what_an_earlier_try_left_behind_is_no_copy(service: BlobService, status: str, data: bytes) -> None:
    """An empty target, with a failed copy's status or none at all, is replaced; even where the source is empty too."""
    sent(service, data)
    service.blobs[TO] = Blob(b"", copy=status, copy_id="1")
    assert complete(service, copied(service))


def test_a_pending_copy_of_a_try_that_died_is_waited_for(service: BlobService) -> None:
    source = sent(service)
    service.blobs[TO] = Blob(b"", {blobs.COPY_OF: source.etag.strip('"')}, copy="pending", copy_id="1")
    service.blobs[TO].coming, service.blobs[TO].ending, service.blobs[TO].looks = DATA, "success", 3
    left = service.blobs[TO]
    assert complete(service, copied(service))
    assert service.blobs[TO] is left, "it is the very copy of the first try"


def test_a_pending_copy_is_left_to_a_later_try_when_patience_ends(
    service: BlobService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "_COPY_PATIENCE_SECONDS", 0.0)
    sent(service)
    service.copies.append(("success", BY_ITSELF_NEVER))
    with pytest.raises(blobs.CopyFailed):
        copied(service)
    assert service.blobs[TO].copy == "pending"
    service.blobs[TO].looks = 1
    assert complete(service, copied(service))


def test_a_copy_pending_past_its_end_is_aborted_and_made_again(service: BlobService) -> None:
    sent(service)
    service.blobs[TO] = Blob(b"", copy="pending", copy_id="1", looks=BY_ITSELF_NEVER)
    service.age(TO, timedelta(days=1))
    assert complete(service, copied(service))


def test_a_copy_that_ends_while_it_is_being_aborted_is_taken_as_it_ended(service: BlobService) -> None:
    source = sent(service)
    left = service.blobs[TO] = Blob(b"", {blobs.COPY_OF: source.etag.strip('"')}, copy="pending", copy_id="1")
    left.coming, left.ending, left.looks = DATA, "success", 2
    service.age(TO, timedelta(days=1))

    def ended_meanwhile(method: str, path: str, query: dict[str, list[str]]) -> None:
        if query.get("comp") == ["copy"]:
            service.look(path)

    service.rule = ended_meanwhile
    assert complete(service, copied(service))
    assert service.blobs[TO] is left


@pytest.mark.parametrize("mark", [{}, {"reason": "empty-file"}])
def test_a_complete_copy_of_an_earlier_release_counts_as_it_is(service: BlobService, mark: dict[str, str]) -> None:
    """Earlier releases did not write which version a copy was made from: their names say it."""
    sent(service)
    service.blobs[TO] = Blob(DATA, mark, copy="success", copy_id="1")
    before = service.blobs[TO].etag
    assert copied(service) == before


def test_a_complete_copy_is_not_made_again(service: BlobService) -> None:
    sent(service)
    first = copied(service)
    assert copied(service) == first


@pytest.mark.parametrize(
    "other",
    [
        Blob(DATA, {blobs.COPY_OF: "0xANOTHER"}, copy="success", copy_id="1"),
        Blob(DATA[:-1], copy="success", copy_id="1"),
        Blob(DATA),
    ],
    ids=["of another version", "of another length", "of no copy"],
)
def test_a_target_that_is_not_this_copy_is_replaced(service: BlobService, other: Blob) -> None:
    sent(service)
    service.blobs[TO] = other
    assert complete(service, copied(service))


def test_a_source_that_was_replaced_is_not_copied(service: BlobService) -> None:
    seen = sent(service).etag
    service.blobs[FROM].touch()
    with pytest.raises(blobs.Changed):
        blobs.copy(client(service, FROM), seen, len(DATA), client(service, TO))
    assert TO not in service.blobs


def test_a_failed_copy_that_another_try_has_replaced_meanwhile_is_that_ones(service: BlobService) -> None:
    """The service refuses to delete what a copy is pending for, whichever version was meant."""
    sent(service)
    service.copies.extend([("failed", 1), ("success", 3)])

    def rule(method: str, path: str, query: dict[str, list[str]]) -> None:
        if method == "DELETE" and len(service.copies) == 1:
            service.copy(TO, FROM, {blobs.COPY_OF: service.blobs[FROM].etag.strip('"')}, "")

    service.rule = rule
    assert complete(service, copied(service))
    assert not service.copies


def test_two_tries_at_once_agree_on_one_copy(service: BlobService) -> None:
    sent(service)
    service.copies.extend([("failed", 5), ("aborted", 5)])
    found: list[str] = []
    tries = [threading.Thread(target=lambda: found.append(copied(service))) for _ in range(2)]
    for one in tries:
        one.start()
    for one in tries:
        one.join()
    assert len(found) == 2
    assert len(set(found)) == 1
    assert complete(service, found[0])


def test_the_service_s_other_conflicts_are_faults_not_copies(service: BlobService) -> None:
    sent(service).archived = True
    with pytest.raises(HttpResponseError) as told:
        copied(service)
    assert blobs.code_of(told.value) == "BlobArchived"


_CONFLICTS = ["PendingCopyOperation", "BlobArchived", "BlobBeingRehydrated", "ContainerBeingDeleted"]


def refusing(service: BlobService, status: int, code: str) -> None:
    def refuse(method: str, path: str, query: dict[str, list[str]]) -> None:
        raise Refusal(status, code)

    service.rule = refuse


@pytest.mark.parametrize("code", _CONFLICTS)
def test_putting_once_takes_only_a_blob_that_is_there_for_done(service: BlobService, code: str) -> None:
    container = BlobServiceClient.from_connection_string(service.connection, retry_total=0).get_container_client("c")
    refusing(service, 409, code)
    with pytest.raises(HttpResponseError):
        blobs.put_once(container, "seal", b"{}")
    service.rule = lambda method, path, query: None
    assert blobs.put_once(container, "seal", b"{}") is True
    assert blobs.put_once(container, "seal", b"[]") is False
    refusing(service, 403, "UnauthorizedBlobOverwrite")
    assert blobs.put_once(container, "seal", b"[]") is False, "how it is said to whoever may only create"


@pytest.mark.parametrize("code", _CONFLICTS)
def test_a_stream_is_taken_for_written_only_where_a_blob_is_there(service: BlobService, code: str) -> None:
    """An archive that is unpacked on the way: another conflict than the blob itself says that nothing was written."""
    container = BlobServiceClient.from_connection_string(service.connection, retry_total=0).get_container_client("c")
    target = container.get_blob_client("tar")

    def refuse(method: str, path: str, query: dict[str, list[str]]) -> None:
        if method == "PUT":
            raise Refusal(409, code)

    service.rule = refuse
    with pytest.raises(HttpResponseError):
        blobs.put_stream_once(target, io.BytesIO(b"{}"))
    service.rule = lambda method, path, query: None
    blobs.put_stream_once(target, io.BytesIO(b"{}"))
    blobs.put_stream_once(target, io.BytesIO(b"[]"))
    assert blobs.read(container, "tar") == b"{}"


@pytest.mark.parametrize("code", _CONFLICTS)
def test_the_job_takes_only_a_result_that_is_there_for_written(service: BlobService, code: str) -> None:
    account = BlobServiceClient.from_connection_string(service.connection, retry_total=0)
    queue = QueueClient.from_connection_string(service.connection + "QueueEndpoint=http://127.0.0.1:1/a;", "q")
    studies = Studies(account, {"stat": queue, "routine": queue}, queue)
    refusing(service, 409, code)
    with pytest.raises(HttpResponseError):
        studies.write_once("t/result.json", b"{}", "application/json")
    service.rule = lambda method, path, query: None
    assert studies.write_once("t/result.json", b"{}", "application/json") is True
    assert studies.write_once("t/result.json", b"[]", "application/json") is False
    studies.close()


@pytest.mark.parametrize("how", ["snapshots", "leased"])
def test_what_the_sender_may_do_to_a_blob_does_not_keep_it_from_being_deleted(service: BlobService, how: str) -> None:
    source = sent(service)
    setattr(source, how, True)
    blobs.delete(client(service, FROM), source.etag)
    assert FROM not in service.blobs


def test_a_blob_that_was_replaced_is_not_deleted(service: BlobService) -> None:
    seen = sent(service).etag
    service.blobs[FROM].touch()
    with pytest.raises(blobs.Changed):
        blobs.delete(client(service, FROM), seen)
    assert FROM in service.blobs
