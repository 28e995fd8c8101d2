"""The job's port to Azure Storage: the studies account's three queues and three containers, nothing else."""

from __future__ import annotations

import base64
import math
import os
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    IncompleteReadError,
    ResourceExistsError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.storage.blob import BlobServiceClient, ContentSettings
from azure.storage.queue import QueueClient, QueueMessage, TextBase64EncodePolicy

from readfirst.domain import blob_paths, resource_names
from readfirst.domain.analysis.messages import InferenceAnswer
from readfirst.domain.analysis.turns import Queue
from readfirst.domain.faults import WrongCall
from readfirst.domain.routing.changes import ENTRIES

# Answers travel as the Functions host reads them. Requests are taken as they lie there, and read one by one: the client
# would fail at one that is no base64, and nobody would ever take it away.
_TEXT: dict[str, Any] = {"message_encode_policy": TextBase64EncodePolicy()}
_LEASE_SECONDS = 60
_REQUESTS: dict[Queue, str] = {
    "stat": resource_names.STAT_INFERENCE_REQUESTS,
    "routine": resource_names.INFERENCE_REQUESTS,
}
_BEAT_SECONDS = 5.0


class MissingSetting(WrongCall, ValueError):
    """The environment does not say where the studies account is, or says what makes no sense."""


@dataclass
class LeasedMessage:
    """A message that this process works on; others do not see it while it is renewed."""

    message: QueueMessage
    queue: Queue
    lost: bool = False  # somebody else has it, or has finished it

    @property
    def content(self) -> str:
        """The text in the message; raises ValueError for what is none."""
        return base64.b64decode(str(self.message.content), validate=True).decode()

    @property
    def tries(self) -> int:
        """How often the message has been taken, this time included."""
        return int(self.message.dequeue_count or 1)


class Studies:
    """The studies account as the job uses it."""

    def __init__(
        self,
        blobs: BlobServiceClient,
        requests: Mapping[Queue, QueueClient],
        results: QueueClient,
        lease_seconds: int = _LEASE_SECONDS,
        job: str = "local",
    ) -> None:
        self._job, self._last_beat = job, -_BEAT_SECONDS
        self._requests, self._results = requests, results
        self.lease_seconds = lease_seconds  # how long a request stays hidden when its worker has vanished
        self._clean, self._analysis, self._changes = (
            blobs.get_container_client(n)
            for n in (resource_names.CLEAN, resource_names.ANALYSIS, resource_names.MODEL_CHANGES)
        )
        self._entries: dict[str, bytes] = {}  # of the models' history: none ever changes
        self._held: list[LeasedMessage] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        threading.Thread(target=self._renew, daemon=True).start()

    # ------------------------------------------------------------ messages

    def take(self, queue: Queue) -> LeasedMessage | None:
        """A queue's next request, hidden from others for as long as this process lives; None when there is none."""
        message = self._requests[queue].receive_message(visibility_timeout=self.lease_seconds)
        if message is None:
            return None
        held = LeasedMessage(message, queue)
        with self._lock:
            self._held.append(held)
        return held

    def give_back(self, held: LeasedMessage, seconds: int = 0) -> None:
        """Lets others see the request again, after a while."""
        with self._lock:
            self._let_go(held)
            if not held.lost:
                self._update(held, seconds)

    def put_off(self, held: LeasedMessage, seconds: int) -> None:
        """Asks for the same again after a while, as if for the first time: what had no chance was not a try.

        Killed between the two steps, the request lies there twice, and the work is done once.
        """
        if self.renew(held):
            self._requests[held.queue].send_message(held.message.content, visibility_timeout=seconds)
            self.finish(held)

    def give_all_back(self) -> None:
        """Lets others see at once whatever this process holds."""
        with self._lock:
            for held in list(self._held):
                self._let_go(held)
                self._update(held, 0)

    def renew(self, held: LeasedMessage) -> bool:
        """Hides the request for another while; False when somebody else has it, or has finished it."""
        with self._lock:
            if not held.lost:
                self._update(held, self.lease_seconds)
        return not held.lost

    def finish(self, held: LeasedMessage) -> None:
        """Deletes the request: its answer has been given."""
        with self._lock:
            self._let_go(held)
            try:
                self._requests[held.queue].delete_message(held.message)
            except HttpResponseError as error:
                if not _is_lost(error):
                    raise
                held.lost = True

    def answer(self, answer: InferenceAnswer) -> None:
        """Tells the orchestration."""
        self._results.send_message(answer.model_dump_json())

    def _let_go(self, held: LeasedMessage) -> None:
        if held in self._held:
            self._held.remove(held)

    def _renew(self) -> None:
        while not self._closing.wait(self.lease_seconds / 3):
            with self._lock:
                for held in list(self._held):
                    with suppress(AzureError):  # the network's hiccup: the next round comes before the lease ends
                        self._update(held, self.lease_seconds)

    def _update(self, held: LeasedMessage, seconds: int) -> None:
        try:
            renewed = self._requests[held.queue].update_message(held.message, visibility_timeout=seconds)
            held.message.pop_receipt = renewed.pop_receipt
        except HttpResponseError as error:
            if not _is_lost(error):
                raise
            held.lost = True
            self._let_go(held)

    def beat(self) -> None:
        """A sign of life at a step done: the watchdog stops an execution that gives none for long."""
        if time.monotonic() - self._last_beat >= _BEAT_SECONDS:
            self._last_beat = time.monotonic()
            self.mention(blob_paths.beat_path(self._job), b"", "application/octet-stream")

    # ------------------------------------------------------------ blobs

    def read_clean(self, name: str) -> bytes | None:
        """A blob of container `clean`; None when it is not there."""
        return self._read(self._clean, name)

    def read_analysis(self, name: str) -> bytes | None:
        """A blob of container `analysis`; None when it is not there."""
        return self._read(self._analysis, name)

    def model_changes(self) -> list[bytes]:
        """The entries of the models' history as they are kept, in order."""
        names = list(self._changes.list_blob_names(name_starts_with=ENTRIES))
        for name in names:
            if name not in self._entries:
                self._entries[name] = bytes(self._changes.download_blob(name).readall())
        return [self._entries[name] for name in names]

    def write(self, name: str, content: bytes, content_type: str) -> None:
        """Writes a blob of container `analysis`, over an older one."""
        self._analysis.upload_blob(
            name, content, overwrite=True, content_settings=ContentSettings(content_type=content_type)
        )

    def mention(self, name: str, content: bytes, content_type: str) -> None:
        """Writes what helps and does not count: where it fails, the work goes on."""
        with suppress(AzureError):
            self.write(name, content, content_type)

    def write_once(self, name: str, content: bytes, content_type: str) -> bool:
        """Writes a blob of container `analysis` unless it is there already; returns whether it was written."""
        try:
            self._analysis.upload_blob(
                name, content, overwrite=False, content_settings=ContentSettings(content_type=content_type)
            )
        except ResourceExistsError as error:
            if error_code(error) != "BlobAlreadyExists":
                raise  # some other conflict: nothing is known to be there
            return False
        return True

    def close(self) -> None:
        """Stops renewing."""
        self._closing.set()

    @staticmethod
    def _read(container: Any, name: str) -> bytes | None:
        try:
            return bytes(container.download_blob(name).readall())
        except ResourceNotFoundError:
            return None


def _is_lost(error: HttpResponseError) -> bool:
    """Whether the queue says that the message is gone, or that somebody has taken it since."""
    return error_code(error) in ("MessageNotFound", "PopReceiptMismatch")


def is_away(error: Exception) -> bool:
    """Whether a fault is the service's, and passes: no answer came, one that broke off, or 408, 429, 5xx."""
    if isinstance(error, (ServiceRequestError, ServiceResponseError, IncompleteReadError)):
        return True
    status = error.status_code if isinstance(error, HttpResponseError) else None
    return status is not None and (status in (408, 429) or status >= 500)


def error_code(error: HttpResponseError) -> str:
    """The storage service's own code of an error: the SDK's class is the same for every answer 409."""
    code = getattr(error, "error_code", "")
    return str(getattr(code, "value", code))


def studies(environment: Mapping[str, str] = os.environ) -> Studies:
    """The studies account named by `STUDIES` (a connection string, locally) or by `STUDIES__blobServiceUri` and
    `STUDIES__queueServiceUri`, which a managed identity opens. Raises MissingSetting with what is missing or wrong."""
    job = environment.get("CONTAINER_APP_JOB_NAME") or "local"  # Container Apps sets it
    lease = round(number(environment, "LEASE_SECONDS", _LEASE_SECONDS, 1, 7 * 24 * 3600))
    if connection := environment.get(resource_names.STUDIES):
        try:
            blobs = BlobServiceClient.from_connection_string(connection)
            requests = {q: QueueClient.from_connection_string(connection, name) for q, name in _REQUESTS.items()}
            results = QueueClient.from_connection_string(connection, resource_names.INFERENCE_RESULTS, **_TEXT)
        except ValueError as error:
            raise MissingSetting(f"{resource_names.STUDIES} is not a connection string") from error
        return Studies(blobs, requests, results, lease, job)
    wanted = [f"{resource_names.STUDIES}__blobServiceUri", f"{resource_names.STUDIES}__queueServiceUri"]
    missing = [name for name in wanted if not environment.get(name)]
    if missing:
        raise MissingSetting(f"missing settings: {resource_names.STUDIES}, or {' and '.join(missing)}")
    from azure.identity import ManagedIdentityCredential

    credential = ManagedIdentityCredential(client_id=environment.get("AZURE_CLIENT_ID"))
    blobs, queues = BlobServiceClient(environment[wanted[0]], credential), environment[wanted[1]]
    requests = {queue: QueueClient(queues, name, credential) for queue, name in _REQUESTS.items()}
    results = QueueClient(queues, resource_names.INFERENCE_RESULTS, credential, **_TEXT)
    return Studies(blobs, requests, results, lease, job)


def number(environment: Mapping[str, str], name: str, usual: float, least: float, most: float) -> float:
    """A setting that is a number; raises MissingSetting when it is none, or none that makes sense."""
    try:
        found = float(environment.get(name) or usual)
    except ValueError:
        found = math.nan
    if not least <= found <= most:
        raise MissingSetting(f"{name} must be a number from {least:g} to {most:g}")
    return found
