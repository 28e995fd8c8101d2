"""The audit log against a Blob service that fills up, answers late, and answers nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobServiceClient, ContainerClient

from readfirst.adapters import audit_log
from readfirst.adapters.audit_log import AuditLog
from tests.adapters.blob_service import MOST_BLOCKS, BlobService, Refusal

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def service() -> Iterator[BlobService]:
    """A Blob service."""
    made = BlobService()
    yield made
    made.close()


def box(service: BlobService, **options: Any) -> ContainerClient:
    """The app's container."""
    return BlobServiceClient.from_connection_string(
        service.connection, **{"retry_total": 0, **options}
    ).get_container_client("audit")


def say(log: AuditLog, at: datetime = NOON, actor: str = "someone") -> None:
    """An act."""
    log.add(at, actor=actor, role="radiologist", act="study", outcome="allowed")


def acts(container: ContainerClient) -> Counter[str]:
    """Who is in the log of the day, how often."""
    return Counter(audit_log.Entry.model_validate_json(line).actor for line in audit_log.lines(container, "2026-03-01"))


def whole(container: ContainerClient, entries: int) -> bool:
    """Whether the day has that many entries and no break."""
    return list(audit_log.verify(container, "api")) == [("2026-03-01", entries, None)]


def test_a_blob_is_left_before_it_is_full_and_the_chain_goes_on_in_another(service: BlobService) -> None:
    container = box(service)
    log = AuditLog(container, "api")
    say(log)
    (first,) = service.under("audit/")
    service.blobs[first].blocks = MOST_BLOCKS - 10
    for _ in range(30):
        say(log)
    assert len(service.under("audit/")) == 2 and service.blobs[first].blocks < MOST_BLOCKS
    assert whole(container, 31)


def test_a_blob_that_is_full_all_the_same_stops_nobody(service: BlobService) -> None:
    container = box(service)
    log = AuditLog(container, "api")
    say(log)
    (first,) = service.under("audit/")
    service.blobs[first].blocks = MOST_BLOCKS
    say(log)
    say(AuditLog(container, "api"))
    assert whole(container, 3)
    service.blobs.pop(first)
    assert not whole(container, 2), "the segment that is cut away is missed"


def test_acts_of_many_threads_share_blocks_and_each_is_written_once(service: BlobService) -> None:
    container = box(service)
    log, together = AuditLog(container, "api"), Barrier(16)
    say(log)

    def work(n: int) -> None:
        together.wait()
        for _ in range(20):
            say(log, actor=f"person {n}")

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))
    (blob,) = service.under("audit/").values()
    assert blob.blocks < 321, "one block an act"
    assert acts(container) == Counter({f"person {n}": 20 for n in range(16)} | {"someone": 1})
    assert whole(container, 321)


@pytest.mark.parametrize("retries", [0, 2])
def test_a_write_that_was_carried_out_and_whose_answer_was_lost_breaks_nothing(
    service: BlobService, retries: int
) -> None:
    container = box(service, retry_total=retries, initial_backoff=0, increment_base=0, random_jitter_range=0)
    log = AuditLog(container, "api")
    say(log)
    append, lost = service.append, []

    def loses(path: str, block: bytes, position: str | None) -> Any:
        made = append(path, block, position)
        if not lost:
            lost.append(path)
            raise Refusal(500, "InternalError")
        return made

    service.append = loses
    if retries:
        say(log, actor="lost")
    else:
        with pytest.raises(HttpResponseError):
            say(log, actor="lost")
    say(log)
    assert acts(container) == {"someone": 2, "lost": 1} and whole(container, 3)


def test_what_cannot_be_written_is_raised_to_everybody_who_waits_and_later_acts_go_on(service: BlobService) -> None:
    container = box(service)
    log = AuditLog(container, "api")

    def away(method: str, path: str, query: object) -> None:
        if method == "PUT":
            raise Refusal(503, "ServerBusy")

    def refused(_: int) -> bool:
        try:
            say(log)
        except HttpResponseError:
            return True
        return False

    service.rule = away
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(refused, range(24)))
    service.rule = lambda *_: None
    say(log)
    assert whole(container, 1)


@pytest.mark.parametrize("code", ["ContainerBeingDeleted", "AccountIsDisabled", "BlobImmutableDueToPolicy"])
def test_a_conflict_when_a_blob_is_made_is_raised_and_not_tried_for_ever(service: BlobService, code: str) -> None:
    def rule(method: str, path: str, query: object) -> None:
        if method == "PUT":
            raise Refusal(409, code)

    service.rule = rule
    with pytest.raises(HttpResponseError):
        say(AuditLog(box(service), "api"))
    assert sum(method == "PUT" for method, _ in service.asked) < 10


def test_every_hour_has_a_chain_of_its_own_that_follows_the_one_before(service: BlobService) -> None:
    container = box(service)
    log = AuditLog(container, "api")
    for minutes in (0, 59, 60, 61, 59, 150):
        say(log, NOON + timedelta(minutes=minutes))
    assert [path.split("/")[2] for path in service.under("audit/2026-03-01/")] == ["12", "13", "14"]
    assert whole(container, 6)


def test_a_process_waits_for_no_other_one(service: BlobService) -> None:
    logs = [AuditLog(box(service), "api") for _ in range(4)]
    for log in logs * 3:
        say(log)
    puts = sum(method == "PUT" and "anchors/" not in path for method, path in service.asked)
    assert puts == 4 * (1 + 3), "no act was tried twice"
