"""Orchestrations from start to end, through the app's own functions and the SDK's client."""

from __future__ import annotations

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from azure.storage.queue import QueueClient

from tests.host.harness import DURABLE, Azurite, HostProcess
from tests.waiting import eventually

NEVER = "Activity function 'fails' failed:  KeyError: 'never'"


@pytest.mark.parametrize(
    ("orchestrator", "given", "output"),
    [
        ("chain", 4, 14),
        ("fan", 60, 70210),
        ("exhausted", None, NEVER),
        ("parent", None, [5, 14]),
        ("parent_of_failure", None, f"Orchestrator function 'uncaught' failed: {NEVER}"),
        ("rounds", 12, "done"),
        ("versioned", None, ["2.0", "2.0"]),
        ("large", 3_000_000, "x" * 3_000_000),
        ("race", 1, "too late"),
        ("retry", None, {"attempts": 3}),
    ],
)
def test_an_orchestration_completes_with_its_result(
    host: HostProcess, orchestrator: str, given: Any, output: Any
) -> None:
    host.begin(orchestrator, f"plain-{orchestrator}", given)
    end = host.end_of(f"plain-{orchestrator}")
    assert (end["runtimeStatus"], end["output"]) == ("Completed", output)


def test_an_exception_that_nobody_catches_fails_the_orchestration(host: HostProcess) -> None:
    host.begin("uncaught", "uncaught-1")
    end = host.end_of("uncaught-1")
    assert end["runtimeStatus"] == "Failed"
    assert end["output"].startswith(
        "Orchestrator function 'uncaught' failed: Activity function 'fails' failed:  KeyError"
    )


def test_an_orchestrator_that_raises_fails_at_once(host: HostProcess) -> None:
    host.begin("explodes", "explodes-1")
    assert host.end_of("explodes-1")["output"] == "Orchestrator function 'explodes' failed: orchestrator exploded"


def test_a_custom_status_and_the_version_are_shown(host: HostProcess) -> None:
    host.begin("versioned", "versioned-2")
    assert host.end_of("versioned-2")["customStatus"] == {"version": "2.0"}


def test_an_event_from_a_queue_wins_against_the_deadline(host: HostProcess, azurite: Azurite) -> None:
    host.begin("race", "race-won", 60)
    host.wait_until_running("race-won")
    answers = QueueClient.from_connection_string(azurite.connection_string, "answers")
    answers.create_queue()
    message = json.dumps({"instance": "race-won", "value": "yes"})
    answers.send_message(base64.b64encode(message.encode()).decode())
    assert json.loads(host.end_of("race-won")["output"]) in ("YES", '"YES"')


def test_an_event_that_comes_before_anybody_waits_is_kept(host: HostProcess) -> None:
    host.begin("rounds_with_timer", "early-event", 0)
    host.ask("POST", f"{DURABLE}/instances/early-event/raiseEvent/Answer", "7", {"Content-Type": "application/json"})
    assert host.end_of("early-event")["output"] == 7


def test_continue_as_new_keeps_the_history_short(host: HostProcess) -> None:
    host.begin("rounds", "many-rounds", 60)
    assert host.end_of("many-rounds")["output"] == "done"
    assert len(host.events("many-rounds")) <= 5


def test_an_activity_may_start_another_orchestration(host: HostProcess) -> None:
    host.begin("starter", "starter-1")
    assert host.end_of("starter-1")["output"] == "starter-1-other"
    assert host.end_of("starter-1-other")["output"] == "FROM AN ACTIVITY"


def test_a_termination_leaves_the_child_running(host: HostProcess) -> None:
    host.begin("parent_forever", "terminated-parent")
    eventually(lambda: host.status("terminated-parent-child"))
    assert host.ask("POST", "/api/do/terminate/terminated-parent", b"").json == {"r": None}
    end = host.end_of("terminated-parent")
    assert (end["runtimeStatus"], end["output"]) == ("Terminated", "because")
    host.wait_until_running("terminated-parent-child")
    assert host.status("terminated-parent-child")["runtimeStatus"] == "Running"
    host.ask("POST", "/api/do/raise/terminated-parent-child", b"")
    assert host.end_of("terminated-parent-child")["runtimeStatus"] == "Completed"


def test_a_suspended_orchestration_goes_on_only_when_resumed(host: HostProcess) -> None:
    host.begin("race", "suspended", 60)
    host.wait_until_running("suspended")
    host.ask("POST", "/api/do/suspend/suspended", b"")
    eventually(lambda: host.status("suspended")["runtimeStatus"] == "Suspended")
    assert host.status("suspended")["output"] == "because"
    host.ask("POST", "/api/do/raise/suspended", b"")
    time.sleep(0.5)
    assert host.status("suspended")["runtimeStatus"] == "Suspended"
    host.ask("POST", "/api/do/resume/suspended", b"")
    assert host.end_of("suspended")["runtimeStatus"] == "Completed"


def test_a_failed_orchestration_can_be_rewound(host: HostProcess) -> None:
    host.begin("once", "rewound")
    assert host.end_of("rewound")["runtimeStatus"] == "Failed"
    host.mend("once")
    assert host.ask("POST", "/api/do/rewind/rewound", b"").json == {"r": None}
    eventually(lambda: host.status("rewound")["runtimeStatus"] == "Completed")
    assert host.status("rewound")["output"] == 9


def test_a_purged_orchestration_is_gone(host: HostProcess) -> None:
    host.begin("chain", "purged", 1)
    host.end_of("purged")
    assert host.ask("POST", "/api/do/purge/purged", b"").json == {"r": 1}
    assert host.status("purged") is None


def test_the_client_lists_all_instances(host: HostProcess) -> None:
    host.begin("chain", "listed", 1)
    assert "listed" in host.ask("POST", "/api/do/list/x", b"").json["r"]


def test_an_activity_that_the_app_lacks_leaves_the_instance_running_and_is_told(host: HostProcess) -> None:
    host.begin("lost", "lost-1")
    eventually(lambda: "calls no_such_activity, which the app does not have" in host.log)
    assert host.status("lost-1")["runtimeStatus"] == "Running"
    host.ask("POST", "/api/do/terminate/lost-1", b"")
    assert host.end_of("lost-1")["runtimeStatus"] == "Terminated"


def test_code_that_changes_under_a_running_orchestration_fails_it(host: HostProcess) -> None:
    host.begin("changeable", "changed")
    output = host.end_of("changed")["output"]
    assert output.startswith(
        "Non-Deterministic workflow detected: A previous execution of this orchestration scheduled an"
    )
    assert "named 'square'" in output


def test_an_unknown_orchestrator_fails_and_names_the_known_ones(host: HostProcess) -> None:
    host.begin("nobody", "nobody-1")
    output = host.end_of("nobody-1")["output"]
    assert "The function 'nobody' doesn't exist, is disabled, or is not an orchestrator function." in output
    assert "'chain'" in output


def test_a_child_id_that_is_taken_fails_in_its_parents_eyes_only(host: HostProcess) -> None:
    host.begin("forever", "twice-child")
    host.begin("parent_forever", "twice")
    end = host.end_of("twice")
    assert end["runtimeStatus"] == "Failed"
    assert "already exists" in end["output"]
    assert host.status("twice-child")["runtimeStatus"] == "Running"


def test_twenty_orchestrations_at_once_all_end_right(host: HostProcess) -> None:
    with ThreadPoolExecutor(max_workers=20) as pool:
        list(pool.map(lambda n: host.begin("fan", f"crowd-{n}", 20), range(20)))
    assert {host.end_of(f"crowd-{n}")["output"] for n in range(20)} == {2470}
    assert all(len(host.events(f"crowd-{n}")) < 60 for n in range(20))


def test_no_more_activities_run_at_once_than_host_json_allows(own_host: HostProcess) -> None:
    own_host.app = own_host.with_host_json({"extensions": {"durableTask": {"maxConcurrentActivityFunctions": 2}}})
    own_host.start()
    for number in range(5):
        own_host.begin("naps", f"nap-{number}", 0.2)
    for number in range(5):
        own_host.end_of(f"nap-{number}")
    running = most = 0
    for note in own_host.notes("nap"):
        running += 1 if note == "began" else -1
        most = max(most, running)
    assert most == 2
