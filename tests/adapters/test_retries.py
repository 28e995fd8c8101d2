"""No SDK sleeps for long inside a call, whatever a service asks for: who can wait without a worker does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from azure.core.credentials import AccessToken, AccessTokenInfo
from azure.core.exceptions import HttpResponseError

from readfirst.adapters import clients, mail, retries
from readfirst.adapters.settings import settings
from readfirst.domain import resource_names
from readfirst.domain.reading import alert_email
from readfirst.local.environment import settings_of
from tests.adapters.test_settings import SAMPLE

IN_AZURE = {
    **SAMPLE,
    "UPLOADS": "",
    "UPLOADS__blobServiceUri": "https://u.blob.example",
    "STUDIES": "",
    "STUDIES__blobServiceUri": "https://s.blob.example",
    "STUDIES__queueServiceUri": "https://s.queue.example",
    "KEY_VAULT_URI": "https://kv.example",
    "ARM_ENDPOINT": "https://arm.example",
    "EMAIL_ENDPOINT": "https://mail.example",
    "COSMOS_ENDPOINT": "https://cosmos.example",
    "COSMOS_KEY": "",
}


class Token:
    """A credential that has a token."""

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        return AccessToken("t", int(time.time()) + 3600)

    def get_token_info(self, *_: str, **__: Any) -> AccessTokenInfo:
        return AccessTokenInfo("t", int(time.time()) + 3600)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """What was slept, while every service answers 429 or 503 and asks for 50 minutes."""
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    with settings_of(IN_AZURE):
        monkeypatch.setattr(clients, "credential", Token)
        yield waits


def answering(monkeypatch: pytest.MonkeyPatch, status: int, after: str) -> list[str]:
    """Every request is answered so. Returns the addresses that were asked."""
    asked: list[str] = []

    def request(session: requests.Session, method: str, url: str, **_: Any) -> requests.Response:
        asked.append(url)
        answer = requests.Response()
        answer.status_code, answer.url, answer.reason = status, url, "later"
        answer.headers.update(
            {"Retry-After": after, "x-ms-retry-after-ms": f"{after}000", "Content-Type": "text/plain"}
        )
        answer.raw = _Body()
        return answer

    monkeypatch.setattr(requests.Session, "request", request)
    return asked


class _Body:
    """An empty body, as requests reads it."""

    def read(self, *_: Any, **__: Any) -> bytes:
        return b""

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        return iter(())

    def close(self) -> None:
        return None

    def release_conn(self) -> None:
        return None


CALLS: dict[str, Callable[[], Any]] = {
    "secrets": lambda: clients.secrets().get_secret("s"),
    "keys": lambda: clients.keys().get_key("k"),
    "cryptography": lambda: clients.cryptography("https://kv.example/keys/k/1").unwrap_key("RSA-OAEP-256", b"x"),
    "resource manager": lambda: list(clients.container_apps().jobs_executions.list("g", "j")),
    "e-mail": lambda: clients.email().begin_send({}, polling=False),
    "blobs": lambda: (
        clients.container(resource_names.UPLOADS, resource_names.ORIGINALS).get_blob_client("b").get_blob_properties()
    ),
    "queues": lambda: clients.queue(resource_names.COMMANDS).send_message("m"),
    "cosmos": lambda: clients.cosmos_container().read_item("i", "p"),
}


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("call", list(CALLS.values()), ids=list(CALLS))
def test_a_service_that_asks_for_fifty_minutes_holds_no_worker(
    slept: list[float], monkeypatch: pytest.MonkeyPatch, call: Callable[[], Any], status: int
) -> None:
    asked = answering(monkeypatch, status, "3000")
    with pytest.raises(HttpResponseError):
        call()
    assert asked
    assert sum(slept) <= 60, slept


@pytest.mark.parametrize("call", [CALLS["secrets"], CALLS["resource manager"]], ids=["secrets", "resource manager"])
def test_a_short_wait_is_still_the_sdks(
    slept: list[float], monkeypatch: pytest.MonkeyPatch, call: Callable[[], Any]
) -> None:
    asked = answering(monkeypatch, 429, "2")
    with pytest.raises(HttpResponseError):
        call()
    assert len(asked) > 1
    assert 0 < max(slept) <= retries.LONGEST_SLEEP


def test_an_alert_is_handed_over_once_a_call_and_the_durable_policy_waits(
    slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service's limits are per minute and per hour."""
    kept: dict[str, bytes] = {}
    monkeypatch.setattr(mail.blobs, "put_once", lambda _, path, data: kept.setdefault(path, data))
    monkeypatch.setattr(mail.blobs, "read", lambda _, path: kept[path])
    asked = answering(monkeypatch, 429, "1")
    with pytest.raises(HttpResponseError):
        mail.send_once("a" * 32, "nodule", alert_email.urgent("ABCDEFGH", settings().portal_url), "r@lakeside.example")
    assert len(asked) == 1
    assert slept == []
