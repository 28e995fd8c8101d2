"""The jobs that analyse: their queue of requests, and Azure Resource Manager's start, list and stop of executions."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from readfirst.adapters import clients, starting
from readfirst.adapters.clock import now
from readfirst.adapters.retries import AT_ONCE
from readfirst.adapters.settings import settings
from readfirst.domain import blob_paths, resource_names
from readfirst.domain.analysis.messages import InferenceRequest
from readfirst.domain.analysis.turns import Queue
from readfirst.domain.analysis.watchdog import Execution, Place, Policy, Trouble, last_signs, surely_refused, trouble_of

_ALIVE = {"Running", "Processing", "Degraded", "Unknown"}
_FAILED = "Failed"


_REQUESTS: dict[Queue, str] = {
    "stat": resource_names.STAT_INFERENCE_REQUESTS,
    "routine": resource_names.INFERENCE_REQUESTS,
}


def request(message: InferenceRequest, queue: Queue) -> None:
    """Puts a request on the queue of its priority; it waits there for a week."""
    clients.queue(_REQUESTS[queue]).send_message(message.model_dump_json())


def requests_waiting() -> bool:
    """Whether requests lie on a queue, being worked on or not (the count is approximate)."""
    return any(_waiting(name) for name in _REQUESTS.values())


def _waiting(queue: str) -> int:
    """A queue that is not there (an upgrade has not made it yet, somebody has deleted it) holds nothing up."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        return int(clients.queue(queue).get_queue_properties().approximate_message_count or 0)
    except ResourceNotFoundError:
        return 0


def policy() -> Policy:
    """The watchdog's policy, from the settings."""
    chosen = settings()
    fallback = timedelta(minutes=chosen.fallback_minutes) if chosen.fallback_job_resource_id else None
    return Policy(stall=timedelta(minutes=chosen.stall_minutes), fallback_after=fallback)


def executions() -> list[Execution]:
    """The executions of both jobs that Azure still lists, newest first."""
    found = [execution for place in _places() for execution in _executions(place)]
    return sorted(found, key=lambda execution: execution.sign, reverse=True)


def start(place: Place = Place.MAIN) -> Trouble | None:
    """Starts an execution unless one of that job is at work: it drains both queues. Returns why it did not start.

    One that Azure goes on listing as running without a sign of life does not count: where it still holds the capacity,
    Azure itself refuses the start. A lease on a blob keeps two callers from starting two; who finds it held trusts the
    holder, and the watchdog looks again. A refusal is no fault: the request waits on the queue, and the watchdog tries
    again.
    """
    turn = starting.take_turn()
    if turn is None:
        return None
    group, name = _job(place)
    try:
        under_way = turn.under_way(place, _executions(place), now(), policy())
        if under_way or not turn.announce(place, now()):
            return None
        with _readable():
            started = clients.container_apps().jobs.begin_start(group, name, polling=False, **AT_ONCE).result()
    except Exception as error:
        return _not_started(turn, place, error)
    else:
        turn.started(place, str(getattr(started, "name", None) or ""))
        return None
    finally:
        turn.end()


def _not_started(turn: starting.Turn, place: Place, error: Exception) -> Trouble:
    from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError, ServiceRequestError

    if not isinstance(error, AzureError):
        raise error
    status = error.status_code if isinstance(error, HttpResponseError) else None
    never_asked = isinstance(error, (ServiceRequestError, ClientAuthenticationError))
    if never_asked or surely_refused(status):
        turn.called_off(place)
    code = error.error.code if isinstance(error, HttpResponseError) and error.error else ""
    logging.warning("job not started: %s %s %s", place, status or type(error).__name__, code)
    why = trouble_of([code, error.message])
    return why if why is Trouble.NO_QUOTA else Trouble.NOT_STARTED


def stop(execution: Execution) -> None:
    """Stops an execution; one that is over already is no error, and one that cannot be stopped keeps nobody waiting."""
    from azure.core.exceptions import AzureError

    group, name = _job(execution.place)
    try:
        with _readable():
            clients.container_apps().jobs.begin_stop_execution(group, name, execution.name, polling=False, **AT_ONCE)
        logging.warning("job execution stopped: no sign of life since %s", execution.sign.isoformat())
    except AzureError as error:  # the next look tries again
        why = getattr(error, "status_code", None) or type(error).__name__
        logging.warning("job execution not stopped: %s", why)


def _executions(place: Place) -> list[Execution]:
    group, name = _job(place)
    with _readable():  # the watchdog asks again by itself
        listed = list(clients.container_apps().jobs_executions.list(group, name, **AT_ONCE))
    signs = last_signs([(one.start_time or now(), one.end_time) for one in listed], _beat(name))
    return [_execution(place, one, sign) for one, sign in zip(listed, signs, strict=True)]


@contextmanager
def _readable() -> Iterator[None]:
    """An answer that broke off, or is a page of a gateway's, is the service's fault like any other."""
    from azure.core.exceptions import DecodeError

    try:
        yield
    except ValueError:
        raise DecodeError("an answer that cannot be read") from None


def _execution(place: Place, one: Any, sign: datetime) -> Execution:
    replicas = one.detailed_status.replicas if one.detailed_status else None
    containers = [c for replica in replicas or () for c in replica.containers or ()]
    words = [one.reason, one.message, *(w for c in containers for w in (c.status, c.additional_information))]
    return Execution(
        place=place,
        name=str(one.name),
        alive=one.status in _ALIVE,
        sign=sign,
        trouble=trouble_of(words, [c.code for c in containers]) if one.status == _FAILED else None,
    )


def _beat(job: str) -> datetime | None:
    """When the job's execution last got somewhere: it writes this blob at each step."""
    from azure.core.exceptions import ResourceNotFoundError

    blob = clients.container(resource_names.STUDIES, resource_names.ANALYSIS).get_blob_client(blob_paths.beat_path(job))
    try:
        modified: datetime = blob.get_blob_properties().last_modified
    except ResourceNotFoundError:
        return None
    return modified


def _places() -> list[Place]:
    return [Place.MAIN, Place.FALLBACK] if settings().fallback_job_resource_id else [Place.MAIN]


def _job(place: Place) -> tuple[str, str]:
    chosen = settings()
    resource = chosen.job_resource_id if place is Place.MAIN else chosen.fallback_job_resource_id
    parts = resource.split("/")
    return parts[4], parts[-1]
