"""The recorded table of the Durable HTTP API, request by request in its order, against the embedded host."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.host.harness import Answer, Azurite, HostProcess

DATA = Path(__file__).parent / "data"
TABLE = json.loads((DATA / "management_api.json").read_text())
# What depends on every other instance of the recorded hub: its shape is compared, not its content.
LISTS = "GET instances"
PURGED_MANY = "DELETE instances createdTimeFrom..To with runtimeStatus=Terminated"
UNSET = ("createdTime", "lastUpdatedTime", "StackTrace", "ExceptionMessage", "Timestamp", "ScheduledTime", "Details")


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory, azurite: Azurite) -> Iterator[dict[str, Answer]]:
    """The answers to the whole table: later requests build on earlier ones."""
    app = Path(__file__).parent / "app"
    with HostProcess(tmp_path_factory.mktemp("management"), azurite.connection_string, app) as host:
        host.begin("chain", "g-chain", "hello")
        host.begin("boom_orch", "g-boom_orch")
        host.begin("act_fail", "g-act_fail", "q")
        host.begin("forever", "g-terminate")
        host.ask("POST", "/runtime/webhooks/durabletask/instances/g-terminate/terminate?reason=be%20gone", b"")
        for instance in ("g-chain", "g-boom_orch", "g-act_fail", "g-terminate"):
            host.end_of(instance)
        yield {entry["label"]: ask(host, entry) for entry in TABLE}


def ask(host: HostProcess, entry: dict[str, Any]) -> Answer:
    settle(host, entry)
    headers = {"Content-Type": entry["contentType"]} if entry["contentType"] else {}
    if entry["label"].endswith("continuation token"):
        headers["x-ms-continuation-token"] = "QGE="
    body = entry["body"] if entry["body"] is not None else (b"" if entry["method"] == "POST" else None)
    if body == b"" and not headers:
        return host.ask_without_type(entry["method"], entry["path"])
    return host.ask(entry["method"], entry["path"], body, headers)


def settle(host: HostProcess, entry: dict[str, Any]) -> None:
    """The recording paused between its requests; here each waits for the state in which it found the instance."""
    found = re.search(r"/instances/([\w-]+)", entry["path"])
    recorded = entry.get("json")
    if entry["method"] == "GET" and found and isinstance(recorded, dict) and entry["status"] == 200:
        host.end_of(found[1])
    elif entry["status"] in (410, 412) or "Running" in entry["label"] or "a-f1" in entry["path"]:
        name = found[1] if found else "a-f1"
        status = host.status(name)
        if status and status["runtimeStatus"] == "Pending":
            host.wait_until_running(name)
    if found and (entry["status"] == 410 or "completed" in entry["label"]):
        host.end_of(found[1])  # a rewind that was accepted before may be under way


@pytest.mark.parametrize("entry", TABLE, ids=lambda entry: entry["label"])
def test_the_embedded_host_answers_as_recorded(entry: dict[str, Any], replayed: dict[str, Answer]) -> None:
    answer = replayed[entry["label"]]
    assert answer.status == entry["status"], answer.text
    assert answer.headers.get("Retry-After") == entry["headers"].get("Retry-After")
    assert ("Location" in answer.headers) == ("Location" in entry["headers"])
    if entry["label"] == PURGED_MANY:
        assert answer.json["instancesDeleted"] > 0
    elif entry["label"].startswith(LISTS):
        assert isinstance(answer.json, list)
        assert all(set(item) == set(entry["json"][0]) for item in answer.json if entry["json"])
        assert bool(answer.json) == bool(entry["json"])
    elif "json" in entry:
        assert comparable(answer.json) == comparable(entry["json"])
    else:
        assert answer.body == b""


def comparable(value: Any) -> Any:
    """Without times, random ids, this host's port, and the stacks of a .NET process."""
    if isinstance(value, dict):
        return {key: None if key in UNSET else comparable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if not isinstance(value, str):
        return value
    text = value.split("\n")[0]
    text = re.sub(r"localhost:\d+", "localhost:PORT", text)
    return re.sub(r"[0-9a-f]{32}", "ID", text)
