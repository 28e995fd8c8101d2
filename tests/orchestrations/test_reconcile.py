"""The reconciler: an upload that cannot be taken holds up nobody, and its clinic hears of it."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pydicom
import pytest

from orchestrations import reconcile
from readfirst.adapters import blobs, clients
from readfirst.adapters.uploads import stuck
from readfirst.adapters.uploads.ledger import ledger_of
from readfirst.domain import resource_names
from readfirst.domain.intake.stuck import AGAIN, LONGEST, TRIES
from tests.adapters.blob_service import Blob, BlobService, Refusal
from tests.orchestrations.test_receive import ct, zipped

HERE, THERE = "lakeside", "hillcrest"
PERSON = "WINTER_ANNA"
Query = dict[str, list[str]]


class Durable:
    """The Durable client as far as making sure of a run goes."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.away = False

    async def get_status(self, instance: str) -> None:
        return None

    async def start_new(self, orchestrator: str, instance_id: str, client_input: Any) -> None:
        if self.away:
            raise ConnectionError
        self.started.append(instance_id)


def look(durable: Durable | None = None) -> list[str]:
    """One look, as the timer does it; the runs that were started."""
    from function_app.triggers.uploads import look_again

    durable = durable or Durable()
    asyncio.run(look_again(durable))
    return durable.started


def lies(service: BlobService, name: str, data: bytes, clinic: str = HERE, **state: Any) -> str:
    """Puts an upload into an inbox, whose event is long overdue. Returns its path."""
    path = f"{resource_names.inbox(clinic)}/{name}"
    service.blobs[path] = Blob(data, modified=datetime.now(UTC) - timedelta(hours=1), **state)
    return path


def told(service: BlobService, clinic: str = HERE) -> list[dict[str, Any]]:
    return [json.loads(blob.data) for blob in service.under(f"{resource_names.results(clinic)}/uploads/").values()]


def kept(service: BlobService) -> list[bytes]:
    return [blob.data for blob in service.under(f"{resource_names.QUARANTINE}/").values()]


def refuse(service: BlobService, status: int, code: str, where: Callable[[str, str, Query], bool]) -> None:
    def rule(method: str, path: str, query: Query) -> None:
        if where(method, path, query):
            raise Refusal(status, code)

    service.rule = rule


def uid_with_vr(vr: bytes, tag: bytes = b"\x20\x00\x0d\x00") -> bytes:
    """A CT whose Study Instance UID says that it holds numbers."""
    data = bytearray(ct())
    at = data.index(tag + b"UI")
    (length,) = struct.unpack_from("<H", data, at + 6)
    data[at + 4 : at + 6] = vr
    if vr == b"US" and length % 2 == 0:  # a length that fits no number either
        data[at + 6 : at + 8] = struct.pack("<H", length - 1)
        del data[at + 8 + length - 1]
    return bytes(data)


def with_wrong_values() -> bytes:
    """A CT whose modality says that it is a number of eight bytes, and is none."""
    data = bytearray(ct())
    at = data.index(b"\x08\x00\x60\x00CS")
    data[at + 4 : at + 6] = b"FD"
    return bytes(data)


@pytest.mark.parametrize(
    ("make", "state", "reason"),
    [
        (lambda: uid_with_vr(b"US"), {}, "unreadable-data-set"),
        (lambda: uid_with_vr(b"FD"), {}, "unreadable-data-set"),
        (lambda: uid_with_vr(b"SL", b"\x08\x00\x18\x00"), {}, "unreadable-data-set"),
        (with_wrong_values, {}, "unreadable-data-set"),
        (lambda: b"\x1f\x8b\x08\x00" + bytes(200), {"encoding": "gzip"}, "content-encoding"),
        (ct, {"archived": True}, "could-not-be-taken"),
    ],
    ids=["study UID of shorts", "study UID of doubles", "SOP UID of longs", "modality of doubles", "gzip", "archived"],
)
def test_an_upload_that_cannot_be_taken_holds_up_nobody_and_its_clinic_hears_why(
    service: BlobService, make: Callable[[], bytes], state: dict[str, Any], reason: str
) -> None:
    bad = lies(service, f"0/{PERSON}.dcm", make(), **state)
    honest = [lies(service, f"1/{n}.dcm", ct()) for n in range(2)] + [lies(service, "a.dcm", ct(), THERE)]
    assert len(look()) == 3, "all others, of both clinics, at the first look"
    assert not any(path in service.blobs for path in honest)
    for _ in range(TRIES):
        look()
    (answer,) = told(service)
    assert (answer["outcome"], answer["reason"]) == ("refused", reason)
    assert answer["advice"]
    assert bad not in service.blobs or service.blobs[bad].archived, "what can be moved is in quarantine"
    tries = len(service.asked)
    look()
    assert len(service.asked) - tries < 12, "and what cannot be moved is left alone"


@pytest.mark.parametrize("state", [{"encoding": "gzip"}, {"snapshots": 1}, {"leased": True}])
def test_what_the_sender_did_to_a_good_file_does_not_matter(service: BlobService, state: dict[str, Any]) -> None:
    """A content encoding that is a mere claim, a snapshot, a lease."""
    data = ct()
    path = lies(service, "a.dcm", data, **state)
    assert len(look()) == 1
    assert path not in service.blobs
    assert [blob.data for blob in service.under(f"{resource_names.ORIGINALS}/").values()] == [data]
    assert look() == []


@pytest.mark.parametrize("code", ["BlobUsesCustomerSpecifiedEncryption", "BlobImmutableDueToPolicy", "LeaseLost"])
def test_a_blob_that_the_service_refuses_to_read_is_set_aside_where_it_lies_and_left_alone(
    service: BlobService, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    bad = lies(service, f"0/{PERSON}.dcm", ct())
    name = bad.partition("/")[2]
    refuse(service, 409, code, lambda method, path, query: path == bad or (method == "PUT" and "quarantine" in path))
    for n in range(TRIES + 2):
        lies(service, f"1/{n}.dcm", ct())
        assert len(look()) == 1
    (answer,) = told(service)
    assert (answer["upload"], answer["reason"], answer["detail"]) == (name, "could-not-be-taken", code)
    assert bad in service.blobs
    assert PERSON not in caplog.text


def test_what_was_set_aside_where_it_lies_is_taken_once_somebody_has_mended_it(
    service: BlobService, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = lies(service, "a.dcm", ct(), archived=True)
    for _ in range(TRIES):
        look()
    service.blobs[bad].archived = False
    assert look() == [], "it rests"
    monkeypatch.setattr(reconcile, "now", lambda: datetime.now(UTC) + AGAIN)
    assert len(look()) == 1
    assert not service.under(f"{resource_names.ARRIVALS}/stuck/")
    assert bad not in service.blobs


@pytest.mark.parametrize(("status", "code"), [(503, "ServerBusy"), (403, "AuthorizationPermissionMismatch")])
def test_a_service_that_is_away_counts_against_no_upload(service: BlobService, status: int, code: str) -> None:
    """Its retries are not worth waiting for here: a status that the SDK does not try again, and one that it does."""
    path = lies(service, "a.dcm", ct())
    refuse(service, status, code, lambda method, path, query: path.startswith(resource_names.ORIGINALS))
    for _ in range(2 * TRIES):
        look()
    assert path in service.blobs
    assert told(service) == []
    service.rule = lambda method, path, query: None
    assert len(look()) == 1


def test_orchestrations_that_are_away_count_against_no_upload(service: BlobService) -> None:
    path = lies(service, "a.dcm", ct())
    durable = Durable()
    durable.away = True
    for _ in range(2 * TRIES):
        look(durable)
    assert path in service.blobs
    assert told(service) == []
    assert len(look()) == 1


def test_after_a_day_the_clinic_hears_of_it_whatever_the_cause(
    service: BlobService, monkeypatch: pytest.MonkeyPatch
) -> None:
    lies(service, "a.dcm", ct())
    refuse(service, 503, "ServerBusy", lambda method, path, query: path.startswith(resource_names.ORIGINALS))
    look()
    monkeypatch.setattr(reconcile, "now", lambda: datetime.now(UTC) + LONGEST)
    look()
    (answer,) = told(service)
    assert (answer["reason"], answer["detail"]) == ("could-not-be-taken", "ServerBusy")
    assert len(kept(service)) == 1


def test_an_upload_that_ends_the_process_every_time_is_set_aside_unread(
    service: BlobService, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """The worker is gone: no handler sees it."""

    def kills(*_: object) -> None:
        raise Killed

    data = b"whatever it is"
    lies(service, "a.dcm", data)
    monkeypatch.setattr(reconcile, "receive", kills)
    for _ in range(TRIES):
        (one,) = reconcile.overdue()
        with pytest.raises(Killed):
            reconcile.retake(one)
    look()
    assert kept(service) == [data]
    assert [answer["reason"] for answer in told(service)] == ["could-not-be-taken"]
    assert not service.under(f"{resource_names.ARRIVALS}/stuck/")


def test_an_upload_that_cannot_be_deleted_is_taken_once(service: BlobService) -> None:
    path = lies(service, "a.dcm", ct())
    refuse(service, 409, "BlobImmutableDueToPolicy", lambda method, at, query: method == "DELETE" and at == path)
    (run,) = look()
    assert look() == []
    assert told(service) == [], "nothing is wrong with it"
    assert len(ledger_of(run.rpartition("-")[0]).notes()) == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [(403, "AuthorizationFailure"), (404, "ContainerNotFound"), (400, "InvalidUri"), (500, "InternalError"), (200, "")],
)
def test_an_inbox_that_cannot_be_listed_is_told_to_the_operator_and_the_other_clinics_go_on(
    service: BlobService, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    """200: an answer whose XML cannot be read, as where a name holds what XML cannot."""
    lies(service, f"{PERSON}.dcm", ct(), HERE)
    lies(service, "a.dcm", ct(), THERE)
    refuse(service, status, code, lambda method, path, query: path == resource_names.inbox(HERE) and "comp" in query)
    assert len(look()) == 1
    assert f"inbox not listed: {HERE}: " in caplog.text
    assert PERSON not in caplog.text


def test_a_bad_member_does_not_fail_its_zip(service: BlobService) -> None:
    uid = str(pydicom.uid.generate_uid())
    members = {"1.dcm": uid_with_vr(b"US"), "2.dcm": ct(uid), "3.dcm": with_wrong_values(), "4.dcm": ct(uid)}
    lies(service, "study.zip", zipped(members))
    (run,) = look()
    assert len(ledger_of(run.rpartition("-")[0]).notes()) == 2
    (answer,) = told(service)
    assert answer["images"] == 2
    assert {other["member"]: other["reason"] for other in answer["others"]} == {
        "1.dcm": "unreadable-data-set",
        "3.dcm": "unreadable-data-set",
    }


def test_failing_uploads_come_last_and_the_clinics_in_turn(service: BlobService) -> None:
    for n in range(3):
        lies(service, f"{n}.dcm", ct(), HERE)
    lies(service, "9.dcm", ct(), THERE)
    bad = lies(service, "0.dcm", ct(), HERE, archived=True)
    assert [one.upload.clinic for one in reconcile.overdue()][:2] == [HERE, THERE]
    (first, *_) = reconcile.overdue()
    assert first.upload.blob.blob_name == "0.dcm"
    reconcile.retake(first)
    assert reconcile.overdue()[-1].upload.blob.blob_name == "0.dcm"
    assert bad in service.blobs


def test_a_note_does_not_outlive_its_upload(service: BlobService) -> None:
    bad = lies(service, "0.dcm", ct(), archived=True)
    look()
    assert len(service.under(f"{resource_names.ARRIVALS}/stuck/")) == 1
    del service.blobs[bad]
    lies(service, "1.dcm", ct())
    look()
    assert not service.under(f"{resource_names.ARRIVALS}/stuck/")


def test_the_note_is_of_the_version_that_the_trigger_sees(service: BlobService) -> None:
    """The listing writes an ETag without its quotes; the id of an upload is made of the ETag."""
    lies(service, "a.dcm", ct())
    (one,) = reconcile.overdue()
    seen = blobs.properties(one.upload.blob)
    assert seen is not None
    assert one.upload.etag == seen.etag
    one.keep(one.note)
    assert stuck.noted(HERE) == {one.upload.keys.arrival("a.dcm", seen.etag)}
    assert (
        clients.container(resource_names.UPLOADS, resource_names.ARRIVALS)
        .get_blob_client(f"stuck/{HERE}/{one.upload.id}.json")
        .exists()
    )
