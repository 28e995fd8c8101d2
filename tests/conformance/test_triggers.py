"""What functions receive: the recorded values and metadata of the real host, made again by the embedded one."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from azure.functions.meta import Datum
from azure.storage.queue import QueueMessage

from readfirst.local.host.durable.engine import activity_metadata
from readfirst.local.host.triggers.blobs import blob_metadata, parse_path
from readfirst.local.host.triggers.queues import message_metadata
from readfirst.local.host.triggers.timers import timer_info

RECORDED = json.loads((Path(__file__).parent / "data/triggers.json").read_text())


def of_kind(kind: str) -> list[Any]:
    return [entry for entry in RECORDED if entry["kind"].startswith(kind)]


def shown(metadata: dict[str, Datum]) -> dict[str, Any]:
    return {key: {datum.type: datum.value} for key, datum in metadata.items()}


@pytest.mark.parametrize("entry", of_kind("activity"))
def test_an_activity_is_told_its_input_and_its_instance(entry: Any) -> None:
    parameter, document = entry["input"]["name"], entry["input"]["data"]["string"]
    ours = shown(activity_metadata(parameter, "g-chain", document))
    assert ours["data"] == entry["metadata"]["data"]
    assert ours["instanceId"] == entry["metadata"]["instanceId"]
    assert ours[parameter] == entry["metadata"][parameter]
    assert ours == entry["metadata"]


@pytest.mark.parametrize("entry", of_kind("queue"))
def test_a_queue_function_is_told_about_its_message(entry: Any) -> None:
    recorded = entry["metadata"]
    message = QueueMessage(content="", id=recorded["Id"]["string"])
    message.pop_receipt = recorded["PopReceipt"]["string"]
    message.dequeue_count = json.loads(recorded["DequeueCount"]["json"])
    message.inserted_on = moment(recorded["InsertionTime"])
    message.expires_on = moment(recorded["ExpirationTime"])
    message.next_visible_on = moment(recorded["NextVisibleTime"])
    assert shown(message_metadata(message, entry["input"]["data"]["string"])) == recorded


@pytest.mark.parametrize("entry", of_kind("blob"))
def test_a_blob_function_is_told_where_its_blob_lies(entry: Any) -> None:
    recorded = entry["metadata"]
    container, pattern, _ = parse_path("incoming/{name}")
    name = recorded["BlobTrigger"]["string"].partition("/")[2]
    ours = shown(blob_metadata(container, name, json.loads(recorded["Uri"]["json"]), pattern))
    assert ours == {key: value for key, value in recorded.items() if key not in ("Properties", "Metadata")}


@pytest.mark.parametrize("entry", of_kind("timer"))
def test_a_timer_function_is_told_its_schedules_status(entry: Any) -> None:
    recorded = json.loads(entry["input"]["data"]["json"])
    status = recorded["ScheduleStatus"]
    due = datetime.fromisoformat(status["Next"]) if status else datetime.fromisoformat("2026-11-22T15:18:12+00:00")
    assert timer_info(status["Last"] if status else None, due, past_due=False) == recorded


def moment(recorded: dict[str, str]) -> datetime:
    return datetime.fromisoformat(json.loads(recorded["json"]))
