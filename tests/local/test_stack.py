"""The stack as a whole: it starts, stops, survives, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import requests
from azure.data.tables import TableServiceClient
from azure.identity import ManagedIdentityCredential
from azure.keyvault.secrets import SecretClient
from azure.mgmt.appcontainers import ContainerAppsAPIClient
from azure.storage.blob import BlobServiceClient, ContainerClient
from azure.storage.queue import QueueClient

from readfirst.domain import resource_names
from readfirst.local.ports import HOST, PortsTaken, choose
from readfirst.local.processes import StackError
from readfirst.local.stack import Stack, running_stack
from tests.waiting import PATIENCE, eventually

pytestmark = pytest.mark.stack


def processes_of(state: Path) -> list[psutil.Process]:
    """Every other living process that was told of the state directory, on its command line or in its environment."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            told = [*process.cmdline(), *process.environ().values()]
            if process.pid != os.getpid() and any(str(state) in word for word in told):
                found.append(process)
    return found


Up = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def up() -> Iterator[Up]:
    """`readfirst up` without the Functions host, as a person starts it; a test that fails leaves none behind."""
    started: list[subprocess.Popen[str]] = []

    def start(state: Path, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "readfirst.cli", "up", "--state", str(state), "--without-host", *options]
        narrow = {**os.environ, "COLUMNS": "20"}  # what a person has to read and copy comes whole all the same
        process = subprocess.Popen(command, env=narrow, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def blobs(stack: Stack, container: str = resource_names.CLEAN) -> ContainerClient:
    return BlobServiceClient.from_connection_string(stack.environment[resource_names.STUDIES]).get_container_client(
        container
    )


def test_what_was_stored_survives_a_restart_at_the_same_addresses(tmp_path: Path) -> None:
    with Stack(tmp_path, with_host=False) as first, pytest.MonkeyPatch.context() as patch:
        start_hanging_job(tmp_path, patch)
        blobs(first).upload_blob("study/one", b"pixels")
        root = secret(first)
        environment = first.environment
    assert processes_of(tmp_path) == [], "the job was stopped too"
    with Stack(tmp_path, with_host=False) as second:
        assert second.environment == environment
        assert blobs(second).download_blob("study/one").readall() == b"pixels"
        assert secret(second) == root


def secret(stack: Stack) -> str | None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in stack.environment.items():
            patch.setenv(name, value)
        vault = SecretClient(stack.environment["KEY_VAULT_URI"], ManagedIdentityCredential())
        return vault.get_secret(resource_names.ROOT_SECRET).value


def test_two_stacks_run_side_by_side_and_share_nothing(tmp_path: Path) -> None:
    with Stack(tmp_path / "a", with_host=False) as a, Stack(tmp_path / "b", with_host=False) as b:
        blobs(a).upload_blob("only-in-a", b"")
        assert [blob.name for blob in blobs(b).list_blobs()] == []
        different = {name for name, value in a.environment.items() if b.environment[name] != value}
        assert {"UPLOADS", "COSMOS_KEY", "KEY_VAULT_URI", "IDENTITY_HEADER", "OIDC_ISSUER"} <= different


def test_writes_that_azurite_acknowledged_survive_its_sigkill(tmp_path: Path) -> None:
    with Stack(tmp_path, with_host=False) as stack:
        container = blobs(stack)
        queue = QueueClient.from_connection_string(stack.environment[resource_names.STUDIES], resource_names.COMMANDS)
        tables = TableServiceClient.from_connection_string(stack.environment["AzureWebJobsStorage"])
        tables.create_table("dropped")
        table = tables.create_table("hub")
        tables.delete_table("dropped")
        for n in range(10):
            container.upload_blob(f"{n}", bytes([n]) * 1000, metadata={"n": str(n)})
            queue.send_message(str(n))
            table.upsert_entity({"PartitionKey": "p", "RowKey": str(n), "value": n})
        container.upload_blob("3", b"newer", overwrite=True)
        container.delete_blob("4")
        queue.delete_message(next(iter(queue.receive_messages())))
        table.delete_entity("p", "5")
        for _ in range(2):  # the second time, the journal begins after a snapshot
            stack.kill("azurite")
            for journal in stack.folders.azurite.glob("*.journal-*"):
                with journal.open("a") as file:
                    file.write('["put","$BLOBS')  # the kill came in the middle of an entry
            stack.restart("azurite")
            assert sorted(blob.name for blob in container.list_blobs()) == [*"012356789"]
            assert container.download_blob("3").readall() == b"newer"
            assert container.get_blob_client("9").get_blob_properties().metadata == {"n": "9"}
            assert queue.get_queue_properties().approximate_message_count == 9
            assert sorted(entity["value"] for entity in table.list_entities()) == [0, 1, 2, 3, 4, 6, 7, 8, 9]
            assert [item.name for item in tables.list_tables()] == ["hub"]


def test_a_second_stack_on_the_same_state_says_that_one_runs(up: Up, tmp_path: Path) -> None:
    with Stack(tmp_path, with_host=False) as stack:
        assert running_stack(tmp_path) == {
            "pid": os.getpid(),
            "ports": vars(stack.ports),
            "environment": stack.environment,
            "password": stack.password,
        }
        second = up(tmp_path, "--ports", "auto")
        said, _ = second.communicate(timeout=PATIENCE)
        assert second.returncode == 1
        assert f"a stack already runs on {tmp_path} (process {os.getpid()}, since" in said
        assert running_stack(tmp_path), "the first one goes on, and is still known"
        assert blobs(stack).exists()
    assert running_stack(tmp_path) is None


def test_a_port_in_use_is_named_with_what_to_do(tmp_path: Path) -> None:
    ports = choose("auto", ())
    with socket.create_server((HOST, ports.cosmos)), pytest.raises(PortsTaken) as error:
        Stack(tmp_path, ports.cosmos - 8081, with_host=False).start()
    assert f"{ports.cosmos} (cosmos)" in str(error.value)
    assert "--port-offset" in str(error.value)
    assert processes_of(tmp_path) == []


@pytest.mark.parametrize("offset", [60_000, -10_000, 10**9])
def test_an_offset_beyond_the_ports_that_there_are_is_refused_with_its_bounds(
    up: Up, tmp_path: Path, offset: int
) -> None:
    process = up(tmp_path, "--port-offset", str(offset))
    said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "--port-offset is between -3256 and 55533" in said
    assert "Traceback" not in said
    assert processes_of(tmp_path) == []


def test_a_state_folder_that_is_a_file_is_refused_in_words(up: Up, tmp_path: Path) -> None:
    file = tmp_path / "state"
    file.write_text("")
    for state in (file, file / "below"):
        process = up(state, "--ports", "auto")
        said, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1
        assert "a file is there" in said and "Traceback" not in said
        assert running_stack(state) is None


def test_the_demonstration_refuses_such_a_folder_in_words_too(tmp_path: Path) -> None:
    file = tmp_path / "state"
    file.write_text("")
    command = [sys.executable, "-m", "readfirst.cli", "demo", "--state", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    assert "a file is there" in done.stdout + done.stderr and "Traceback" not in done.stdout + done.stderr


def test_a_server_that_cannot_start_is_named_with_the_end_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODE_OPTIONS", "--require /does/not/exist.js")
    with pytest.raises(StackError, match=r"(?s)azurite ended while starting.*does/not/exist"):
        Stack(tmp_path, with_host=False).start()
    assert processes_of(tmp_path) == []


def test_after_sigkill_of_the_whole_command_nothing_runs_and_the_next_start_works(up: Up, tmp_path: Path) -> None:
    process = up(tmp_path, "--ports", "auto")
    eventually(lambda: running_stack(tmp_path))
    with pytest.MonkeyPatch.context() as patch:
        start_hanging_job(tmp_path, patch)
    assert any("job_runner" in " ".join(p.cmdline()) for p in processes_of(tmp_path))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    eventually(lambda: processes_of(tmp_path) == [])
    assert running_stack(tmp_path) is None
    with Stack(tmp_path, with_host=False) as stack:
        assert blobs(stack).exists()


def start_hanging_job(state: Path, patch: pytest.MonkeyPatch) -> None:
    running = running_stack(state)
    assert running
    for name, value in running["environment"].items():
        patch.setenv(name, value)
    fault = {"service": "jobs", "kind": "hang"}
    requests.post(f"http://{HOST}:{running['ports']['desk']}/faults", json=fault, timeout=PATIENCE).raise_for_status()
    parts = os.environ["JOB_RESOURCE_ID"].split("/")
    client = ContainerAppsAPIClient(ManagedIdentityCredential(), parts[2], base_url=os.environ["ARM_ENDPOINT"])
    client.jobs.begin_start(parts[4], parts[8]).result()


@pytest.mark.parametrize("seconds", [0.0, 0.2, 0.8, 2.0])
def test_ctrl_c_at_any_moment_of_the_start_leaves_no_process_behind(up: Up, tmp_path: Path, seconds: float) -> None:
    process = up(tmp_path, "--ports", "auto")
    eventually(lambda: (tmp_path / "lock").exists())
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=PATIENCE)
    assert "Stopping" in said and "Traceback" not in said
    eventually(lambda: processes_of(tmp_path) == [])  # one that was just being started ends when its parent is gone
    assert process.returncode == 0


def test_a_second_ctrl_c_ends_everything_at_once(up: Up, tmp_path: Path) -> None:
    process = up(tmp_path, "--ports", "auto")
    eventually(lambda: running_stack(tmp_path))
    (azurite,) = [p for p in processes_of(tmp_path) if "azurite.cjs" in " ".join(p.cmdline())]
    azurite.suspend()  # it will not react to SIGTERM: stopping takes its time
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert any("Stopping" in line for line in process.stdout)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    eventually(lambda: processes_of(tmp_path) == [])


def test_a_server_that_ends_by_itself_is_started_again(up: Up, tmp_path: Path) -> None:
    process = up(tmp_path, "--ports", "auto")
    try:
        eventually(lambda: running_stack(tmp_path))
        (first,) = [p for p in processes_of(tmp_path) if "cosmos.cjs" in " ".join(p.cmdline())]
        first.kill()
        eventually(lambda: [p for p in processes_of(tmp_path) if "cosmos.cjs" in " ".join(p.cmdline())])
    finally:
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=PATIENCE)
    assert "cosmos ended by itself; starting it again" in said
    assert processes_of(tmp_path) == []


def test_the_index_answers_that_a_document_is_not_there(stack: Stack) -> None:
    from azure.cosmos import CosmosClient
    from azure.cosmos.exceptions import CosmosResourceNotFoundError

    settings = stack.environment
    client = CosmosClient(settings["COSMOS_ENDPOINT"], settings["COSMOS_KEY"])
    container = client.get_database_client(settings["COSMOS_DATABASE"]).get_container_client("studies")
    with pytest.raises(CosmosResourceNotFoundError):
        container.read_item("nobody", partition_key="lakeside")
