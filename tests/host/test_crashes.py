"""kill -9 at any point, and start again: nothing is lost, nothing is committed twice."""

from __future__ import annotations

import base64
import json
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from azure.storage.blob import ContainerClient
from azure.storage.queue import QueueClient

from tests.host.harness import DURABLE, HostProcess
from tests.waiting import PATIENCE, eventually


def restart(host: HostProcess) -> None:
    host.kill()
    host.start()


def test_an_interrupted_activity_runs_again_at_once(own_host: HostProcess) -> None:
    own_host.start()
    own_host.begin("naps", "nap", 1.5)
    eventually(lambda: own_host.notes("nap") == ["began"])
    restart(own_host)
    assert own_host.end_of("nap")["output"] == 1.5
    assert own_host.notes("nap") == ["began", "began", "ended"]
    assert [e["EventType"] for e in own_host.events("nap")].count("TaskCompleted") == 1


def test_a_fan_out_survives_kills_at_any_moment(own_host: HostProcess) -> None:
    own_host.start()
    own_host.begin("fan", "fan", 300)
    chance = random.Random(7)
    for _ in range(3):
        time.sleep(chance.uniform(0.02, 0.25))
        restart(own_host)
    assert own_host.end_of("fan")["output"] == sum(n * n for n in range(300))
    completed = [e for e in own_host.events("fan") if e["EventType"] == "TaskCompleted"]
    assert len(completed) == 300
    assert set(Counter(own_host.notes("square"))) == {str(n) for n in range(300)}


def test_every_kind_of_waiting_survives_a_kill(own_host: HostProcess) -> None:
    own_host.start()
    own_host.begin("rounds", "rounds", 150)
    own_host.begin("race", "deadline", 3)
    own_host.begin("race", "event", 600)
    own_host.begin("parent", "parent")
    own_host.begin("forever", "forever")
    own_host.wait_until_running("event")
    restart(own_host)
    body, headers = '"yes"', {"Content-Type": "application/json"}
    assert own_host.ask("POST", f"{DURABLE}/instances/event/raiseEvent/Answer", body, headers).status == 202
    restart(own_host)
    assert own_host.end_of("deadline")["output"] == "too late"
    assert own_host.end_of("event")["output"] == '"YES"'
    assert own_host.end_of("parent")["output"] == [5, 14]
    assert own_host.end_of("rounds")["output"] == "done"
    assert own_host.status("forever")["runtimeStatus"] == "Running"


def test_a_start_that_was_acknowledged_is_never_lost(own_host: HostProcess) -> None:
    own_host.start()
    for number in range(4):
        own_host.begin("chain", f"started-{number}", 2)
        restart(own_host)
    assert {own_host.end_of(f"started-{number}")["output"] for number in range(4)} == {1}


def test_no_blob_is_lost_and_few_run_twice(own_host: HostProcess) -> None:
    inbox = ContainerClient.from_connection_string(own_host.storage, "inbox")
    inbox.create_container()
    own_host.start()
    names = [f"{number}" for number in range(200)]
    with ThreadPoolExecutor(max_workers=4) as pool:
        uploads = pool.map(lambda name: inbox.upload_blob(name, b"x"), names)
        time.sleep(0.7)
        restart(own_host)
        eventually(lambda: own_host.notes("blobs"))
        restart(own_host)
        list(uploads)
    eventually(lambda: set(own_host.notes("blobs")) == set(names))
    assert len(own_host.notes("blobs")) <= 200 + 2 * 16  # at most those that were running at each kill


def test_a_message_in_work_comes_again_at_once(own_host: HostProcess) -> None:
    own_host.start()
    work = QueueClient.from_connection_string(own_host.storage, "work")
    work.create_queue()
    work.send_message(base64.b64encode(b"slow").decode())
    eventually(lambda: own_host.notes("messages"))
    restart(own_host)
    eventually(lambda: own_host.notes("slow-done"))
    assert own_host.notes("messages") == [json.dumps(["slow", 1]), json.dumps(["slow", 2])]


def test_a_stop_is_quick_and_what_it_cuts_off_is_done_at_the_next_start(own_host: HostProcess) -> None:
    own_host.start()
    own_host.begin("naps", "short", 1.0)
    own_host.begin("naps", "long", 12.0)
    eventually(lambda: own_host.notes("nap") == ["began", "began"])
    assert own_host.stop() == 0
    assert own_host.notes("nap") == ["began", "began", "ended"], "the stop waited for the long one"
    own_host.start()
    assert own_host.status("short")["runtimeStatus"] == "Completed"  # it could finish while the host stopped
    assert own_host.end_of("long")["output"] == 12.0


def test_two_hosts_never_share_a_state_folder(own_host: HostProcess) -> None:
    own_host.start()
    second = HostProcess(own_host.folder, own_host.storage)
    second.start(ready=False)
    assert second.process is not None
    assert second.process.wait(PATIENCE) == 2
    assert "another embedded host uses" in own_host.log
    assert own_host.ask("GET", "/api/hello").status == 200
