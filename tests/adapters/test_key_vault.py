"""What Key Vault would refuse is refused, and what it keeps is told with the remedy."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from cryptography.hazmat.primitives.asymmetric import rsa

from readfirst.adapters import clients, secret_versions
from readfirst.adapters.identity import vault
from readfirst.domain import resource_names

NOW = datetime.now(UTC)
NUMBERS = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key().public_numbers()


def key(monkeypatch: pytest.MonkeyPatch, **attributes: Any) -> None:
    """Key Vault has one version of the key, with those attributes."""
    kept = SimpleNamespace(**{"enabled": True, "expires_on": None, "not_before": None, **attributes})
    public = SimpleNamespace(n=NUMBERS.n.to_bytes(256, "big"), e=NUMBERS.e.to_bytes(3, "big"))
    found = SimpleNamespace(id="https://vault.example/keys/identity-kek/1", key=public, properties=kept)
    monkeypatch.setattr(clients, "keys", lambda: SimpleNamespace(get_key=lambda name: found))


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({"enabled": False}, "disabled"),
        ({"expires_on": NOW - timedelta(seconds=1)}, "expired"),
        ({"not_before": NOW + timedelta(hours=1)}, "not valid yet"),
    ],
)
def test_nothing_is_sealed_with_a_key_that_may_not_be_used(
    monkeypatch: pytest.MonkeyPatch, attributes: dict[str, Any], why: str
) -> None:
    key(monkeypatch, **attributes)
    vault.sealing_key.cache_clear()
    with pytest.raises(secret_versions.KeyNotUsable, match=why):
        vault.add("a/1.json", b"an identity")


@pytest.mark.parametrize("attributes", [{"enabled": False}, {"expires_on": NOW - timedelta(seconds=1)}])
def test_the_root_secret_is_not_wrapped_with_a_key_that_may_not_unwrap_it(
    monkeypatch: pytest.MonkeyPatch, attributes: dict[str, Any]
) -> None:
    """It would be wrapped: that takes the public half only. Then nobody could open it."""
    key(monkeypatch, **attributes)
    stored = SimpleNamespace(value=json.dumps({"kid": "https://vault.example/keys/pseudonym-kek/0", "wrapped": ""}))
    monkeypatch.setattr(clients, "secrets", lambda: SimpleNamespace(get_secret=lambda name: stored))
    monkeypatch.setattr(clients, "container", lambda *_: pytest.fail("nothing is written"))
    with pytest.raises(secret_versions.KeyNotUsable):
        secret_versions.rewrap_root()


def test_a_deleted_key_is_told_with_the_command_that_brings_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(name: str) -> Any:
        raise ResourceNotFoundError("KeyNotFound")

    monkeypatch.setattr(clients, "keys", lambda: SimpleNamespace(get_key=gone))
    for name in (resource_names.IDENTITY_KEK, resource_names.PSEUDONYM_KEK):
        with pytest.raises(secret_versions.KeyNotUsable, match=f"az keyvault key recover .* --name {name}"):
            secret_versions.newest_key(name)


def test_a_key_within_its_time_seals(monkeypatch: pytest.MonkeyPatch) -> None:
    key(monkeypatch, expires_on=NOW + timedelta(days=1), not_before=NOW - timedelta(days=1))
    assert vault.newest_sealing_key().version == "1"


def test_a_key_that_is_disabled_is_heeded_within_minutes() -> None:
    """docs/operator/runbook.md says five."""
    assert vault._KEY_LIFE_SECONDS <= 300


class Secrets:
    """Key Vault's answers about a secret: nothing to read, and that answer to who writes."""

    def __init__(self, refusal: HttpResponseError) -> None:
        self.refusal = refusal

    def get_secret(self, name: str) -> Any:
        raise ResourceNotFoundError("SecretNotFound")

    def set_secret(self, name: str, value: str, **options: Any) -> None:
        raise self.refusal


def test_a_deleted_secret_is_told_with_the_command_that_brings_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = ResourceExistsError("Conflict")
    refusal.status_code = 409
    monkeypatch.setattr(clients, "secrets", lambda: Secrets(refusal))
    with pytest.raises(
        secret_versions.SecretDeleted, match=f"az keyvault secret recover .* --name {resource_names.RECEIPT_KEY}"
    ):
        secret_versions.renew_receipt_key(NOW)


def test_any_other_refusal_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = HttpResponseError("Forbidden")
    refusal.status_code = 403
    monkeypatch.setattr(clients, "secrets", lambda: Secrets(refusal))
    with pytest.raises(HttpResponseError, match="Forbidden"):
        secret_versions.renew_receipt_key(NOW)
