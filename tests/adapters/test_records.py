"""Changes of a study's record: each on what is there, and none that tries for ever."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from azure.core.exceptions import HttpResponseError

from readfirst.adapters import retries
from readfirst.adapters.studies.study_index import Contended
from readfirst.domain import blob_paths, resource_names
from readfirst.domain.reading.study_record import StudyRecord
from readfirst.local.environment import settings_of
from readfirst.services import list_study
from tests.adapters.blob_service import Blob, BlobService, Refusal
from tests.adapters.test_settings import SAMPLE
from tests.portal.studies import record

STUDY = record(1)
PATH = f"{resource_names.ANALYSIS}/{blob_paths.record_path(STUDY.id)}"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[BlobService]:
    """A Blob service that holds the study's record."""
    monkeypatch.setattr(retries, "storage", lambda: {"retry_total": 0})
    made = BlobService()
    made.blobs[PATH] = Blob(STUDY.model_dump_json().encode())
    with settings_of({**SAMPLE, "STUDIES": made.connection}):
        yield made
    made.close()


def changed(there: StudyRecord) -> StudyRecord:
    """The record with a reason."""
    return there.model_copy(update={"reason": "changed"})


def writes(service: BlobService) -> int:
    """How often somebody has tried to write the record."""
    return sum(asked == ("PUT", PATH) for asked in service.asked)


@pytest.mark.parametrize("code", ["BlobImmutableDueToPolicy", "AccountIsDisabled", "PendingCopyOperation"])
def test_a_conflict_that_will_be_there_again_is_raised_at_once(service: BlobService, code: str) -> None:
    def rule(method: str, path: str, query: object) -> None:
        if method == "PUT":
            raise Refusal(409, code)

    service.rule = rule
    with pytest.raises(HttpResponseError):
        list_study.amend_blob(STUDY.id, changed)
    assert writes(service) == 1


def test_a_record_that_others_change_all_the_time_is_left_after_some_tries(
    service: BlobService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_study.time, "sleep", lambda seconds: None)

    def rule(method: str, path: str, query: object) -> None:
        if method == "PUT":
            service.blobs[PATH].touch()

    service.rule = rule
    with pytest.raises(Contended):
        list_study.amend_blob(STUDY.id, changed)
    assert 1 < writes(service) <= 100


def test_a_change_that_somebody_overtakes_is_made_on_what_they_wrote(service: BlobService) -> None:
    def overtake(method: str, path: str, query: object) -> None:
        if method == "PUT":
            service.rule = lambda *_: None
            other = STUDY.model_copy(update={"alerted": "2026-01-01T00:00:00+00:00"})
            service.blobs[PATH] = Blob(other.model_dump_json().encode())

    service.rule = overtake
    assert list_study.amend_blob(STUDY.id, changed)
    found = list_study.read(STUDY.id)
    assert found is not None and (found.reason, found.alerted) == ("changed", "2026-01-01T00:00:00+00:00")
