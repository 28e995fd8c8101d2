"""What Resource Manager does not answer ends no look at an analysis."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)

from readfirst.adapters import clients, jobs
from readfirst.domain import resource_names
from readfirst.domain.analysis.watchdog import Execution, Place
from readfirst.local.environment import settings_of
from tests.adapters.test_settings import SAMPLE

HUNG = Execution(Place.MAIN, "job-1", alive=True, sign=datetime(2026, 1, 1, tzinfo=UTC))
FAULTS = [
    HttpResponseError("Conflict"),
    ServiceResponseError("no answer in time"),
    ServiceRequestError("no connection"),
    ValueError("a page in place of JSON"),
]


def failing(monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    def call(*_: Any, **__: Any) -> Any:
        raise fault

    service = SimpleNamespace(
        jobs=SimpleNamespace(begin_stop_execution=call), jobs_executions=SimpleNamespace(list=call)
    )
    monkeypatch.setattr(clients, "container_apps", lambda: service)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_an_execution_that_cannot_be_stopped_does_not_keep_another_from_being_started(
    monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    """The watchdog stops what hangs first, and starts another then."""
    failing(monkeypatch, fault)
    with settings_of(SAMPLE):
        jobs.stop(HUNG)


@pytest.mark.parametrize(("others", "waiting"), [(0, False), (3, True)])
def test_a_queue_that_is_not_there_holds_up_no_look(
    monkeypatch: pytest.MonkeyPatch, others: int, waiting: bool
) -> None:
    """As while an upgrade has not made the queue of stat requests yet."""

    def queue(name: str) -> Any:
        if name == resource_names.STAT_INFERENCE_REQUESTS:
            return SimpleNamespace(get_queue_properties=lambda: (_ for _ in ()).throw(ResourceNotFoundError("gone")))
        return SimpleNamespace(get_queue_properties=lambda: SimpleNamespace(approximate_message_count=others))

    monkeypatch.setattr(clients, "queue", queue)
    assert jobs.requests_waiting() is waiting


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_a_listing_that_cannot_be_read_is_the_services_fault(monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    failing(monkeypatch, fault)
    with settings_of(SAMPLE), pytest.raises(AzureError):
        jobs.executions()
