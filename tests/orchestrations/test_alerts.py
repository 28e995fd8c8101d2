"""Every alert of a study is looked after, whatever became of the others and of the orchestrations."""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import azure.functions as func
import pytest
from azure.core.exceptions import HttpResponseError

from function_app.triggers.deliveries import take_delivery
from orchestrations import alert
from orchestrations import report as reporting
from orchestrations.report import alerts_not_sent
from readfirst.adapters import mail
from readfirst.adapters.clock import now
from readfirst.adapters.studies import receipts
from readfirst.domain.event_grid import Delivery
from readfirst.domain.operations.failures import failures
from readfirst.domain.reading.alert_email import finding_of, operation_id
from readfirst.domain.workflow_messages import Alert
from readfirst.local.environment import settings_of
from readfirst.services import list_study
from tests.adapters.blob_service import Blob, BlobService
from tests.adapters.test_settings import SAMPLE
from tests.spec.records import finding, studied

TOKEN = "a" * 32
CLINIC = {"id": "north", "name": "North", "radiologist": "r@north.example", "escalation": "e@north.example"}


@pytest.fixture
def study(service: BlobService, monkeypatch: pytest.MonkeyPatch) -> None:
    """A waiting study with two kinds of finding; the index knows of an e-mail."""
    one = finding()
    other = one.model_copy(update={"key": "2", "kind": "other"})
    record = studied(TOKEN, findings=(one.model_copy(update={"kind": "nodule"}), other), high_risk=True)
    list_study.keep(record)
    list_study.amend_blob(TOKEN, lambda there: there.model_copy(update={"alerted": "2026-01-01T00:00:00+00:00"}))

    class Index:
        def __init__(self, container: object) -> None:
            pass

        def urgent(self, clinic: str) -> dict[str, str]:
            return {TOKEN: "2026-01-01T00:00:00+00:00"}

    monkeypatch.setattr(reporting, "Worklist", Index)
    monkeypatch.setattr(reporting.clients, "cosmos_container", lambda: None)


def sent(service: BlobService, name: str, at: datetime) -> None:
    kept = {"operation": "x", "sent": at.isoformat(timespec="seconds")}
    service.blobs[f"analysis/{TOKEN}/alerts/{name}.json"] = Blob(json.dumps(kept).encode())


def report(name: str, status: str) -> tuple[str, str] | None:
    """What Communication Services says of a letter."""
    return mail.keep_report(Delivery(operation_id(TOKEN, name), status))


@pytest.fixture
def state(study: None, service: BlobService, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], str]:
    """What an alert of the study is told of its letters in a round; e-mails go nowhere."""
    monkeypatch.setattr(mail.clients, "email", lambda: SimpleNamespace(begin_send=lambda *_, **__: None))
    monkeypatch.setattr(list_study, "index", lambda *_: None)
    accounts = dict.fromkeys(("UPLOADS", "STUDIES", "VAULT"), service.connection)

    def look(round_: int, *send: str) -> str:
        given = Alert(token=TOKEN, clinic="north", handle="AAAABBBB", finding="nodule", round=round_).dump()
        with settings_of({**SAMPLE, **accounts, "CLINICS": json.dumps([CLINIC])}):
            for activity in send:
                getattr(alert, activity)._function.get_user_function()(given)
            return str(alert.look_at_letters._function.get_user_function()(given))

    return look


def test_letters_are_silent_then_fail_together_and_one_that_arrived_is_enough(state: Callable[..., str]) -> None:
    assert state(1, "send_alert") == "silent"
    assert report("nodule", "Bounced") == (TOKEN, "nodule")
    assert state(1) == "failed"
    assert state(1, "escalate_alert") == "silent"
    assert report("nodule-overdue", "Suppressed") == (TOKEN, "nodule-overdue")
    assert state(1) == "failed"
    assert state(2, "escalate_alert") == "silent"
    assert report("again/2/nodule", "Delivered") == (TOKEN, "again/2/nodule")
    assert state(2) == "arrived"
    assert finding_of("again/2/nodule-overdue") == "nodule"
    assert receipts.alerted(TOKEN) == ["nodule"]


def test_a_letter_of_an_earlier_round_that_arrives_late_counts(state: Callable[..., str]) -> None:
    state(1, "send_alert", "escalate_alert")
    state(2, "escalate_alert")
    report("nodule", "Delivered")
    assert state(2) == "arrived"


def test_that_a_letter_arrived_outweighs_what_comes_after_it(state: Callable[..., str]) -> None:
    """Event Grid promises no order."""
    state(1, "send_alert")
    for status in ("Failed", "Delivered", "Failed"):
        report("nodule", status)
    assert state(1) == "arrived"


def test_that_a_letter_arrived_outweighs_a_failure_that_is_written_at_the_same_time(
    state: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two reports are taken by two workers: the slower one has seen that nothing was reported yet."""
    state(1, "send_alert")
    looked, others = mail.arrived, ["Delivered"]

    def overtaken(token: str, alert: str) -> bool | None:
        seen = looked(token, alert)
        if others:
            report("nodule", others.pop())
        return seen

    monkeypatch.setattr(mail, "arrived", overtaken)
    report("nodule", "Failed")
    assert state(1) == "arrived"


def test_a_report_of_a_letter_that_is_not_ours_is_left_alone(study: None) -> None:
    assert mail.keep_report(Delivery(str(uuid.uuid4()), "Bounced")) is None


def test_an_alert_of_which_no_letter_is_known_to_have_arrived_is_listed_until_one_has_or_somebody_reads(
    state: Callable[..., str],
) -> None:
    state(1, "send_alert", "escalate_alert", "say_undelivered")
    record = list_study.read(TOKEN)
    assert record is not None and record.undelivered
    (failure,) = failures([record.model_dump(mode="json")])
    assert (failure.stage, failure.cause) == ("alert", "alert-undelivered")
    assert "telephone" in failure.remedy
    assert failures([{**record.model_dump(mode="json"), "review": "in progress"}]) == []

    class Durable:
        async def get_status(self, instance: str) -> None:
            return None

    event = {
        "eventType": "Microsoft.Communication.EmailDeliveryReportReceived",
        "data": {"messageId": operation_id(TOKEN, "nodule"), "status": "Delivered"},
    }
    take = take_delivery._function.get_user_function().client_function
    asyncio.run(take(func.QueueMessage(body=json.dumps(event).encode()), Durable()))
    record = list_study.read(TOKEN)
    assert record is not None and not record.undelivered
    assert failures([record.model_dump(mode="json")]) == []


def missing(service: BlobService) -> list[tuple[str, bool]]:
    accounts = dict.fromkeys(("UPLOADS", "STUDIES", "VAULT"), service.connection)
    with settings_of({**SAMPLE, **accounts, "CLINICS": json.dumps([CLINIC])}):
        return [(found.finding, found.overdue) for found in alerts_not_sent()]


def test_an_alert_that_went_out_says_nothing_of_the_other_one(study: None, service: BlobService) -> None:
    sent(service, "nodule", now())
    assert missing(service) == [("other", False)]
    sent(service, "other", now())
    assert missing(service) == []


def test_an_escalation_that_is_overdue_is_found_until_it_went_out_or_somebody_has_the_study_in_hand(
    study: None, service: BlobService, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("nodule", "other"):
        sent(service, name, now() - timedelta(hours=9))
    assert missing(service) == [("nodule", True), ("other", True)]
    sent(service, "nodule-overdue", now())
    assert missing(service) == [("other", True)]
    monkeypatch.setattr(alert, "_in_hand", lambda token: True)
    assert missing(service) == []


# --- the second channel


class Webhook:
    """A clinic's webhook at a real port: what was posted, and the status that it answers."""

    def __init__(self) -> None:
        self.posts: list[dict[str, str]] = []
        self.status = 200
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                owner.posts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(owner.status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.address = f"http://127.0.0.1:{self._server.server_port}/hook?sig=secret"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    """The clinic has one; its address is a secret of Key Vault."""
    made = Webhook()
    vault = SimpleNamespace(get_secret=lambda name: SimpleNamespace(value=made.address if name == "north-hook" else ""))
    monkeypatch.setattr(mail.clients, "secrets", lambda: vault)
    monkeypatch.setitem(CLINIC, "webhook", "north-hook")
    yield made
    made.close()


def email_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def begin_send(*_: object, **__: object) -> None:
        raise HttpResponseError("throttled for an hour")

    monkeypatch.setattr(mail.clients, "email", lambda: SimpleNamespace(begin_send=begin_send))


def test_what_e_mail_does_not_take_goes_to_the_second_channel_at_once_and_once(
    state: Callable[..., str], webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    email_is_away(monkeypatch)
    for _ in range(3):  # the durable retry goes on with the e-mail
        with pytest.raises(HttpResponseError):
            state(1, "send_alert")
    (post,) = webhook.posts
    assert "AAAABBBB" in post["text"] and "/studies/" in post["text"]
    assert state(1) == "arrived"


def test_what_is_escalated_goes_to_the_second_channel_as_well(state: Callable[..., str], webhook: Webhook) -> None:
    state(1, "send_alert")
    assert webhook.posts == []
    state(1, "escalate_alert")
    assert ["has not been acknowledged" in post["subject"] for post in webhook.posts] == [True]


@pytest.mark.parametrize("status", [302, 404, 429, 500])
def test_a_second_channel_that_refuses_has_not_been_told_and_is_told_again(
    state: Callable[..., str], webhook: Webhook, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    webhook.status = status
    assert state(1, "send_alert", "escalate_alert") == "silent"
    assert "sig=secret" not in caplog.text, "the address is a secret"
    webhook.status = 200
    assert state(1, "escalate_alert") == "arrived"
    assert len(webhook.posts) == 2


def test_an_address_without_tls_is_not_used(state: Callable[..., str], webhook: Webhook) -> None:
    webhook.address = "http://hooks.example.org/x"
    assert state(1, "send_alert", "escalate_alert") == "silent"
