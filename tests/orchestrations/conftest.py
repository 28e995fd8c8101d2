"""The stages against real Azurite, Key Vault and Cosmos-compatible endpoints, without a Functions host."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from readfirst.adapters import blobs, retries, secrets
from readfirst.local.environment import settings_of
from readfirst.local.stack import Stack
from tests.adapters.blob_service import BlobService
from tests.adapters.test_settings import SAMPLE


@pytest.fixture(scope="package")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("state"), "auto", with_host=False, settings={"SETTLE_SECONDS": "0"}) as stack:
        yield stack


@pytest.fixture
def settings(servers: Stack) -> Iterator[None]:
    with settings_of(servers.environment):
        yield


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[BlobService]:
    """A Blob service as documented, where Azurite does not do: the app's uploads and studies accounts are in it."""
    monkeypatch.setattr(blobs, "_COPY_POLL_SECONDS", 0.01)
    monkeypatch.setattr(secrets, "root_secret", lambda: bytes(32))
    monkeypatch.setattr(retries, "storage", lambda: {"retry_total": 0})
    made = BlobService()
    clinics = [
        {"id": clinic, "name": clinic, "radiologist": f"r@{clinic}.example"} for clinic in ("lakeside", "hillcrest")
    ]
    accounts = dict.fromkeys(("UPLOADS", "STUDIES", "VAULT"), made.connection)
    with settings_of({**SAMPLE, **accounts, "CLINICS": json.dumps(clinics)}):
        yield made
    made.close()


def do(activity: Any, *given: Any) -> Any:
    """Runs an activity's own function, as the host would."""
    return activity._function.get_user_function()(*given)
