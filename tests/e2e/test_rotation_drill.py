"""Rotation and restore on a running stack: keys and secrets change while studies run, the index is lost and rebuilt."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from function_app.triggers import rotate_identity, rotate_intake
from readfirst.adapters import blobs, clients, secret_versions, secrets
from readfirst.adapters.identity import vault
from readfirst.adapters.secret_versions import ESCROW
from readfirst.adapters.studies import receipts
from readfirst.cli import build
from readfirst.domain import resource_names
from readfirst.domain.reading.study_record import StudyRecord
from readfirst.local.stack import Stack
from readfirst.services import rewrap_identities
from tests.e2e.conftest import Study, invent, reported, upload

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("stack")]


def brought_home(stack: Stack) -> str:
    """What `readfirst vault verify` says; it must end well."""
    command = ["vault", "verify", "--state", str(stack.folders.state)]
    done = CliRunner().invoke(build(("vault",)), command)
    assert done.exit_code == 0, done.output
    return done.output


def key_ids() -> set[str]:
    container = clients.container(resource_names.VAULT, resource_names.IDENTITIES)
    return {
        vault.Sealed.model_validate_json(container.download_blob(name).readall()).key_id
        for name in container.list_blob_names()
    }


def record_of(study: Study) -> StudyRecord:
    record = reported(study.token).record
    assert record is not None
    return record


def test_keys_and_secrets_rotate_while_studies_run_and_every_study_still_comes_home(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Studies during and after a rotation of both keys and the receipt key; a re-wrap that ran out of time."""
    during, after = (invent(tmp_path / name, slices=20, size=256) for name in ("during", "after"))
    for i in range(3):
        vault.add(f"before/{i}.json", b"a person")
    tokens = (during.token, secrets.pseudonyms("lakeside").study_token("1.2.3"))
    upload(during.files)  # its files are being received and sealed while everything below changes
    for kek in (resource_names.IDENTITY_KEK, resource_names.PSEUDONYM_KEK):
        clients.keys().rotate_key(kek)
    old_receipt_key, _ = secrets.receipt_key()
    clients.secrets().update_secret_properties(resource_names.RECEIPT_KEY, expires_on=datetime.now(UTC))
    rotate_intake.rotate()
    vault.sealing_key.cache_clear()
    with monkeypatch.context() as short:
        short.setattr(rewrap_identities, "_PAGE", 1)
        swept = rewrap_identities.sweep("", lambda: True)  # out of time after one page, and nobody goes on
    assert swept.cursor and swept.rewrapped == 1
    assert len(key_ids()) == 2, "old and new side by side"
    first = record_of(during)
    upload(after.files)
    second = record_of(after)
    rotate_identity.sweep("")
    newest = {vault.newest_sealing_key().id}
    while key_ids() != newest:  # what the running host sealed with the key that it knew is wrapped by the next sweep
        assert rewrap_identities.sweep("", lambda: False).missed == 0
    secrets.root_secret.cache_clear()
    assert (during.token, secrets.pseudonyms("lakeside").study_token("1.2.3")) == tokens, "no pseudonym changed"
    for study, record in ((during, first), (after, second)):
        assert record.instances == len(study.files)
        assert record.provenance is not None
        signed = receipts.receipted(study.token, record.run)  # raises where a signature does not verify
        assert len(signed.instances) == len(study.files)
    secrets.receipt_key.cache_clear()
    assert secrets.receipt_key()[0] != old_receipt_key
    assert secrets.receipt_keys(old_receipt_key)[old_receipt_key]
    brought_home(stack)
    for i in range(3):
        clients.container(resource_names.VAULT, resource_names.IDENTITIES).delete_blob(f"before/{i}.json")


def test_an_index_that_is_lost_is_rebuilt_from_the_blobs_and_every_study_can_still_come_home(
    stack: Stack, study: Study
) -> None:
    """The yearly drill of docs/operator/restore.md, on the stack."""
    upload(study.files, purpose="prior")  # nobody is told of it, so nothing is noted in its record afterwards
    record = record_of(study)
    cosmos = clients.cosmos_container()
    listed = {item["id"]: item for item in cosmos.read_all_items()}
    assert study.token in listed
    for item in listed.values():
        cosmos.delete_item(item["id"], partition_key=item["clinic"])
    assert list(cosmos.read_all_items()) == []
    done = CliRunner().invoke(build(("reindex",)), ["reindex", "--state", str(stack.folders.state)])
    assert done.exit_code == 0, done.output
    again = {item["id"]: item for item in cosmos.read_all_items()}
    assert again.keys() == listed.keys()
    theirs = {name: value for name, value in listed[study.token].items() if not name.startswith("_")}
    assert {name: again[study.token][name] for name in theirs} == theirs
    assert again[study.token]["handle"] == record.handle
    assert brought_home(stack)


def test_the_escrow_holds_the_root_wrapped_and_only_that() -> None:
    clients.keys().rotate_key(resource_names.PSEUDONYM_KEK)
    assert secret_versions.rewrap_root()
    escrow = json.loads(blobs.read(clients.container(resource_names.UPLOADS, resource_names.ARRIVALS), ESCROW) or b"{}")
    assert escrow.keys() == {"kid", "alg", "wrapped"}
    assert resource_names.PSEUDONYM_KEK in escrow["kid"] and escrow["alg"] == "RSA-OAEP-256"
    assert secrets.root_secret() not in escrow["wrapped"].encode()
