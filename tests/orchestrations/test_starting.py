"""The job is started once, whatever Azure Resource Manager answers, and whoever else starts it at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import BlobLeaseClient

from readfirst.adapters import clients, jobs
from readfirst.domain import resource_names
from readfirst.domain.analysis import watchdog
from readfirst.domain.analysis.watchdog import Trouble
from tests.orchestrations.arm_service import ArmService

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("settings")]


@pytest.fixture
def arm(settings: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[ArmService]:
    """The service, and a lock that nobody has held. Whatever an SDK would sleep is an error."""

    def slept(transport: object, seconds: float) -> None:
        raise AssertionError(f"the SDK sleeps for {seconds} s inside the call")

    monkeypatch.setattr(RequestsTransport, "sleep", slept)
    made = ArmService()
    client = made.client()
    monkeypatch.setattr(clients, "container_apps", lambda: client)
    monkeypatch.setattr(jobs, "_places", lambda: [watchdog.Place.MAIN])
    if lock().exists():
        lock().delete_blob()
    yield made
    made.close()


def lock() -> clients.Any:
    return clients.container(resource_names.STUDIES, resource_names.ANALYSIS).get_blob_client("locks/starting-the-job")


def test_a_start_that_is_throttled_for_an_hour_ends_at_once_and_the_next_starts_one(arm: ArmService) -> None:
    arm.answers.append("throttled")
    assert jobs.start() is Trouble.NOT_STARTED
    assert jobs.start() is None
    assert len(arm.started) == 1


def test_a_start_that_is_not_listed_yet_is_not_repeated(arm: ArmService) -> None:
    arm.lags = True
    assert [jobs.start() for _ in range(3)] == [None] * 3
    assert len(arm.started) == 1


@pytest.mark.parametrize("how", ["unanswered", "gateway", "broken"])
@pytest.mark.parametrize("lags", [True, False])
def test_a_start_whose_answer_never_came_is_not_repeated(arm: ArmService, lags: bool, how: str) -> None:
    """Or came from a gateway that had waited long enough, or broke off."""
    arm.lags = lags
    arm.answers.append(how)
    assert jobs.start() is Trouble.NOT_STARTED
    assert jobs.start() is None
    assert len(arm.started) == 1


def test_an_execution_that_is_listed_as_over_is_followed_by_another_at_once(arm: ArmService) -> None:
    for count in (1, 2, 3):
        jobs.start()
        assert len(arm.started) == count
        arm.end()


def test_a_start_that_never_shows_up_is_made_again_in_the_end(arm: ArmService, monkeypatch: pytest.MonkeyPatch) -> None:
    arm.lags = True
    jobs.start()
    monkeypatch.setattr(watchdog, "LIST_LAG", timedelta(0))
    jobs.start()
    assert len(arm.started) == 2


def test_whoever_lost_the_turn_while_it_listed_starts_nothing(arm: ArmService) -> None:
    """The listing took longer than the lease lives: another caller has the turn, and starts the job."""
    arm.at_listing = lambda: BlobLeaseClient(lock()).break_lease(lease_break_period=0)
    assert jobs.start() is None
    assert arm.started == []


def test_a_start_succeeded_although_the_lease_was_lost_meanwhile(
    arm: ArmService, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = arm.start

    def slow() -> clients.Any:
        BlobLeaseClient(lock()).break_lease(lease_break_period=0)
        return original()

    monkeypatch.setattr(arm, "start", slow)
    assert jobs.start() is None
    assert jobs.start() is None
    assert len(arm.started) == 1


def test_callers_at_the_same_moment_start_one(arm: ArmService) -> None:
    arm.lags = True
    callers = [threading.Thread(target=jobs.start) for _ in range(6)]
    for one in callers:
        one.start()
    for one in callers:
        one.join()
    assert len(arm.started) == 1


def test_a_lock_of_an_earlier_release_is_read(arm: ArmService) -> None:
    """It was an empty blob."""
    lock().upload_blob(b"")
    assert jobs.start() is None
    assert len(arm.started) == 1
