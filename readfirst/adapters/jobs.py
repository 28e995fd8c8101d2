"""The GPU job: its queue of requests, and Azure Resource Manager's jobs/start for it."""

from __future__ import annotations

from readfirst.adapters import clients
from readfirst.adapters.settings import settings
from readfirst.domain import names
from readfirst.domain.messages import InferenceRequest

_ALIVE = {"Running", "Processing", "Unknown"}
_LEASE = "starting-the-job"
_LEASE_SECONDS = 60


def request(message: InferenceRequest) -> None:
    """Puts a request on the queue; it waits there for a week."""
    clients.queue(names.INFERENCE_REQUESTS).send_message(message.model_dump_json())


def requests_waiting() -> bool:
    """Whether requests lie on the queue, being worked on or not (the count is approximate)."""
    return bool(clients.queue(names.INFERENCE_REQUESTS).get_queue_properties().approximate_message_count)


def running() -> bool:
    """Whether an execution of the job is alive."""
    group, name = _job()
    executions = clients.container_apps().jobs_executions.list(group, name)
    return any(execution.status in _ALIVE for execution in executions)


def start() -> bool:
    """Starts an execution unless one is alive: it drains the whole queue. Returns whether one was started.

    A lease on a blob keeps two callers from starting two; who finds it held trusts the holder, and the watchdog
    looks again.
    """
    from azure.core.exceptions import HttpResponseError, ResourceExistsError

    blob = clients.container(names.STUDIES, names.ANALYSIS).get_blob_client(f"locks/{_LEASE}")
    try:
        blob.upload_blob(b"", overwrite=False)
    except (ResourceExistsError, HttpResponseError) as error:
        if error.status_code not in (409, 412):
            raise
    try:
        lease = blob.acquire_lease(_LEASE_SECONDS)
    except HttpResponseError as error:
        if error.status_code == 409:
            return False
        raise
    try:
        if running():
            return False
        group, name = _job()
        clients.container_apps().jobs.begin_start(group, name, polling=False)
        return True
    finally:
        lease.release()


def _job() -> tuple[str, str]:
    parts = settings().job_resource_id.split("/")
    return parts[4], parts[-1]
