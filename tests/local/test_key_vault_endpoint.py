"""Key Vault's endpoint through Azure's own SDKs, with managed identity and verified TLS."""

from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime

import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.identity import ManagedIdentityCredential
from azure.keyvault.keys import KeyClient
from azure.keyvault.keys.crypto import CryptographyClient, KeyWrapAlgorithm
from azure.keyvault.secrets import SecretClient

from readfirst.domain import resource_names
from readfirst.local.stack import Stack
from tests.waiting import PATIENCE

pytestmark = pytest.mark.stack


@pytest.fixture
def secrets(stack: Stack) -> SecretClient:
    return SecretClient(stack.environment["KEY_VAULT_URI"], ManagedIdentityCredential())


@pytest.fixture
def keys(stack: Stack) -> KeyClient:
    return KeyClient(stack.environment["KEY_VAULT_URI"], ManagedIdentityCredential())


def test_a_secret_that_is_set_comes_back_with_its_expiry_and_type(secrets: SecretClient) -> None:
    expires = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)
    secrets.set_secret("webhook", "s3cret", expires_on=expires, content_type="text/plain")
    read = secrets.get_secret("webhook")
    assert read.value == "s3cret"
    assert read.properties.expires_on == expires
    assert read.properties.content_type == "text/plain"


def test_after_a_rotation_old_and_new_version_of_a_secret_can_be_read(secrets: SecretClient) -> None:
    old = secrets.set_secret("rotated", "old").properties.version
    new = secrets.set_secret("rotated", "new").properties.version
    assert secrets.get_secret("rotated").value == "new"
    assert secrets.get_secret("rotated", old).value == "old"
    listed = [p.version for p in secrets.list_properties_of_secret_versions("rotated")]
    assert sorted(listed) == sorted([old, new])


def test_a_disabled_version_of_a_secret_is_not_given_out(secrets: SecretClient) -> None:
    version = secrets.set_secret("retired", "old").properties.version
    secrets.update_secret_properties("retired", version, enabled=False)
    with pytest.raises(HttpResponseError) as error:
        secrets.get_secret("retired", version)
    assert error.value.status_code == 403


def test_a_missing_secret_is_reported_as_not_found(secrets: SecretClient) -> None:
    with pytest.raises(ResourceNotFoundError):
        secrets.get_secret("absent")


def test_what_the_public_half_wraps_only_the_vault_unwraps(keys: KeyClient) -> None:
    key = keys.create_rsa_key("kek", size=2048)
    crypto = CryptographyClient(key, ManagedIdentityCredential())
    wrapped = crypto.wrap_key(KeyWrapAlgorithm.rsa_oaep_256, b"k" * 32)
    assert wrapped.encrypted_key != b"k" * 32
    assert crypto.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, wrapped.encrypted_key).key == b"k" * 32


def test_after_a_key_rotation_the_old_version_still_unwraps(keys: KeyClient) -> None:
    old = keys.create_rsa_key("rotating", size=2048)
    wrapped = CryptographyClient(old, ManagedIdentityCredential()).wrap_key(KeyWrapAlgorithm.rsa_oaep_256, b"x" * 32)
    new = keys.rotate_key("rotating")
    assert new.id != old.id and keys.get_key("rotating").id == new.id
    assert len(list(keys.list_properties_of_key_versions("rotating"))) == 2
    by_id = CryptographyClient(str(wrapped.key_id), ManagedIdentityCredential())
    assert by_id.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, wrapped.encrypted_key).key == b"x" * 32


def test_a_wrapped_key_that_was_tampered_with_is_refused(keys: KeyClient) -> None:
    crypto = CryptographyClient(keys.create_rsa_key("strict", size=2048), ManagedIdentityCredential())
    wrapped = crypto.wrap_key(KeyWrapAlgorithm.rsa_oaep_256, b"k" * 32).encrypted_key
    with pytest.raises(HttpResponseError) as error:
        crypto.unwrap_key(KeyWrapAlgorithm.rsa_oaep_256, wrapped[:-1] + bytes([wrapped[-1] ^ 1]))
    assert error.value.status_code == 400


def test_the_first_start_makes_what_the_product_needs(keys: KeyClient, secrets: SecretClient) -> None:
    root = json.loads(str(secrets.get_secret(resource_names.ROOT_SECRET).value))
    assert root["alg"] == "RSA-OAEP-256"
    assert root["kid"] == keys.get_key(resource_names.PSEUDONYM_KEK).id
    assert keys.get_key(resource_names.IDENTITY_KEK).id
    assert secrets.get_secret(resource_names.RECEIPT_KEY).properties.expires_on is not None


def test_nobody_reads_a_secret_without_a_token_for_the_vault(stack: Stack) -> None:
    url = f"{stack.environment['KEY_VAULT_URI']}/secrets/{resource_names.ROOT_SECRET}?api-version=7.5"
    bundle = os.environ["REQUESTS_CA_BUNDLE"]
    assert requests.get(url, verify=bundle, timeout=PATIENCE).status_code == 401
    other = ManagedIdentityCredential().get_token("https://communication.azure.com/.default").token
    refused = requests.get(url, verify=bundle, headers={"Authorization": f"Bearer {other}"}, timeout=PATIENCE)
    assert refused.status_code == 401


def test_nobody_gets_a_token_without_the_identity_header(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_HEADER", "guessed")
    with pytest.raises(ClientAuthenticationError):
        ManagedIdentityCredential().get_token("https://vault.azure.net/.default")


def test_every_file_that_holds_a_key_is_readable_by_its_owner_alone(stack: Stack) -> None:
    folders = stack.folders
    private = [folders.secrets, folders.job_definition, folders.description, *folders.tls.iterdir()]
    private += [file for file in folders.key_vault.rglob("*") if file.is_file()]
    assert len(private) > 9
    assert [file.name for file in private if stat.S_IMODE(file.stat().st_mode) != 0o600] == []
    assert stat.S_IMODE(folders.state.stat().st_mode) == 0o700
