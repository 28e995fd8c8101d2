"""What a clinic is answered of its files and studies, and what is kept back of them."""

from __future__ import annotations

import json

import pytest

from readfirst.adapters import clients
from readfirst.adapters.uploads import clinic_results
from readfirst.domain import resource_names
from readfirst.domain.reading.study_record import NOT_ANALYSED, StudyRecord
from readfirst.services import list_study, write_signed_report
from tests.portal.studies import record
from tests.portal.test_api import ACCEPT, SIGN, _fresh, _say


def _keep(clinic: str, arrival: str, reason: str, data: bytes = b"x") -> str:
    container = clients.container(resource_names.UPLOADS, resource_names.QUARANTINE)
    container.upload_blob(f"{clinic}/{arrival}", data, metadata={"reason": reason}, overwrite=True)
    return f"{clinic}~{arrival}"


def test_the_list_of_quarantine_holds_what_waits_for_a_decision_and_no_clutter(as_) -> None:
    clutter, file = _keep("north", "1" * 32, "skipped"), _keep("north", "2" * 32, "truncated")
    items = {i["item"]: i for i in as_("privacy-officer").get("/quarantine").json()["items"]}
    assert clutter not in items
    assert items[file]["releasable"]


def test_a_file_without_bytes_is_not_released_only_to_be_refused_again(as_) -> None:
    empty = _keep("north", "3" * 32, "empty-file", b"")
    pia = as_("privacy-officer")
    item = next(i for i in pia.get("/quarantine").json()["items"] if i["item"] == empty)
    assert not item["releasable"]
    path = f"/quarantine/{empty}/decision"
    refused = pia.post(path, json={"release": True, "reason": "Have another look"})
    assert (refused.status_code, refused.json()["code"]) == (409, "nothing-to-release")
    assert pia.post(path, json={"release": False, "reason": "It is empty"}).status_code == 202


def test_a_clinic_sees_each_of_its_studies_once_by_its_own_names_and_with_what_the_reader_said(as_) -> None:
    study = record(199, high_risk=True, review="signed", signed="2026-03-01T12:00:00+00:00", judged={"1": "reject"})
    clinic_results.say_study("north", study.handle, lambda: {"state": "reported", "label": study.label, "images": 1})
    clinic_results.say_result("north", study.handle, "1.2.3", "ACC-9", lambda: study)
    items = as_("clinic-user").get("/uploads").json()["items"]
    (item,) = (i for i in items if i.get("handle") == study.handle and i["kind"] == "studies")
    assert (item["state"], item["images"]) == ("reported", 1)
    assert (item["studyInstanceUid"], item["accessionNumber"]) == ("1.2.3", "ACC-9")
    assert item["review"]["state"] == "signed"
    home = clients.container(resource_names.UPLOADS, resource_names.results("north"))
    result = json.loads(home.download_blob(f"studies/{study.handle}/result.json").readall())
    assert [finding["verdict"] for finding in result["findings"]] == ["reject"]


def test_operations_see_how_many_files_of_no_study_were_refused_and_nothing_else_of_them(as_) -> None:
    before = as_("operator").get("/uploads/refused").json()["refused"]
    _keep("north", "4" * 32, "not-dicom")
    _keep("north", "5" * 32, "not-dicom")
    _keep("north", "6" * 32, "skipped")
    _keep("south", "7" * 32, "not-dicom")  # another clinic's
    named = clients.container(resource_names.UPLOADS, resource_names.QUARANTINE)
    named.upload_blob(f"north/{'8' * 32}", b"x", metadata={"reason": "not-dicom", "study": "s"}, overwrite=True)
    answer = as_("operator").get("/uploads/refused", params={"days": "7"}).json()
    assert answer == {"refused": {**before, "not-dicom": before.get("not-dicom", 0) + 2}}
    assert as_("clinic-user").get("/uploads/refused").status_code == 403


class Returns:
    """The queues: what is put into `returns` is remembered."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.name = ""

    def __call__(self, name: str, encoded: bool = True) -> Returns:
        self.name = name
        return self

    def send_message(self, text: str, visibility_timeout: int = 0) -> None:
        if self.name == resource_names.RETURNS:
            self.tokens.append(text)


@pytest.fixture
def homeward(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tokens of the studies that are asked to go home; no report is written."""
    returns = Returns()
    monkeypatch.setattr(write_signed_report, "_write", lambda *_: None)
    monkeypatch.setattr(clients, "queue", returns)
    return returns.tokens


def _kept(token: str) -> StudyRecord:
    found = list_study.read(token)
    assert found is not None
    return found


def test_what_the_reader_said_goes_home_when_it_is_signed_and_is_taken_back_with_the_signature(
    as_, homeward: list[str]
) -> None:
    rita = as_("radiologist")
    study = list_study.keep(_fresh(930))
    _say(rita, study, {**ACCEPT, "verdict": "reject"})
    write_signed_report.follow_review(study.id)
    assert homeward == [] and _kept(study.id).judged == {}, "nothing is said before it is signed"
    _say(rita, study, SIGN)
    write_signed_report.follow_review(study.id)
    assert homeward == [study.id]
    signed = _kept(study.id)
    assert (signed.review, signed.judged) == ("signed", {"1": "reject"}) and signed.signed
    _say(rita, study, {"kind": "reopened", "reason": "A second look"})
    write_signed_report.follow_review(study.id)
    assert homeward == [study.id] * 2
    assert (_kept(study.id).review, _kept(study.id).judged) == ("in progress", {})


def test_a_review_without_an_ai_result_goes_home_too(as_, homeward: list[str]) -> None:
    rita = as_("radiologist")
    study = list_study.keep(_fresh(931, label=NOT_ANALYSED, findings=(), provenance=None))
    _say(rita, study, SIGN)
    write_signed_report.follow_review(study.id)
    assert homeward == [study.id] and _kept(study.id).review == "signed"


def test_a_study_that_is_kept_back_does_not_go_home_by_its_review(as_, homeward: list[str]) -> None:
    rita = as_("radiologist")
    study = list_study.keep(_fresh(932, label=NOT_ANALYSED, findings=(), provenance=None, state="quarantined"))
    _say(rita, study, SIGN)
    write_signed_report.follow_review(study.id)
    assert homeward == []


def test_a_repeated_report_of_the_same_analysis_forgets_no_verdict(as_, homeward: list[str]) -> None:
    rita = as_("radiologist")
    study = list_study.keep(_fresh(933))
    _say(rita, study, ACCEPT)
    _say(rita, study, SIGN)
    write_signed_report.follow_review(study.id)
    list_study.keep(study)
    assert _kept(study.id).judged == {"1": "accept"} and _kept(study.id).review == "signed"
