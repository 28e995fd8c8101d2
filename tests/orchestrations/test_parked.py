"""A message waits for its service for hours; what nobody can read is set aside at once, and can be put back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import azure.functions as func
import pytest
from typer.testing import CliRunner

from function_app.triggers.commands import take_command
from function_app.triggers.deliveries import take_delivery
from function_app.triggers.erasures import erase_identity
from function_app.triggers.inference import take_answer
from function_app.triggers.rotate_identity import rewrap_identities
from function_app.triggers.rotate_intake import rotate_secrets
from readfirst.adapters import clients
from readfirst.adapters.studies import parked
from readfirst.cli import build
from readfirst.domain import resource_names
from readfirst.local.host.settings import read_options
from readfirst.local.processes import PROJECT

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("settings")]
READERS = {
    resource_names.COMMANDS: take_command,
    resource_names.INFERENCE_RESULTS: take_answer,
    resource_names.ERASURES: erase_identity,
    resource_names.IDENTITY_ROTATION: rewrap_identities,
    resource_names.INTAKE_ROTATION: rotate_secrets,
    resource_names.DELIVERIES: take_delivery,
}


@pytest.fixture(autouse=True)
def nothing_waits(settings: None) -> Iterator[None]:
    """Other tests leave messages that nobody takes without a host."""
    _clear()
    yield
    _clear()


def _clear() -> None:
    for queue in resource_names.WAKING_QUEUES:
        clients.queue(parked.name_of(queue)).clear_messages()
        clients.queue(queue).clear_messages()


def take(trigger: Any, body: bytes) -> None:
    function = trigger._function.get_user_function()
    message = func.QueueMessage(body=body)
    if hasattr(function, "client_function"):
        asyncio.run(function.client_function(message, None))
    else:
        function(message)


def test_a_message_has_hours_until_it_is_given_up() -> None:
    queues = read_options(PROJECT).queues
    assert queues.retry_delay >= timedelta(seconds=10), "five tries must not pass in a moment"
    assert queues.retry_delay * queues.max_dequeue_count >= timedelta(hours=8)


@pytest.mark.parametrize("queue", READERS)
def test_a_message_that_cannot_be_read_is_parked_at_once_and_listed(queue: str) -> None:
    take(READERS[queue], b"nothing of ours")
    assert parked.counts() == {queue: 1}
    (message,) = clients.queue(parked.name_of(queue)).receive_messages()
    assert message.content == "nothing of ours"


@pytest.mark.parametrize("text", ["bWVzc2FnZQ==", "not base64!"])
def test_parked_messages_go_back_as_they_were_each_once(text: str) -> None:
    for _ in range(40):
        clients.queue(parked.name_of(resource_names.RETURNS), encoded=False).send_message(text)
    assert parked.again(resource_names.RETURNS) == 40
    assert parked.again(resource_names.RETURNS) == 0
    assert parked.counts() == {}
    source = clients.queue(resource_names.RETURNS, encoded=False)
    found = [message.content for message in source.receive_messages(max_messages=32)]
    assert set(found) == {text}
    assert source.get_queue_properties().approximate_message_count == 40


def test_the_command_lists_what_is_parked_and_puts_it_back() -> None:
    app = build(("parked",))
    clients.queue(parked.name_of(resource_names.COMMANDS)).send_message("x")
    said = CliRunner().invoke(app, ["parked"])
    assert "commands: 1 parked" in said.output
    assert "1 messages are back" in CliRunner().invoke(app, ["parked", resource_names.COMMANDS]).output
    assert "No message is parked." in CliRunner().invoke(app, ["parked"]).output
    assert CliRunner().invoke(app, ["parked", "nonsense"]).exit_code == 2
