"""Communication Services e-mail through Azure's own SDK."""

from __future__ import annotations

import json
import uuid
from email import message_from_bytes, policy
from typing import Any

import pytest
import requests
from azure.communication.email import EmailClient
from azure.core.exceptions import HttpResponseError
from azure.identity import ManagedIdentityCredential

from readfirst.adapters import clients
from readfirst.domain import resource_names
from readfirst.domain.event_grid import Delivery, delivery
from readfirst.local.ports import HOST
from readfirst.local.stack import Stack
from tests.waiting import PATIENCE, eventually

pytestmark = pytest.mark.stack


@pytest.fixture
def client(stack: Stack) -> EmailClient:
    return EmailClient(stack.environment["EMAIL_ENDPOINT"], ManagedIdentityCredential(), retry_total=0)


def message(stack: Stack, subject: str = "High risk: 7K3M-92QX") -> dict[str, Any]:
    return {
        "senderAddress": stack.environment["EMAIL_SENDER"],
        "recipients": {"to": [{"address": "radiologist@lakeside.example", "displayName": "Dr. Ö. Reader"}]},
        "content": {"subject": subject, "plainText": "Please read <first>.", "html": "<p>Please read first.</p>"},
    }


def test_a_mail_that_is_sent_is_kept_as_a_file(stack: Stack, client: EmailClient) -> None:
    operation = str(uuid.uuid4())
    poller = client.begin_send(message(stack), operation_id=operation, polling_interval=0)
    assert poller.result()["status"] == "Succeeded"
    mail = message_from_bytes((stack.folders.outbox / f"{operation}.eml").read_bytes(), policy=policy.default)
    assert mail["Subject"] == "High risk: 7K3M-92QX"
    assert mail["To"] == '"Dr. Ö. Reader" <radiologist@lakeside.example>'
    body = mail.get_body(preferencelist=("plain",))
    assert body is not None and body.get_content().strip() == "Please read <first>."


def test_the_same_operation_twice_sends_one_mail(stack: Stack, client: EmailClient) -> None:
    operation = str(uuid.uuid4())
    before = len(list(stack.folders.outbox.glob("*.eml")))
    for subject in ("first", "second"):
        client.begin_send(message(stack, subject), operation_id=operation, polling_interval=0).result()
    assert len(list(stack.folders.outbox.glob("*.eml"))) == before + 1
    assert b"Subject: first" in (stack.folders.outbox / f"{operation}.eml").read_bytes()


@pytest.mark.parametrize(("fault", "status"), [(None, "Delivered"), ("bounce", "Bounced")])
def test_what_became_of_a_mail_comes_as_event_grids_event(
    stack: Stack, client: EmailClient, fault: str | None, status: str
) -> None:
    operation = str(uuid.uuid4())
    if fault:
        stack.inject("email", fault)
    client.begin_send(message(stack), operation_id=operation, polling=False)
    queue = clients.queue(resource_names.DELIVERIES)
    messages: list[dict[str, Any]] = []

    def told() -> list[dict[str, Any]]:
        messages.extend(json.loads(one.content) for one in queue.receive_messages())
        return [one for one in messages if one["data"]["messageId"] == operation]

    (event,) = eventually(told)
    assert event["data"]["recipient"] == "radiologist@lakeside.example"
    assert delivery(event) == Delivery(operation, status)


def test_a_throttled_mail_is_not_kept_and_says_when_to_try_again(stack: Stack, client: EmailClient) -> None:
    operation = str(uuid.uuid4())
    stack.inject("email", "throttle")
    with pytest.raises(HttpResponseError) as error:
        client.begin_send(message(stack), operation_id=operation)
    assert error.value.status_code == 429
    assert error.value.response is not None and error.value.response.headers["Retry-After"] == "1"
    assert not (stack.folders.outbox / f"{operation}.eml").exists()
    client.begin_send(message(stack), operation_id=operation)
    assert (stack.folders.outbox / f"{operation}.eml").exists()


@pytest.mark.parametrize(
    "change",
    [{"recipients": {}}, {"recipients": {"to": [{"address": "no address"}]}}, {"content": {"subject": "one\ntwo"}}],
)
def test_a_request_that_is_no_mail_is_refused(stack: Stack, client: EmailClient, change: dict[str, Any]) -> None:
    with pytest.raises(HttpResponseError) as error:
        client.begin_send(message(stack) | change)
    assert error.value.status_code == 400


def test_the_outbox_page_shows_mails_and_runs_nothing_that_they_carry(stack: Stack, client: EmailClient) -> None:
    operation = str(uuid.uuid4())
    client.begin_send(message(stack, "<script>alert(1)</script>"), operation_id=operation)
    desk = f"http://{HOST}:{stack.ports.desk}"
    page = requests.get(desk, timeout=PATIENCE)
    assert "&lt;script&gt;alert(1)" in page.text and "<script>" not in page.text
    mail = requests.get(f"{desk}/outbox/{operation}", timeout=PATIENCE)
    assert "Please read &lt;first&gt;." in mail.text
    assert mail.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_a_page_of_the_web_cannot_reach_the_endpoints_by_a_name_of_its_own(stack: Stack) -> None:
    answer = requests.get(f"http://{HOST}:{stack.ports.desk}/", headers={"Host": "evil.example"}, timeout=PATIENCE)
    assert answer.status_code == 421
