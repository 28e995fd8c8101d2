"""Rotation against Azurite and Key Vault's endpoint: nothing is lost, whatever is killed, while sealing goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import azure.functions as func
import pytest
from azure.core.exceptions import ResourceNotFoundError
from cryptography.exceptions import InvalidTag

from function_app.triggers import rotate_identity, rotate_intake
from readfirst.adapters import audit_log, blobs, clients, secret_versions, secrets
from readfirst.adapters.identity import vault
from readfirst.domain import resource_names
from readfirst.local.environment import settings_of
from readfirst.local.stack import Stack
from readfirst.services import rewrap_identities

pytestmark = pytest.mark.stack


@pytest.fixture
def settings(stack: Stack) -> Iterator[None]:
    with settings_of(stack.environment):
        for blob in container().list_blobs():
            container().delete_blob(blob.name)
        yield


def container() -> Any:
    return clients.container(resource_names.VAULT, resource_names.IDENTITIES)


def seal(count: int, prefix: str = "a") -> dict[str, bytes]:
    records = {f"{prefix}/{i:04}.json": f"{prefix} person {i}".encode() for i in range(count)}
    for name, plain in records.items():
        vault.add(name, plain)
    return records


def opened(name: str) -> bytes:
    text = blobs.read(container(), name)
    assert text is not None
    return vault.open_sealed(vault.Sealed.model_validate_json(text), name=name)


def versions() -> set[str]:
    return {
        vault.Sealed.model_validate_json(container().download_blob(b.name).readall()).key_id
        for b in container().list_blobs()
    }


def always() -> bool:
    return True


def never() -> bool:
    return False


def message(content: object) -> func.QueueMessage:
    return func.QueueMessage(body=json.dumps(content).encode())


def run(function: Any, *given: Any) -> None:
    """Runs a function of the app, as the host would."""
    function._function.get_user_function()(*given)


def test_after_a_rotation_every_identity_is_wrapped_anew_and_says_what_it_said(settings: None) -> None:
    records = seal(12)
    old = vault.newest_sealing_key().id
    clients.keys().rotate_key(resource_names.IDENTITY_KEK)
    new = vault.newest_sealing_key().id
    assert versions() == {old} != {new}
    swept = rewrap_identities.sweep("", never)
    assert (swept.looked, swept.rewrapped, swept.missed, swept.finished) == (12, 12, 0, True)
    assert versions() == {new}
    assert {name: opened(name) for name in records} == records


def test_a_sweep_with_nothing_to_do_reads_no_record(settings: None, monkeypatch: pytest.MonkeyPatch) -> None:
    seal(3)
    monkeypatch.setattr("azure.storage.blob.BlobClient.download_blob", None)  # reading one would be an error
    assert rewrap_identities.sweep("", never).rewrapped == 0


def test_a_record_without_a_note_of_its_version_is_read_and_noted(settings: None) -> None:
    (name,) = seal(1)
    container().get_blob_client(name).set_blob_metadata({})
    assert rewrap_identities.sweep("", never).rewrapped == 1
    assert rewrap_identities.sweep("", never).rewrapped == 0


def test_a_sweep_out_of_time_goes_on_where_it_stopped(settings: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewrap_identities, "_PAGE", 4)
    records = seal(10)
    clients.keys().rotate_key(resource_names.IDENTITY_KEK)
    looked, cursor, stretches = 0, "", 0
    while stretches == 0 or cursor:
        swept = rewrap_identities.sweep(cursor, always)
        looked, cursor, stretches = looked + swept.looked, swept.cursor, stretches + 1
    assert (looked, stretches) == (10, 3)
    assert versions() == {vault.newest_sealing_key().id}
    assert all(opened(name) == plain for name, plain in records.items())


def test_a_record_that_was_erased_or_changed_under_a_sweep_is_left_for_the_next(settings: None) -> None:
    seal(2)
    listed = list(container().list_blobs(include=["metadata"]))
    clients.keys().rotate_key(resource_names.IDENTITY_KEK)
    newest = vault.newest_sealing_key()
    container().delete_blob(listed[0].name)
    assert rewrap_identities._rewrap(container(), newest, listed[0]) is None
    container().get_blob_client(listed[1].name).upload_blob(b"not a record", overwrite=True)
    assert rewrap_identities._rewrap(container(), newest, listed[1]) is None


def test_a_tampered_record_does_not_open_after_a_rotation_either(settings: None) -> None:
    seal(2)
    first, second = (b.name for b in container().list_blobs())
    container().get_blob_client(first).upload_blob(container().download_blob(second).readall(), overwrite=True)
    clients.keys().rotate_key(resource_names.IDENTITY_KEK)
    rewrap_identities.sweep("", never)
    with pytest.raises(InvalidTag):
        opened(first)


def noted(key_id: str) -> int:
    """How many of the records `a/…` a version of the key has wrapped, by their metadata."""
    listed = container().list_blobs(name_starts_with="a/", include=["metadata"])
    return sum(key_id.endswith(str(blob.metadata.get(vault.WRAPPED_BY))) for blob in listed)


SEALING = """
import itertools, time
from readfirst.adapters.identity import vault
for i in itertools.count():
    vault.add(f"live/{i:05}.json", f"live person {i}".encode())
    print(i, flush=True)
    time.sleep(0.05)
"""
SWEEPING = """
from readfirst.services import rewrap_identities
rewrap_identities._PARALLEL = 1
rewrap_identities.sweep("", lambda: False)
"""


def test_identities_sealed_during_a_rotation_whose_sweep_is_killed_half_way_all_open(
    settings: None, stack: Stack
) -> None:
    records = seal(40)
    environment = {**os.environ, **stack.environment}
    sealing = subprocess.Popen([sys.executable, "-c", SEALING], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert sealing.stdout is not None
        sealing.stdout.readline()  # it seals with the old version from now on: its key is read once an hour
        clients.keys().rotate_key(resource_names.IDENTITY_KEK)
        new = vault.newest_sealing_key().id
        for at_least in (5, 15):
            sweep = subprocess.Popen([sys.executable, "-c", SWEEPING], env=environment)
            while (done := noted(new)) < at_least and sweep.poll() is None:
                time.sleep(0.01)
            os.kill(sweep.pid, signal.SIGKILL)
            sweep.wait()
            assert at_least <= done < 40, "the kill did not come half-way"
            assert all(opened(name) == plain for name, plain in records.items()), "readable at every moment"
    finally:
        sealing.kill()
        sealing.wait()
    assert rewrap_identities.sweep("", never).missed == 0
    assert versions() == {new}
    live = [b.name for b in container().list_blobs(name_starts_with="live/")]
    assert len(live) > 1
    assert all(opened(name) == f"live person {int(name[5:10])}".encode() for name in live)


def test_the_event_of_a_new_key_version_starts_the_sweep_and_it_is_audited(settings: None) -> None:
    seal(2)
    clients.keys().rotate_key(resource_names.IDENTITY_KEK)
    other = {"eventType": "Microsoft.KeyVault.KeyNewVersionCreated", "subject": resource_names.PSEUDONYM_KEK}
    run(rotate_identity.rewrap_identities, message(other))
    assert versions() != {vault.newest_sealing_key().id}
    run(rotate_identity.rewrap_identities, message({**other, "subject": resource_names.IDENTITY_KEK}))
    assert versions() == {vault.newest_sealing_key().id}
    chain = clients.container(resource_names.AUDIT, resource_names.audit("identity"))
    today = datetime.now(UTC).date().isoformat()
    last = json.loads(audit_log.lines(chain, today)[-1])
    assert (last["act"], last["actor"], last["reason"]) == ("rewrap", "rotation", "2 records")


def test_a_key_about_to_expire_is_told_in_the_words_that_the_alert_looks_for(
    settings: None, caplog: pytest.LogCaptureFixture
) -> None:
    for function, key in (
        (rotate_identity.rewrap_identities, resource_names.IDENTITY_KEK),
        (rotate_intake.rotate_secrets, resource_names.PSEUDONYM_KEK),
    ):
        run(function, message({"eventType": "Microsoft.KeyVault.KeyNearExpiry", "subject": key}))
        assert f"key near expiry: {key}" in caplog.text


def test_a_sweep_that_ran_out_of_time_leaves_a_message_with_its_place(
    settings: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal(6)
    clients.keys().rotate_key(resource_names.IDENTITY_KEK)
    monkeypatch.setattr(rewrap_identities, "_PAGE", 4)
    monkeypatch.setattr(rotate_identity, "_BUDGET_SECONDS", -1)
    clients.queue(resource_names.IDENTITY_ROTATION).clear_messages()
    rotate_identity.sweep("")
    (left,) = clients.queue(resource_names.IDENTITY_ROTATION).receive_messages()
    run(rotate_identity.rewrap_identities, message(json.loads(left.content)))
    assert versions() == {vault.newest_sealing_key().id}


def test_a_new_pseudonym_kek_wraps_the_root_anew_and_no_pseudonym_changes(settings: None) -> None:
    before = secrets.pseudonyms("north").study_token("1.2.3")
    clients.keys().rotate_key(resource_names.PSEUDONYM_KEK)
    assert secret_versions.rewrap_root() is True
    assert secret_versions.rewrap_root() is False
    secrets.root_secret.cache_clear()
    assert secrets.pseudonyms("north").study_token("1.2.3") == before
    stored = json.loads(clients.secrets().get_secret(resource_names.ROOT_SECRET).value)
    assert stored["kid"] == clients.keys().get_key(resource_names.PSEUDONYM_KEK).id


def test_a_rotation_that_died_before_the_escrow_is_finished_by_the_next(
    settings: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The escrow opens with the newest version of the key too, or it would be lost with the old one."""
    secret_versions.rewrap_root()
    clients.keys().rotate_key(resource_names.PSEUDONYM_KEK)
    with monkeypatch.context() as patched, pytest.raises(ConnectionError):
        patched.setattr(blobs, "put", killed)
        secret_versions.rewrap_root()
    assert secret_versions.rewrap_root() is True
    escrow = blobs.read(clients.container(resource_names.UPLOADS, resource_names.ARRIVALS), secret_versions.ESCROW)
    assert escrow is not None
    assert json.loads(escrow)["kid"] == clients.keys().get_key(resource_names.PSEUDONYM_KEK).id
    assert escrow.decode() == clients.secrets().get_secret(resource_names.ROOT_SECRET).value
    assert secret_versions.rewrap_root() is False


def killed(*_: object, **__: object) -> None:
    raise ConnectionError


def test_the_receipt_key_is_renewed_a_month_before_it_expires_and_old_receipts_verify(settings: None) -> None:
    now = datetime.now(UTC)
    old_id, old_key = secrets.receipt_key()
    assert secrets.known_receipt_keys().keys() == {old_id}
    assert secret_versions.renew_receipt_key(now) is False
    assert secret_versions.renew_receipt_key(now + timedelta(days=336)) is True
    secrets.receipt_key.cache_clear()
    new_id, new_key = secrets.receipt_key()
    assert (new_id, new_key) != (old_id, old_key)
    # A process that knew the keys before the rotation meets a receipt that another signed after it.
    assert new_id not in secrets.known_receipt_keys()
    assert secrets.receipt_keys(new_id)[new_id] == new_key
    assert secrets.receipt_keys(old_id)[old_id] == old_key


def test_the_first_root_of_a_deployment_is_the_same_for_all_who_make_it(settings: None, stack: Stack) -> None:
    arrivals = clients.container(resource_names.UPLOADS, resource_names.ARRIVALS)
    missing = (
        f"{resource_names.ROOT_SECRET}-{time.time_ns()}"  # the endpoint does not delete secrets: another name is as new
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(resource_names, "ROOT_SECRET", missing)
        patched.setattr(secret_versions, "ESCROW", "root/test.json")
        for blob in arrivals.list_blobs():
            arrivals.delete_blob(blob.name)
        assert secret_versions.make_root() is True
        first = clients.secrets().get_secret(missing).value
        patched.setattr(resource_names, "ROOT_SECRET", missing + "2")  # lost: the escrow brings it back
        assert secret_versions.make_root() is True
        assert clients.secrets().get_secret(missing + "2").value == first
        arrivals.delete_blob("root/test.json")
        arrivals.upload_blob("token/files/x", b"")
        patched.setattr(resource_names, "ROOT_SECRET", missing + "3")
        with pytest.raises(secret_versions.RootSecretLost):
            secret_versions.make_root()
        with pytest.raises(ResourceNotFoundError):
            clients.secrets().get_secret(missing + "3")
    arrivals.delete_blob("token/files/x")


def test_intakes_function_does_what_is_due_and_nothing_twice(settings: None) -> None:
    clients.keys().rotate_key(resource_names.PSEUDONYM_KEK)
    run(rotate_intake.rotate_secrets, message({}))
    stored = clients.secrets().get_secret(resource_names.ROOT_SECRET)
    assert json.loads(stored.value)["kid"] == clients.keys().get_key(resource_names.PSEUDONYM_KEK).id
    chain = clients.container(resource_names.AUDIT, resource_names.audit("intake"))
    today = datetime.now(UTC).date().isoformat()
    audited = audit_log.lines(chain, today)
    assert (json.loads(audited[-1])["act"], json.loads(audited[-1])["actor"]) == ("rewrap-root", "rotation")
    run(rotate_intake.rotate_daily, None)
    assert clients.secrets().get_secret(resource_names.ROOT_SECRET).properties.version == stored.properties.version
    assert audit_log.lines(chain, today) == audited
