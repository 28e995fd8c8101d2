"""One caller at a time starts a job, and what it started counts although Azure does not list it yet.

A lease on a blob gives the turn; the blob says what was started last. Azure Resource Manager has no key that makes a
start happen once, lists executions late, and may carry out a start whose answer never comes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from readfirst.adapters import blobs, clients
from readfirst.domain import resource_names
from readfirst.domain.analysis.watchdog import Execution, Place, Policy, hung, listed

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient, BlobLeaseClient

_BLOB = "locks/starting-the-job"
_SECONDS = 60  # of the lease: renewed before a start, which ends within AT_ONCE's timeouts


class Turn:
    """The lease, while it is held."""

    def __init__(self, blob: BlobClient, lease: BlobLeaseClient) -> None:
        self._blob, self._lease = blob, lease
        self._before: dict[str, Any] | None = None
        self._last: dict[str, Any] = json.loads(blob.download_blob().readall() or b"{}")

    def under_way(self, place: Place, executions: Sequence[Execution], now: datetime, policy: Policy) -> bool:
        """Whether an execution of the job is alive and not hung, or was started just now and is not listed yet."""
        if any(execution.alive and not hung(execution, now, policy) for execution in executions):
            return True
        last = self._last.get(place)
        return last is not None and not listed(last["name"], datetime.fromisoformat(last["at"]), executions, now)

    def announce(self, place: Place, now: datetime) -> bool:
        """Notes that the job is being started. Returns False where the turn has passed to somebody else."""
        from azure.core.exceptions import HttpResponseError

        try:
            self._lease.renew()
            self._before = dict(self._last)
            self._note(place, {"name": "", "at": now.isoformat()})
        except HttpResponseError as error:
            if error.status_code not in (409, 412):
                raise
            return False
        return True

    def started(self, place: Place, name: str) -> None:
        """Notes the execution's name. A note that fails is no fault: the job runs, and its start is noted."""
        from azure.core.exceptions import AzureError

        with suppress(AzureError):
            self._note(place, {**self._last[place], "name": name})

    def called_off(self, place: Place) -> None:
        """Notes that nothing was started after all."""
        from azure.core.exceptions import AzureError

        if self._before is None:
            return  # it was not announced
        with suppress(AzureError):
            self._note(place, self._before.get(place))

    def end(self) -> None:
        """Lets others have their turn. A lease that cannot be released ends by itself."""
        from azure.core.exceptions import AzureError

        with suppress(AzureError):
            self._lease.release()

    def _note(self, place: Place, what: dict[str, str] | None) -> None:
        self._last[place] = what
        self._blob.upload_blob(json.dumps(self._last).encode(), overwrite=True, lease=self._lease)


def take_turn() -> Turn | None:
    """The turn to start a job; None while somebody else has it."""
    from azure.core.exceptions import HttpResponseError

    container = clients.container(resource_names.STUDIES, resource_names.ANALYSIS)
    blob = container.get_blob_client(_BLOB)
    try:
        if not blob.exists():
            blobs.put_once(container, _BLOB, b"")
        return Turn(blob, blob.acquire_lease(_SECONDS))
    except HttpResponseError as error:
        if blobs.code_of(error) in ("LeaseAlreadyPresent", "LeaseIdMissing"):
            return None
        raise
