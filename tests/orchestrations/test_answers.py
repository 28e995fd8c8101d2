"""What a clinic is told follows the record: an answer that is written late takes nothing back."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrations.report import answer_clinic
from orchestrations.settle import look_and_seal
from readfirst.adapters.uploads.ledger import ledger_of
from readfirst.domain.intake.ledger import Seal
from readfirst.domain.reading.study_record import FLAGGED, NOT_ANALYSED, StudyRecord
from readfirst.domain.workflow_messages import Run
from readfirst.services import list_study, return_results
from tests.adapters.blob_service import Blob, BlobService
from tests.orchestrations.conftest import do
from tests.orchestrations.test_copies import INBOX, take
from tests.orchestrations.test_receive import CLINIC, ct
from tests.spec.records import NOW, finding, studied

TOKEN = "a" * 32
IDENTITY = SimpleNamespace(study=SimpleNamespace(study_uid="1.2.3", accession_number="A1"))


def failed(token: str = TOKEN) -> StudyRecord:
    return studied(token, kind="failed", reason="deadline")


def flagged(token: str = TOKEN) -> StudyRecord:
    return studied(token, findings=(finding(),), high_risk=True)


def told(service: BlobService, name: str) -> dict[str, Any]:
    (blob,) = [blob for path, blob in service.under("results-").items() if path.endswith(name)]
    return dict(json.loads(blob.data))


def answer() -> None:
    do(answer_clinic, Run(token=TOKEN, clinic="north", n=1).dump())


def bring_home() -> None:
    return_results.return_study(TOKEN)


@pytest.mark.parametrize("before", [False, True], ids=["the first answer", "a later one"])
@pytest.mark.parametrize(("tell", "name"), [(answer, "status.json"), (bring_home, "result.json")])
def test_an_answer_that_is_overtaken_by_a_newer_result_says_that_one(
    service: BlobService, monkeypatch: pytest.MonkeyPatch, tell: Callable[[], None], name: str, before: bool
) -> None:
    monkeypatch.setattr(return_results.identities, "of_study", lambda token: IDENTITY)
    list_study.keep(failed())
    if before:
        tell()
    read, reads = list_study.read, list[str]()

    def overtaken(token: str) -> StudyRecord | None:
        there = read(token)
        reads.append(token)
        if len(reads) == 2:  # what is about to be written
            list_study.keep(flagged())
            tell()
        return there

    monkeypatch.setattr(list_study, "read", overtaken)
    tell()
    assert len(reads) > 2
    assert told(service, name)["label"] == FLAGGED


def test_a_look_that_comes_again_after_the_report_takes_nothing_back(service: BlobService) -> None:
    """The host may carry an activity out twice."""
    service.blobs[INBOX] = Blob(ct())
    take()
    (path,) = service.under("originals/")
    token = path.split("/")[1]
    ledger, run = ledger_of(token), Run(token=token, clinic=CLINIC, n=1)
    ledger.seal(Seal(run=1, arrivals=(ledger.notes()[0].id,), short=False, at=NOW + timedelta(hours=1)))
    do(look_and_seal, run.dump())
    assert told(service, "status.json")["state"] == "in progress"
    record = failed(token).model_copy(update={"handle": ledger.handle(), "clinic": CLINIC})
    list_study.keep(record)
    do(answer_clinic, run.dump())
    do(look_and_seal, run.dump())
    assert told(service, "status.json")["label"] == NOT_ANALYSED
