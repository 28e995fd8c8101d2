"""The API as a person meets it."""

from __future__ import annotations

import io
import json

import pydicom
import pytest

from readfirst.adapters import clients
from readfirst.adapters.studies import receipts
from readfirst.domain import resource_names
from readfirst.domain.deid import PixelCheck, Profile, Receipt, ReceiptBatch, RuleFired, load_profile
from readfirst.domain.reading.study_record import FLAGGED, NOT_ANALYSED, NOT_FLAGGED, StudyRecord
from tests.portal import studies
from tests.portal.conftest import Client
from tests.portal.stage import chest
from tests.portal.studies import analysed_now, finding, index, progress_of, put_instance, record
from tests.waiting import PATIENCE

ACCEPT = {"kind": "verdict", "finding": "1", "verdict": "accept"}
SIGN = {"kind": "signed"}


def _fresh(number: int, **changes: object) -> StudyRecord:
    made = record(number, high_risk=True, **changes)
    index(made)
    return made


def _say(client, study: StudyRecord, what: dict, etag: str = "") -> object:
    etag = etag or client.get(f"/studies/{study.id}").headers["ETag"]
    return client.post(f"/studies/{study.id}/review", json={"what": what}, headers={"If-Match": etag})


def test_the_worklist_has_high_risk_first_and_then_what_is_due_first(as_) -> None:
    flagged = _fresh(1)
    index(*[record(n) for n in range(10, 16)], record(20, label=NOT_ANALYSED))
    items = as_("radiologist").get("/studies").json()["items"]
    waiting = [s for s in items if s["band"] != 0]
    assert waiting[0]["id"] == flagged.id
    rest = [s["due"] for s in waiting if not s["high_risk"]]
    assert rest == sorted(rest) and len(rest) >= 7
    assert {s["label"] for s in items} <= {FLAGGED, NOT_FLAGGED, NOT_ANALYSED}


def test_pages_of_the_worklist_join_without_a_gap_or_a_double(as_) -> None:
    index(*[record(n, clinic=c) for n in range(100, 117) for c in ("north", "south")])
    client = as_("radiologist", clinics=("north", "south"))
    whole = [s["id"] for s in client.get("/studies?limit=200").json()["items"]]
    paged, after = [], ""
    while True:
        page = client.get("/studies", params={"limit": 7, "after": after}).json()
        paged += [s["id"] for s in page["items"]]
        after = page["next"]
        if not after:
            break
    assert paged == whole and len(set(whole)) == len(whole) >= 34


def test_a_worklist_that_did_not_change_answers_304(as_) -> None:
    _fresh(2)
    client = as_("radiologist")
    first = client.get("/studies?limit=200")
    again = client.get("/studies?limit=200", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304 and not again.content
    _fresh(3)
    changed = client.get("/studies?limit=200", headers={"If-None-Match": first.headers["ETag"]})
    assert changed.status_code == 200


def test_a_handle_finds_its_study_also_when_it_is_signed(as_) -> None:
    study = _fresh(4, review="signed")
    client = as_("clinician")
    assert study.id not in {s["id"] for s in client.get("/studies?limit=200").json()["items"]}
    found = client.get("/studies", params={"handle": study.handle[:6]}).json()["items"]
    assert [s["id"] for s in found] == [study.id]


def _line(client, study: StudyRecord) -> dict:
    (line,) = client.get("/studies", params={"handle": study.handle}).json()["items"]
    return line


def test_a_study_that_is_analysed_tells_how_far_it_is_and_pretends_nothing(as_) -> None:
    study, client = analysed_now(record(41)), as_("radiologist")
    index(study)
    waiting = {"stage": "waiting", "share": 0.0}
    assert _line(client, study)["progress"] == waiting, "no job has begun"
    container = clients.container(resource_names.STUDIES, resource_names.ANALYSIS)
    for age, told in ((0, {"stage": "infer", "share": 0.4}), (300, waiting)):
        name, data = progress_of(study, 0.4, age=age)
        container.upload_blob(name, data, overwrite=True)
        assert _line(client, study)["progress"] == told
        assert client.get(f"/studies/{study.id}").json()["progress"] == told
    container.upload_blob(name, b'{"stage": "dreaming"}', overwrite=True)
    assert _line(client, study)["progress"] == waiting, "a job of another version fails no list"
    refused = _say(client, study, SIGN)
    assert refused.status_code == 409 and "not over" in refused.json()["detail"]
    assert _say(client, study, {"kind": "commented", "text": "Read as usual"}).status_code == 201


def test_only_of_studies_that_are_analysed_a_progress_is_read(as_, monkeypatch: pytest.MonkeyPatch) -> None:
    over, study = record(42), analysed_now(record(43))
    index(over, study)
    read: list[str] = []
    papers_progress = receipts.progress
    monkeypatch.setattr(receipts, "progress", lambda token, key: (read.append(token), papers_progress(token, key))[1])
    lines = {s["id"]: s["progress"] for s in as_("radiologist").get("/studies?limit=200").json()["items"]}
    assert lines[over.id] is None and lines[study.id] is not None
    assert study.id in read and all(lines[token] is not None for token in read)


def test_a_worklist_whose_progress_has_moved_is_no_304(as_) -> None:
    study, client = analysed_now(record(44)), as_("radiologist")
    index(study)
    asked = {"params": {"handle": study.handle}}
    seen = {"If-None-Match": client.get("/studies", **asked).headers["ETag"]}
    assert client.get("/studies", **asked, headers=seen).status_code == 304
    clients.container(resource_names.STUDIES, resource_names.ANALYSIS).upload_blob(*progress_of(study, 0.6))
    assert client.get("/studies", **asked, headers=seen).status_code == 200


def test_a_radiologist_judges_adds_signs_and_reopens(as_) -> None:
    study, client = _fresh(5), as_("radiologist")
    correct = {**ACCEPT, "verdict": "correct", "diameter_mm": 11.5, "comment": "Smaller than the AI says."}
    missed = {
        "kind": "missed", "what": "Pleural effusion", "category": 2, "series_uid": "2.25.11", "sop_uid": "2.25.112",
        "slice": 7,
    }  # fmt: skip
    too_early = _say(client, study, SIGN)
    assert too_early.status_code == 409 and "verdict" in too_early.json()["detail"]
    for what in (correct, missed, SIGN):
        assert _say(client, study, what).status_code == 201
    detail = client.get(f"/studies/{study.id}").json()
    assert detail["review"]["state"] == "signed"
    assert detail["review"]["verdicts"]["1"]["diameter_mm"] == 11.5
    assert [m["what"] for m in detail["review"]["missed"]] == ["Pleural effusion"]
    assert [e["what"]["kind"] for e in detail["events"]] == ["verdict", "missed", "signed"]
    assert _say(client, study, ACCEPT).status_code == 409
    assert _say(client, study, {"kind": "reopened", "reason": "New prior"}).status_code == 201
    indexed = clients.cosmos_container().read_item(study.id, "north")
    assert indexed["review"] == "in progress" and indexed["verdicts"] == {"correct": 1} and indexed["missed"] == 1


def test_the_second_of_two_radiologists_gets_a_conflict_that_names_the_first(as_) -> None:
    study = _fresh(6)
    rita, sam = as_("radiologist"), as_("radiologist", name="Dr Sam Sun")
    etag = rita.get(f"/studies/{study.id}").headers["ETag"]
    assert _say(rita, study, ACCEPT, etag).status_code == 201
    refused = _say(sam, study, {**ACCEPT, "verdict": "reject"}, etag)
    assert refused.status_code == 412 and "Dr Rita Ray" in refused.json()["detail"]
    assert sam.get(f"/studies/{study.id}").json()["review"]["verdicts"]["1"]["verdict"] == "accept"


def test_a_new_analysis_makes_the_old_version_a_conflict_and_the_signature_superseded(as_) -> None:
    study, client = _fresh(7), as_("radiologist")
    assert _say(client, study, ACCEPT).status_code == 201
    assert _say(client, study, SIGN).status_code == 201
    etag = client.get(f"/studies/{study.id}").headers["ETag"]
    index(study.model_copy(update={"run": 2, "provenance": study.provenance.model_copy(update={"run_key": "new"})}))
    assert _say(client, study, {"kind": "commented", "text": "x"}, etag).status_code == 412
    review = client.get(f"/studies/{study.id}").json()["review"]
    assert review["state"] == "in progress" and review["superseded"] and not review["verdicts"]


def test_a_review_without_if_match_is_asked_for_it(as_) -> None:
    study = _fresh(8)
    answer = as_("radiologist").post(f"/studies/{study.id}/review", json={"what": ACCEPT})
    assert answer.status_code == 428


@pytest.mark.parametrize(
    "what",
    [
        {"kind": "nonsense"},
        {**ACCEPT, "diameter_mm": -1},
        {**ACCEPT, "diameter_mm": float("nan")},
        {**ACCEPT, "extra": 1},
        {**ACCEPT, "comment": "x" * 2001},
        {"kind": "missed", "what": "", "category": 2, "series_uid": "1", "sop_uid": "1", "slice": 1},
        {"kind": "missed", "what": "x", "category": 9, "series_uid": "../..", "sop_uid": "1", "slice": 1},
        "text",
        None,
    ],
)
def test_a_malformed_event_is_refused_and_nothing_is_written(as_, what: object) -> None:
    study, client = _fresh(9), as_("radiologist")
    body = json.dumps({"what": what})
    answer = client.post(f"/studies/{study.id}/review", data=body, headers={"If-Match": "x"})
    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert client.get(f"/studies/{study.id}").json()["events"] == []


def test_a_body_that_is_no_json_or_too_large_is_refused(as_) -> None:
    study, client = _fresh(9), as_("radiologist")
    path = f"/studies/{study.id}/review"
    assert client.post(path, data=b"{", headers={"If-Match": "x"}).status_code == 400
    assert client.post(path, data=b"[" * 70_000, headers={"If-Match": "x"}).status_code == 413
    assert client.post(path, data=b"[" * 60_000, headers={"If-Match": "x"}).status_code == 400


def test_who_was_told_is_recorded_with_the_read_back_and_the_alert_hears_of_it(as_) -> None:
    study, client = _fresh(30), as_("clinician", name="Dr Cleo Care")
    told = {
        "kind": "told", "who": "Ward doctor on call", "how": "telephone", "when": "2026-11-22T10:00:00Z",
        "read_back": True,
    }  # fmt: skip
    assert client.post(f"/studies/{study.id}/told", json=told).status_code == 201
    review = client.get(f"/studies/{study.id}").json()["review"]
    assert review["told"][0]["who"] == "Ward doctor on call" and review["state"] == "unread"
    queued = [json.loads(m.content) for m in clients.queue(resource_names.COMMANDS).receive_messages()]
    ours = [m for m in queued if m["token"] == study.id]
    assert [m["kind"] for m in ours] == ["acknowledge"]
    assert ours[0]["detail"] == {"how": "telephone", "read_back": "yes"}


def test_a_study_of_another_clinic_does_not_exist(as_) -> None:
    study = _fresh(31, clinic="south")
    north, south = as_("radiologist"), as_("radiologist", clinics=("south",), name="Dr South")
    paths = [
        f"/studies/{study.id}", f"/studies/{study.id}/images", f"/studies/{study.id}/key-image",
        f"/studies/{study.id}/overlays/1", f"/studies/{study.id}/privacy",
    ]  # fmt: skip
    for path in paths:
        refused = north.get(path)
        assert (refused.status_code, refused.json()["code"]) == (404, "no-such-study"), path
    assert north.post(f"/studies/{study.id}/told", json={}).status_code == 404
    assert north.get("/studies", params={"handle": study.handle, "clinic": "south"}).json()["items"] == []
    assert south.get(f"/studies/{study.id}").status_code == 200


def test_a_person_without_clinics_sees_an_empty_worklist(as_) -> None:
    assert as_("radiologist", clinics=()).get("/studies").json()["items"] == []


@pytest.mark.parametrize("after", ["!", "e30", "bm9uc2Vuc2U", "eyJub3ciOiJ4In0"])
def test_a_cursor_that_is_none_of_ours_is_refused(as_, after: str) -> None:
    assert as_("radiologist").get("/studies", params={"after": after}).status_code == 400


def test_priors_are_told_by_the_interval_of_their_shifted_days_never_by_a_date_or_by_their_upload(as_) -> None:
    patient = "f" * 32
    now, old, dateless = (_fresh(n, patient=patient) for n in (32, 33, 37))
    older = _fresh(
        36, patient=patient, own_patient="e" * 32, moved_days=100
    )  # joined by a merge: its own shift differs
    for study, day in ((now, "20210305"), (old, "20200105"), (older, "20190101"), (dateless, "")):
        series = f"{study.study_uid}.3"
        ds = pydicom.dcmread(io.BytesIO(chest(study.study_uid, series, 1)[0]))
        ds.StudyDate = day
        out = io.BytesIO()
        ds.save_as(out)
        put_instance(study.id, ds, out.getvalue())
    answer = as_("radiologist").get(f"/studies/{now.id}")
    priors = answer.json()["priors"]
    assert [(p["id"], p["days"]) for p in priors] == [(old.id, -425), (older.id, -694), (dateless.id, None)]
    assert set(priors[0]) == {"id", "handle", "modality", "body_part", "label", "review", "instances", "days"}
    assert "2020" not in json.dumps(priors)


def test_a_study_tells_what_it_cost_from_its_files_and_the_jobs_seconds(as_) -> None:
    client = as_("radiologist")

    def cost(number: int, job: float, files: int) -> dict:
        made = record(number, instances=files)
        seconds = {"analyse": 99.0, **({"job.infer": job} if job else {})}
        index(made.model_copy(update={"provenance": made.provenance.model_copy(update={"seconds": seconds})}))
        return client.get(f"/studies/{made.id}").json()["cost"]

    small, long, large, unseen = cost(60, 10, 100), cost(61, 100, 100), cost(62, 10, 900), cost(63, 0, 100)
    assert 0 < unseen["usd"] < small["usd"] < min(long["usd"], large["usd"]) < 1
    assert not any("Container Apps" in line["what"] for line in unseen["lines"])
    assert small["usd"] == pytest.approx(sum(line["usd"] for line in small["lines"]), abs=1e-4)
    assert (small["profile"], small["job_seconds"]) == ("clinic", 10) and small["prices"]


def test_the_spend_of_a_period_is_the_sum_of_its_studies_beside_what_a_month_costs_anyhow(as_) -> None:
    index(record(64))
    spend = as_("operator").get("/ops?days=2").json()["spend"]
    assert spend["studies"] == pytest.approx(sum(day["usd"] for day in spend["per_day"]), rel=0.01)
    assert spend["studies"] > 0 and spend["fixed_a_month"] > 1


def _receipt(profile: Profile) -> Receipt:
    fired = (RuleFired(path="00100010", action="emptied", why="E.1-1", count=2),)
    return Receipt(
        sop_uid="1.2", engine="1", table="2026d", profile=profile.name, profile_digest=profile.digest,
        input_digest="a", output_digest="b", rules=fired, residual="none found", residual_checked=3,
        pixels=PixelCheck(outcome="searched", frames=2, regions_blanked=1),
    )  # fmt: skip


def test_the_de_identification_report_says_what_was_done_in_figures_and_as_a_page_that_runs_nothing(as_) -> None:
    study, profile = _fresh(65, refused={"truncated": 2}), load_profile("triage-default")
    batch = ReceiptBatch(token=study.id, receipts=(_receipt(profile), _receipt(profile)))
    clean = clients.container(resource_names.STUDIES, resource_names.CLEAN)
    clean.upload_blob(f"{study.id}/receipts/000001-000000.json", batch.model_dump_json(), overwrite=True)
    pia = as_("privacy-officer", name="Pia")
    report = pia.get(f"/studies/{study.handle}/privacy").json()  # who has no worklist has the handle
    assert ["Files kept back", "2 truncated"] in report["facts"] and len(report["harbor"]) == 18
    assert report["rules"] == [["(0010,0010) Patient's Name", "emptied", "E.1-1", 4]]
    page = pia.get(f"/studies/{study.id}/privacy", headers={"Accept": "text/html"})
    assert page.headers["Content-Type"].startswith("text/html") and study.handle in page.text
    assert "sandbox" in page.headers["Content-Security-Policy"] and "script" not in page.text
    strange = _receipt(profile).model_copy(update={"profile_digest": "0" * 64})
    batch = ReceiptBatch(token=study.id, receipts=(strange,))
    clean.upload_blob(f"{study.id}/receipts/000001-000000.json", batch.model_dump_json(), overwrite=True)
    assert pia.get(f"/studies/{study.id}/privacy").json()["harbor"] == []
    assert as_("operator").get(f"/studies/{study.id}/privacy").status_code == 403
    assert as_("privacy-officer", clinics=("south",)).get(f"/studies/{study.handle}/privacy").status_code == 404


def test_the_figures_count_what_readers_said_of_the_model(as_) -> None:
    study, client = _fresh(34, findings=(finding("1"), finding("2"))), as_("radiologist")
    for what in (ACCEPT, {**ACCEPT, "finding": "2", "verdict": "reject"}, SIGN):
        assert _say(client, study, what).status_code == 201
    figures = as_("operator").get("/ops?days=2").json()
    model = figures["models"][0]
    assert model["signed"] >= 1 and 0 < model["positive_predictive_value"] < 1
    assert {s["stage"] for s in figures["stages"]} >= {"settle", "deidentify", "analyse", "report"}


def test_a_fault_of_ours_tells_a_reference_and_no_text_of_the_exception(as_) -> None:
    broken = record(35).model_dump(mode="json") | {"state": "SECRET-TEXT"}
    clients.cosmos_container().upsert_item(broken)
    answer = as_("radiologist").get(f"/studies/{broken['id']}")
    assert answer.status_code == 500
    assert "SECRET" not in answer.text and "Reference" in answer.json()["detail"]
    clients.cosmos_container().delete_item(broken["id"], "north")


def test_anybody_may_read_the_openapi_document(address) -> None:
    import requests

    from tools import openapi

    answer = requests.get(f"{address}/openapi.json", timeout=PATIENCE)
    assert answer.json() == openapi.document()


def test_the_address_of_version_1_0_answers_as_this_ones_does(as_, address: str) -> None:
    """A portal, a viewer or a script of that time calls `/api/…`: it may and sees the same, and nobody else does."""
    study, client = _fresh(45), as_("radiologist")
    older = Client(address.removesuffix("/v1"), client.headers["Authorization"].removeprefix("Bearer "))
    assert older.base.endswith("/api")
    assert older.get(f"/studies/{study.id}").json() == client.get(f"/studies/{study.id}").json()
    etag = older.get(f"/studies/{study.id}").headers["ETag"]
    said = older.post(f"/studies/{study.id}/review", json={"what": ACCEPT}, headers={"If-Match": etag})
    assert said.status_code == 201
    assert client.get(f"/studies/{study.id}").json()["review"]["verdicts"].keys() == {"1"}
    stranger = Client(address.removesuffix("/v1"))
    assert stranger.get(f"/studies/{study.id}").status_code == 401


def test_an_operator_has_a_study_replayed_or_cancelled_by_a_command(as_) -> None:
    study, operator = _fresh(46), as_("operator", name="Oda")
    for what in ("replay", "cancel"):
        answer = operator.post(f"/studies/{study.id}/{what}", json={})
        assert (answer.status_code, answer.json()) == (202, {"accepted": True})


def test_me_names_my_roles_my_clinics_and_what_i_may_do(as_) -> None:
    me = as_("clinician", name="Dr Cleo Care").get("/me").json()
    assert me["roles"] == ["clinician"] and [c["id"] for c in me["clinics"]] == ["north"]
    assert "study" in me["may"] and "study_review" not in me["may"]
    assert studies.CLINIC_NAMES["north"] == me["clinics"][0]["name"]
