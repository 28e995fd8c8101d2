"""A review's event is the truth: what follows from it is done now, by the same person's repeat, or by a promise."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from azure.core.exceptions import ServiceRequestError

from function_app.http import guard
from readfirst.adapters import clients
from readfirst.adapters.studies import reviews
from readfirst.domain import resource_names
from readfirst.domain.analysis.messages import Command
from readfirst.domain.reading.study_record import VERIFIED, StudyRecord
from readfirst.services import list_study as copies
from readfirst.services import write_signed_report
from tests.portal.studies import index, record
from tests.portal.test_api import ACCEPT, SIGN, _fresh, _say

TOLD = {"kind": "told", "who": "Ward doctor", "how": "telephone", "when": "2026-11-22T10:00:00Z", "read_back": True}


class Queue:
    """A queue that remembers what it is given, and may be away for what is to come now, or for all."""

    def __init__(self) -> None:
        self.now: list[Command] = []
        self.promised: list[Command] = []
        self.away = ""

    def send_message(self, text: str, visibility_timeout: int = 0) -> None:
        if self.away == "all" or (self.away == "now" and not visibility_timeout):
            raise ServiceRequestError("away")
        (self.promised if visibility_timeout else self.now).append(Command.model_validate_json(text))


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Queue:
    made = Queue()
    monkeypatch.setattr(clients, "queue", lambda name, encoded=True: made)
    return made


def _away(monkeypatch: pytest.MonkeyPatch, where: object, name: str) -> None:
    def raises(*_: Any, **__: Any) -> None:
        raise ServiceRequestError("away")

    monkeypatch.setattr(where, name, raises)


def _events(study: StudyRecord) -> Counter[str]:
    container = clients.container(resource_names.STUDIES, resource_names.REVIEWS)
    return Counter(event.what.kind for event in reviews.events(container, study.id))


def _indexed(study: StudyRecord) -> dict[str, Any]:
    return dict(clients.cosmos_container().read_item(study.id, partition_key=study.clinic))


def _ready(client: Any, number: int) -> tuple[StudyRecord, str]:
    """A study with every verdict given, and the version to sign."""
    study = _fresh(number)
    return study, _say(client, study, ACCEPT).headers["ETag"]


def test_a_signature_counts_although_the_index_is_away_and_the_repeat_finishes_it(
    as_, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    rita, sam = as_("radiologist"), as_("radiologist", name="Dr Sam Sun")
    study, seen = _ready(rita, 970)
    with monkeypatch.context() as patch:
        _away(patch, copies, "index_review")
        first = _say(rita, study, SIGN, seen)
    assert first.status_code == 201 and first.json()["review"]["state"] == "signed"
    assert _indexed(study)["review"] == "in progress"
    again, fresh = _say(rita, study, SIGN, seen), _say(rita, study, SIGN)
    assert first.json() == again.json() == fresh.json() and again.headers["ETag"] == first.headers["ETag"]
    assert _indexed(study)["review"] == "signed" and _events(study)["signed"] == 1
    assert _say(sam, study, SIGN, seen).status_code == 412 and _say(sam, study, SIGN).status_code == 409
    assert {c.kind for c in queue.now} == {"verify"}


@pytest.mark.parametrize("where", ["queue", "index"])
def test_what_nobody_repeats_the_promised_command_finishes(
    as_, queue: Queue, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    rita = as_("radiologist")
    study, seen = _ready(rita, 971 + (where == "queue"))
    queue.away = "now" if where == "queue" else ""
    with monkeypatch.context() as patch:
        if where == "index":
            _away(patch, copies, "index_review")
        assert _say(rita, study, SIGN, seen).status_code == 201
    (promise,) = [c for c in queue.promised if c.token == study.id][-1:]
    assert promise.kind == "verify"
    write_signed_report.follow_review(promise.token, promise.detail["clinic"])
    assert _indexed(study)["review"] == "signed"


def test_an_acknowledgement_that_is_sent_again_is_one_fact_and_reaches_the_alert(as_, queue: Queue) -> None:
    study, client = _fresh(973), as_("clinician", name="Dr Cleo Care")
    queue.away = "now"
    first = client.post(f"/studies/{study.id}/told", json=TOLD)
    queue.away = ""
    again = client.post(f"/studies/{study.id}/told", json=TOLD)
    assert first.status_code == again.status_code == 201 and first.json() == again.json()
    assert _events(study) == {"told": 1} and [c.kind for c in queue.now] == ["acknowledge"]
    assert [c.kind for c in queue.promised] == ["acknowledge"]
    client.post(f"/studies/{study.id}/told", json={**TOLD, "who": "Surgeon"})
    assert _events(study) == {"told": 2}


def test_where_it_cannot_be_audited_or_promised_nothing_is_written(
    as_, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    rita = as_("radiologist")
    study, seen = _ready(rita, 974)
    with monkeypatch.context() as patch:
        patch.setattr(guard.Call, "audit", lambda *_: (_ for _ in ()).throw(ServiceRequestError("away")))
        assert _say(rita, study, SIGN, seen).status_code == 500
    queue.away = "all"
    assert _say(rita, study, SIGN, seen).status_code == 500
    assert not _events(study)["signed"]
    queue.away = ""
    assert _say(rita, study, SIGN, seen).status_code == 201


def test_a_repeat_after_a_newer_event_gets_the_answer_of_then(as_, queue: Queue) -> None:
    rita, sam = as_("radiologist"), as_("radiologist", name="Dr Sam Sun")
    study = _fresh(975)
    seen = rita.get(f"/studies/{study.id}").headers["ETag"]
    first = _say(rita, study, ACCEPT, seen)
    assert _say(sam, study, {**ACCEPT, "verdict": "reject"}).status_code == 201
    assert _say(rita, study, ACCEPT, seen).json() == first.json()
    assert _events(study) == {"verdict": 2}
    assert _indexed(study)["verdicts"] == {"reject": 1}, "the index has the newest all the same"


def test_a_verified_report_goes_home_although_an_earlier_try_ended_at_the_index(
    as_, monkeypatch: pytest.MonkeyPatch
) -> None:
    rita, sent = as_("radiologist"), []
    study, seen = _ready(rita, 976)
    study = copies.keep(study.model_copy(update={"outputs": {"sr": f"{study.id}/x/sr.dcm"}}))
    assert _say(rita, study, SIGN, seen).status_code == 201
    monkeypatch.setattr(write_signed_report, "_write", lambda *_: None)
    monkeypatch.setattr(write_signed_report.clients, "queue", lambda name: type("Q", (), {"send_message": sent.append}))
    with monkeypatch.context() as patch:
        _away(patch, copies, "index")
        with pytest.raises(ServiceRequestError):
            write_signed_report.follow_review(study.id)
    assert sent == [study.id], "the way home does not wait for the index"
    write_signed_report.follow_review(study.id)
    assert sent == [study.id] * 2 and VERIFIED in _indexed(study)["outputs"]


def test_a_signature_that_is_followed_late_does_not_take_the_place_of_a_later_one(
    as_, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command of the first signature is still at work when the second one's report has been noted."""
    rita = as_("radiologist")
    study, seen = _ready(rita, 958)
    base = f"{study.id}/x/sr"
    study = copies.keep(study.model_copy(update={"outputs": {"sr": f"{base}.dcm"}}))
    assert _say(rita, study, SIGN, seen).status_code == 201
    later = f"{base}-verified-000099.dcm"

    def overtaken(*_: object) -> None:
        copies.amend_blob(
            study.id, lambda there: there.model_copy(update={"outputs": {**there.outputs, VERIFIED: later}})
        )

    monkeypatch.setattr(write_signed_report, "_write", overtaken)
    monkeypatch.setattr(write_signed_report.clients, "queue", lambda name: type("Q", (), {"send_message": print}))
    write_signed_report.follow_review(study.id)
    assert _indexed(study)["outputs"][VERIFIED] == later


def test_a_command_of_an_older_version_still_brings_the_index_up_to_date(as_) -> None:
    rita = as_("radiologist")
    study, seen = _ready(rita, 977)
    copies.keep(study)
    assert _say(rita, study, SIGN, seen).status_code == 201
    index(study)  # as it was
    command = Command.model_validate_json(json.dumps({"kind": "verify", "token": study.id, "by": "x", "at": "x"}))
    write_signed_report.follow_review(command.token, command.detail.get("clinic", ""))
    assert _indexed(study)["review"] == "signed"
    assert record(977).review == "unread"
