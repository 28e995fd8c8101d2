"""An erasure is on record before anything is gone: what cannot be audited does not happen."""

from __future__ import annotations

import azure.functions as func
import pytest

from function_app.triggers import erasures
from readfirst.domain import resource_names
from readfirst.domain.analysis.messages import Command
from tests.adapters.blob_service import Blob, BlobService
from tests.orchestrations.conftest import do

TOKEN = "a" * 32


class Log:
    """An audit log that may be away; it keeps how many blobs there were when it was written to."""

    def __init__(self, service: BlobService) -> None:
        self.service, self.away, self.seen = service, True, list[tuple[str, int]]()

    def add(self, *_: object, act: str, **__: object) -> None:
        if self.away:
            raise OSError("the audit log is away")
        self.seen.append((act, len(self.service.under(resource_names.IDENTITIES))))


def test_an_erasure_that_cannot_be_audited_erases_nothing_and_is_audited_when_it_comes_again(
    service: BlobService, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log(service)
    monkeypatch.setattr(erasures, "audit_log", lambda app: log)
    for container in (resource_names.IDENTITIES, resource_names.REVIEWS):
        service.blobs[f"{container}/{TOKEN}/1.json"] = Blob(b"{}")
    command = Command(kind="erase", token=TOKEN, by="pia", at="", detail={"clinic": "lakeside"})
    message = func.QueueMessage(body=command.model_dump_json().encode())
    with pytest.raises(OSError, match="away"):
        do(erasures.erase_identity, message)
    assert service.under(resource_names.IDENTITIES)
    log.away = False
    for _ in range(2):
        do(erasures.erase_identity, message)
    assert log.seen == [("erased", 1)]
    assert not service.under(resource_names.IDENTITIES) and not service.under(resource_names.REVIEWS)
