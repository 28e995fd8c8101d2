"""A real Azurite for the job's tests, and studies as the de-identification leaves them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
import pytest
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueClient, TextBase64DecodePolicy, TextBase64EncodePolicy

import readfirst.local
from readfirst.domain import blob_paths, resource_names
from readfirst.domain.analysis.findings import Analysis
from readfirst.domain.analysis.messages import AnalysisRequest, InferenceAnswer, InferenceRequest
from readfirst.domain.analysis.models import default_model
from readfirst.domain.analysis.series_selection import Selection, run_key, select_series
from readfirst.domain.deid import ReceiptBatch
from readfirst.domain.deid.receipt import PixelCheck, Receipt
from readfirst.domain.instance_facts import facts_of
from readfirst.local.phantom import write_phantom_study
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
AZURITE = Path(readfirst.local.__file__).parent / "node/node_modules/azurite/dist/src/azurite.js"
KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # Azurite's own, public
)


@pytest.fixture(scope="session")
def azurite() -> Iterator[str]:
    """The connection string of an Azurite in memory."""
    ports = _free(3)
    options = [f"--{kind}Port={port}" for kind, port in zip(("blob", "queue", "table"), ports, strict=True)]
    server = subprocess.Popen(
        ["node", str(AZURITE), "--inMemoryPersistence", "--silent", "--skipApiVersionCheck", *options]
    )
    try:
        for port in ports:
            _wait_for(port)
        ends = ";".join(
            f"{kind}Endpoint=http://127.0.0.1:{port}/devstoreaccount1"
            for kind, port in zip(("Blob", "Queue", "Table"), ports, strict=True)
        )
        yield f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={KEY};{ends};"
    finally:
        server.kill()
        server.wait()


def _free(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def _wait_for(port: int) -> None:
    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    eventually(listens)


@pytest.fixture(scope="session")
def forge() -> Iterator[subprocess.Popen[str]]:
    """The process that forks executions which end at a chosen point."""
    made = subprocess.Popen(
        [sys.executable, "-m", "tests.model.forge"], cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    yield made
    made.kill()
    made.communicate()


@dataclass
class Desk:
    """The studies account as the orchestration sees it, and the job as Container Apps starts it."""

    connection: str
    forge: subprocess.Popen[str]
    folder: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        blobs = BlobServiceClient.from_connection_string(self.connection)
        self.clean, self.analysis, self.changes = (
            blobs.get_container_client(n)
            for n in (resource_names.CLEAN, resource_names.ANALYSIS, resource_names.MODEL_CHANGES)
        )
        text = {"message_encode_policy": TextBase64EncodePolicy(), "message_decode_policy": TextBase64DecodePolicy()}
        self.requests, self.stat_requests, self.results = (
            QueueClient.from_connection_string(self.connection, n, **text)
            for n in (
                resource_names.INFERENCE_REQUESTS,
                resource_names.STAT_INFERENCE_REQUESTS,
                resource_names.INFERENCE_RESULTS,
            )
        )
        for container in (self.clean, self.analysis, self.changes):
            if not container.exists():
                container.create_container()
        for queue in (self.requests, self.stat_requests, self.results):
            with suppress(ResourceExistsError):
                queue.create_queue()
            queue.clear_messages()

    def order(self, study: Study, token: str, **changes: object) -> InferenceRequest:
        """Uploads a study's clean instances, receipts and order; returns the request (not yet sent)."""
        selection = study.selection
        instances = tuple(
            i.model_copy(update={"path": blob_paths.instance_path(token, i.series_uid, i.sop_uid)})
            for i in selection.instances
        )
        for before, after in zip(selection.instances, instances, strict=True):
            self.clean.upload_blob(after.path, study.contents[before.sop_uid], overwrite=True)
        receipts = blob_paths.receipts_path(token, 1, 1)
        batch = ReceiptBatch(token=token, receipts=tuple(_receipt(i.sop_uid, i.digest) for i in instances))
        self.clean.upload_blob(receipts, batch.model_dump_json(), overwrite=True)
        key = run_key(selection, str(changes.get("model_digest", default_model().digest)))
        order = AnalysisRequest(
            token=token, handle="ABCD1234", run_key=key, model_name=default_model().name,
            model_digest=default_model().digest, series_uid=selection.series_uid, instances=instances,
            receipts=(receipts,),
        ).model_copy(update=changes)  # fmt: skip
        path = blob_paths.order_path(token, key)
        self.clean.upload_blob(path, order.model_dump_json(), overwrite=True)
        return InferenceRequest(token=token, run_key=key, instance=f"{token}-1", order=path)

    def send(self, request: InferenceRequest, *, stat: bool = False) -> InferenceRequest:
        (self.stat_requests if stat else self.requests).send_message(request.model_dump_json())
        return request

    def start(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        """Starts an execution."""
        env = {"STUDIES": self.connection, "IDLE_SECONDS": "0.5", "LEASE_SECONDS": "3", "PATH": os.environ["PATH"]}
        job = subprocess.Popen(
            [sys.executable, *(command or ("-m", "model_container"))], env=env | environment, cwd=ROOT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.started.append(job)
        return job

    def drain(self, **environment: str) -> str:
        """Runs an execution to its end; returns what it printed."""
        status, said = self.run(environment)
        assert status == 0, said
        return said

    def run(self, environment: dict[str, str] | None = None, **orders: object) -> tuple[int, str]:
        """Forks an execution and waits for its end: exit status, and what it printed. `orders`: see forge.py."""
        log = self.folder / "said"
        log.unlink(missing_ok=True)
        env = {"STUDIES": self.connection, "IDLE_SECONDS": "0.2", "LEASE_SECONDS": "3", "PATH": os.environ["PATH"]}
        line = {"environment": env | (environment or {}), "log": str(log), **orders}
        assert self.forge.stdin is not None and self.forge.stdout is not None
        self.forge.stdin.write(json.dumps(line) + "\n")
        self.forge.stdin.flush()
        status = json.loads(self.forge.stdout.readline())["status"]
        return status, log.read_text()

    def wait_until_visible(self) -> None:
        """Until the request of an execution that died is on the queue again, or none is left."""
        eventually(lambda: not self.waiting() or self.requests.peek_messages())

    def answers(self) -> list[InferenceAnswer]:
        """The answers so far; they are taken from the queue."""
        found = []
        while (message := self.results.receive_message()) is not None:
            found.append(InferenceAnswer.model_validate_json(message.content))
            self.results.delete_message(message)
        return found

    def result(self, request: InferenceRequest) -> Analysis | None:
        blob = self.analysis.get_blob_client(blob_paths.result_path(request.token, request.run_key))
        return Analysis.model_validate_json(blob.download_blob().readall()) if blob.exists() else None

    def waiting(self) -> int:
        """Requests on the queue, hidden ones included."""
        queues = (self.requests, self.stat_requests)
        return sum(int(queue.get_queue_properties().approximate_message_count or 0) for queue in queues)


def _receipt(sop_uid: str, digest: str) -> Receipt:
    return Receipt(
        sop_uid=sop_uid, engine="1", table="2026d", profile="triage-default", profile_digest="0" * 64,
        input_digest="0" * 64, output_digest=digest, rules=(), residual="none found", residual_checked=0,
        pixels=PixelCheck(outcome="screened"),
    )  # fmt: skip


@dataclass
class Study:
    """A series as the rule chose it, and its files by SOP Instance UID."""

    selection: Selection
    contents: dict[str, bytes]


def read_study(folder: Path) -> Study:
    facts, contents = [], {}
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        content = path.read_bytes()
        fact = facts_of(pydicom.dcmread(io.BytesIO(content)), digest=hashlib.sha256(content).hexdigest())
        facts.append(fact)
        contents[fact.sop_uid] = content
    selection = select_series(facts, default_model().gate)
    assert isinstance(selection, Selection), selection
    return Study(selection, contents)


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A small chest with a large nodule."""
    folder = tmp_path_factory.mktemp("chest")
    write_phantom_study(folder, seed=3, slices=12, size=256, nodules=(30.0,))
    return read_study(folder)


@pytest.fixture
def desk(azurite: str, forge: subprocess.Popen[str], tmp_path: Path) -> Iterator[Desk]:
    made = Desk(azurite, forge, tmp_path)
    yield made
    for job in made.started:
        if job.poll() is None:
            job.kill()
        job.wait()
