"""Every alert of a study is looked after, whatever became of the others and of the orchestrations."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from orchestrations import alert, report
from orchestrations.report import alerts_not_sent
from readfirst.adapters.clock import now
from readfirst.services import list_study
from tests.adapters.blob_service import Blob, BlobService
from tests.adapters.test_settings import SAMPLE
from tests.conftest import settings_of
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

    monkeypatch.setattr(report, "Worklist", Index)
    monkeypatch.setattr(report.clients, "cosmos_container", lambda: None)


def sent(service: BlobService, name: str, at: datetime) -> None:
    kept = {"operation": "x", "sent": at.isoformat(timespec="seconds")}
    service.blobs[f"analysis/{TOKEN}/alerts/{name}.json"] = Blob(json.dumps(kept).encode())


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
