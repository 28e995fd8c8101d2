"""Blob, queue and timer triggers on a real Azurite."""

from __future__ import annotations

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import ContainerClient
from azure.storage.queue import QueueClient

from tests.host.harness import Azurite, HostProcess
from tests.waiting import eventually


def container(azurite: Azurite, name: str) -> ContainerClient:
    client = ContainerClient.from_connection_string(azurite.connection_string, name)
    try:
        client.create_container()
    except ResourceExistsError:
        return client
    return client


def queue(azurite: Azurite, name: str) -> QueueClient:
    client = QueueClient.from_connection_string(azurite.connection_string, name)
    try:
        client.create_queue()
    except ResourceExistsError:
        return client
    return client


def messages(client: QueueClient) -> list[str]:
    try:
        return [message.content for message in client.peek_messages(max_messages=32)]
    except ResourceNotFoundError:
        return []


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


# --- blobs


def test_a_blob_runs_its_function_once_with_the_extensions_client(host: HostProcess, azurite: Azurite) -> None:
    container(azurite, "inbox").upload_blob("a/b c/ünï & <x>.dcm", b"1")
    eventually(lambda: "a/b c/ünï & <x>.dcm" in host.notes("blobs"))
    time.sleep(2.5)  # two more looks
    assert host.notes("blobs").count("a/b c/ünï & <x>.dcm") == 1


def test_no_blob_name_is_in_the_log_or_in_the_hosts_memory(host: HostProcess, azurite: Azurite) -> None:
    container(azurite, "inbox").upload_blob("Doe^Jane.dcm", b"1")
    eventually(lambda: "Doe^Jane.dcm" in host.notes("blobs"))
    time.sleep(0.5)
    assert "Doe^Jane" not in host.log
    assert not [p for p in (host.folder / "state").iterdir() if b"Doe^Jane" in p.read_bytes()]


def test_a_blob_that_is_written_again_runs_again_also_within_the_same_second(
    host: HostProcess, azurite: Azurite
) -> None:
    inbox = container(azurite, "inbox")
    for run in (1, 2, 3):
        inbox.upload_blob("again", b"same bytes", overwrite=True)
        eventually(lambda run=run: host.notes("blobs").count("again") == run)


def test_blobs_of_the_same_second_are_all_seen(host: HostProcess, azurite: Azurite) -> None:
    """The real host's polling misses a blob that is written in the second of the last one it has seen."""
    inbox = container(azurite, "inbox")
    for number in range(12):
        inbox.upload_blob(f"second-{number}", b"x")
        time.sleep(0.15)
    eventually(lambda: {f"second-{n}" for n in range(12)} <= set(host.notes("blobs")))


def test_six_hundred_blobs_at_once_run_once_each(host: HostProcess, azurite: Azurite) -> None:
    inbox = container(azurite, "inbox")
    names = [f"burst/{number}" for number in range(600)]
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(lambda name: inbox.upload_blob(name, b"x"), names))
    eventually(lambda: set(names) <= set(host.notes("blobs")), pause=0.3)
    time.sleep(2)
    seen = [name for name in host.notes("blobs") if name.startswith("burst/")]
    assert sorted(seen) == sorted(names)


def test_a_blob_whose_function_fails_is_tried_five_times_and_told_to_the_poison_queue(
    host: HostProcess, azurite: Azurite
) -> None:
    container(azurite, "inbox").upload_blob("bad-1", b"x")
    poison = queue(azurite, "webjobs-blobtrigger-poison")
    (message,) = eventually(lambda: messages(poison))
    told = json.loads(base64.b64decode(message))
    assert told["FunctionId"] == "Host.Functions.on_blob"
    assert (told["ContainerName"], told["BlobName"]) == ("inbox", "bad-1")
    time.sleep(2)
    assert host.notes("blobs").count("bad-1") == 5


def test_a_stream_carries_name_length_content_and_metadata(host: HostProcess, azurite: Azurite) -> None:
    container(azurite, "texts").upload_blob("d/some.file.txt", "hello", metadata={"Owner": "me"})
    (note,) = eventually(lambda: host.notes("texts"))
    assert json.loads(note) == ["texts/d/some.file.txt", 5, "hello", {"Owner": "me"}]


def test_a_blob_that_does_not_match_the_path_is_left_alone(host: HostProcess, azurite: Azurite) -> None:
    texts = container(azurite, "texts")
    texts.upload_blob("no-extension", "hello")
    texts.upload_blob("deep/er/other.txt", "hello")
    eventually(lambda: any("deep/er/other.txt" in note for note in host.notes("texts")))
    assert not any("no-extension" in note for note in host.notes("texts"))


def test_blob_inputs_and_outputs_follow_the_route(host: HostProcess, azurite: Azurite) -> None:
    assert host.ask("POST", "/api/copy/absent", b"").status == 404
    container(azurite, "inbox").upload_blob("original", b"content")
    copies = container(azurite, "copies")
    assert host.ask("POST", "/api/copy/original", b"").text == "copied"
    assert copies.download_blob("original").readall() == b"content"


# --- queues


def test_a_message_is_decoded_run_and_deleted(host: HostProcess, azurite: Azurite) -> None:
    work = queue(azurite, "work")
    work.send_message(encoded('{"a":1,"b":"ü"}'))
    eventually(lambda: json.dumps(['{"a":1,"b":"ü"}', 1]) in host.notes("messages"))
    eventually(lambda: work.get_queue_properties().approximate_message_count == 0)


def test_a_queue_output_reaches_the_queues_function(host: HostProcess) -> None:
    assert host.ask("POST", "/api/enqueue", "from an output").status == 202
    eventually(lambda: json.dumps(["from an output", 1]) in host.notes("messages"))


def test_a_failing_message_is_tried_five_times_and_ends_in_the_poison_queue(
    host: HostProcess, azurite: Azurite
) -> None:
    queue(azurite, "work").send_message(encoded("fail"))
    poison = queue(azurite, "work-poison")
    eventually(lambda: encoded("fail") in messages(poison))
    counts = [json.loads(note)[1] for note in host.notes("messages") if json.loads(note)[0] == "fail"]
    assert counts == [1, 2, 3, 4, 5]


def test_a_failing_message_waits_as_long_and_is_tried_as_often_as_host_json_says(
    own_host: HostProcess, azurite_of_own_hosts: Azurite
) -> None:
    patience = {"visibilityTimeout": "00:00:02", "maxDequeueCount": 3}
    own_host.folder.mkdir(parents=True)
    own_host.app = own_host.with_host_json({"extensions": {"queues": patience}})
    own_host.start()
    began = time.monotonic()
    queue(azurite_of_own_hosts, "work").send_message(encoded("fail"))
    poison = queue(azurite_of_own_hosts, "work-poison")
    eventually(lambda: encoded("fail") in messages(poison), 60)
    assert time.monotonic() - began >= 4, "two waits lie between three tries"
    assert [json.loads(note)[1] for note in own_host.notes("messages")] == [1, 2, 3]


def test_a_message_that_is_not_base64_goes_to_the_poison_queue_unseen(host: HostProcess, azurite: Azurite) -> None:
    queue(azurite, "work").send_message("not base64!")
    poison = queue(azurite, "work-poison")
    eventually(lambda: "not base64!" in messages(poison))
    assert not any("not base64" in note for note in host.notes("messages"))


# --- timers


def test_a_timer_function_runs_on_its_schedule(host: HostProcess) -> None:
    before = len(host.notes("often"))
    eventually(lambda: len(host.notes("often")) >= before + 3)


def test_a_missed_run_is_made_up_for_and_says_so(own_host: HostProcess) -> None:
    own_host.start()
    own_host.stop()
    own_host.forget_to_run("nightly")
    own_host.start()
    (note,) = eventually(lambda: own_host.notes("nightly"))
    assert json.loads(note)[0] is True
    eventually(lambda: "Executed 'nightly'" in own_host.log)
    eventually(lambda: own_host.remembers_its_run("nightly"))  # else it would be made up for again
    own_host.kill()
    own_host.start()
    time.sleep(1)
    assert len(own_host.notes("nightly")) == 1


def test_the_host_waits_for_a_storage_that_is_away(own_host: HostProcess) -> None:
    own_host.storage = own_host.storage.replace("127.0.0.1", "127.0.0.2")  # nobody listens there
    own_host.start()
    eventually(lambda: "cannot be listed" in own_host.log)
    assert own_host.ask("GET", "/api/hello").status == 200
