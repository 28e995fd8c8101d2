"""The doors to an identity, quarantine and uploads; the vault is empty here: a browser test opens a real record."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import requests

from function_app.http import guard
from function_app.http.guard import Problem
from function_app.http.identity_access import _patient_of
from readfirst.adapters import clients
from readfirst.adapters.identity import identities, identity_requests
from readfirst.adapters.uploads import clinic_results
from readfirst.domain import resource_names
from readfirst.domain.access.identity_requests import Act, Answer, Case, may_decide, may_open
from readfirst.domain.deid import IdentityRecord, PatientIdentity, StudyIdentity
from readfirst.domain.intake.person import Question, Stated
from tests.portal.stage import chest
from tests.portal.studies import index, record
from tests.waiting import PATIENCE

REASON = {"reason": "Unconscious patient in the emergency room"}


@pytest.fixture(autouse=True)
def full_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test begins with its persons' full rights to ask: how many others ran just before does not matter."""
    made = {app: guard.Buckets(per_minute=60, burst=40) for app in ("api", "identity")}
    monkeypatch.setattr(guard, "buckets", made.__getitem__)


def test_a_door_wants_a_reason(as_) -> None:
    study = record(80)
    index(study)
    for path in ("break-glass", "requests"):
        assert as_("radiologist").post(f"/identity/{path}/{study.id}", json={"reason": "short"}).status_code == 422


def test_treatment_is_for_the_uploading_clinic_alone(as_) -> None:
    study = record(81, clinic="south")
    index(study)
    assert as_("clinician").post(f"/identity/treatment/{study.id}", json={}).status_code == 404


def test_a_use_of_break_glass_is_kept_audited_and_told_to_the_clinic_before_anything_is_shown(as_) -> None:
    study = record(82, clinic="south")
    index(study)
    answer = as_("radiologist", name="Dr Far").post(f"/identity/break-glass/{study.id}", json=REASON)
    assert (answer.status_code, answer.json()["code"]) == (404, "no-identity")  # the vault of this test is empty
    pia = as_("privacy-officer", clinics=("north", "south"), name="Pia")
    use = next(u for u in pia.get("/identity/break-glass").json()["uses"] if u["act"]["token"] == study.id)
    assert use["act"]["reason"] == REASON["reason"] and use["state"] == "open" and not use["overdue"]
    entry = pia.get("/audit", params={"app": "identity"}).json()["entries"][0]
    assert (entry["act"], entry["token"], entry["reason"]) == ("break_glass", study.id, REASON["reason"])
    told = clients.container(resource_names.UPLOADS, resource_names.results("south"))
    answers = [json.loads(told.download_blob(b).readall()) for b in told.list_blob_names(name_starts_with="access/")]
    assert any(a["handle"] == study.handle and a["door"] == "break-glass" for a in answers)
    path = f"/identity/break-glass/{use['act']['id']}/review"
    assert pia.post(path, json={"justified": True}).status_code == 200
    assert pia.post(path, json={"justified": False}).status_code == 409


def test_a_use_that_nobody_looked_at_in_time_is_overdue() -> None:
    act = Act(
        id="1", token="t", clinic="c", handle="H", by="a", by_name="A", at="2026-01-01T00:00:00+00:00", reason="r"
    )
    case = Case(act=act)
    assert not case.overdue(datetime(2026, 1, 3, tzinfo=UTC)) and case.overdue(datetime(2026, 1, 5, tzinfo=UTC))


def test_nobody_decides_on_their_own_request_and_an_approval_lapses() -> None:
    now = datetime(2026, 1, 5, tzinfo=UTC)
    act = Act(id="1", token="t", clinic="c", handle="H", by="a", by_name="A", at=now.isoformat(), reason="r")
    yes = Answer(by="b", by_name="B", at=now.isoformat(), yes=True)
    assert may_decide(Case(act=act), "a") and not may_decide(Case(act=act), "b")
    assert may_decide(Case(act=act, answer=yes), "b")
    assert not may_open(Case(act=act, answer=yes), "a", now)
    assert may_open(Case(act=act, answer=yes), "b", now) and may_open(Case(act=act), "a", now)
    assert may_open(Case(act=act, answer=yes), "a", now + timedelta(days=2))


def test_a_request_is_seen_by_who_asked_and_who_decides_and_opens_only_after_approval(as_) -> None:
    study = record(83)
    index(study)
    oda, other, pia = as_("operator", name="Oda"), as_("operator", name="Olaf"), as_("privacy-officer", name="Pia")
    request = oda.post(f"/identity/requests/{study.id}", json=REASON).json()["id"]
    assert request not in {r["act"]["id"] for r in other.get("/identity/requests").json()["requests"]}
    path = f"/identity/requests/{request}"
    assert oda.post(f"{path}/open", json={}).status_code == 403
    assert oda.post(f"{path}/decision", json={"approve": True}).status_code == 403
    assert pia.post(f"{path}/decision", json={"approve": True}).status_code == 200
    assert other.post(f"{path}/open", json={}).status_code == 403
    assert oda.post(f"{path}/open", json={}).json()["code"] == "no-identity"
    own = pia.post(f"/identity/requests/{study.id}", json=REASON).json()["id"]
    refused = pia.post(f"/identity/requests/{own}/decision", json={"approve": True})
    assert refused.status_code == 409 and "second person" in refused.json()["detail"]


def _asked(as_, number: int) -> tuple[str, object]:
    study = record(number)
    index(study)
    oda = as_("operator", name="Oda")
    return oda.post(f"/identity/requests/{study.id}", json=REASON).json()["id"], oda


def test_nobody_passes_the_third_door_alone_or_twice_or_late_or_from_another_clinic(as_) -> None:
    request, oda = _asked(as_, 89)
    path = f"/identity/requests/{request}"
    both = as_(
        "operator", "privacy-officer", name="Oda"
    )  # the same person with the second role: another token, another oid
    far = as_("privacy-officer", clinics=("south",), name="Paul")
    assert far.post(f"{path}/decision", json={"approve": True}).status_code == 404
    assert request not in {r["act"]["id"] for r in far.get("/identity/requests").json()["requests"]}
    assert oda.post(f"{path}/open", json={"approve": True}).status_code == 403
    own = both.post(f"/identity/requests/{record(89).id}", json=REASON).json()["id"]
    assert both.post(f"/identity/requests/{own}/decision", json={"approve": True}).status_code == 409
    assert both.post(f"/identity/requests/{own}/open", json={}).status_code == 403
    pia = as_("privacy-officer", name="Pia")
    assert pia.post(f"{path}/decision", json={"approve": False}).status_code == 200
    assert pia.post(f"{path}/decision", json={"approve": True}).status_code == 409
    said = pia.post(f"{path}/decision", json={"approve": False})
    assert said.status_code == 200 and said.json()["state"] == "declined", "the same word again changes nothing"
    other = as_("privacy-officer", name="Petra").post(f"{path}/decision", json={"approve": False})
    assert other.status_code == 409
    refused = oda.post(f"{path}/open", json={})
    assert refused.status_code == 403 and "not approved" in refused.json()["detail"]
    opens = [e for e in pia.get("/audit", params={"app": "identity"}).json()["entries"] if e["act"] == "request_open"]
    assert [e["outcome"] for e in opens if e["reason"] == request] == ["refused", "refused"]


def test_one_approval_is_for_one_look(as_) -> None:
    request, oda = _asked(as_, 90)
    path = f"/identity/requests/{request}"
    assert as_("privacy-officer", name="Pia").post(f"{path}/decision", json={"approve": True}).status_code == 200
    for _ in range(2):  # a page that is loaded anew within the minutes is the same look
        assert oda.post(f"{path}/open", json={}).json()["code"] == "no-identity"
    opened = clients.container(resource_names.VAULT, resource_names.DOORS).get_blob_client(
        f"requests/{request}/opened.txt"
    )
    opened.upload_blob((datetime.now(UTC) - timedelta(minutes=6)).isoformat(), overwrite=True)
    refused = oda.post(f"{path}/open", json={})
    assert refused.status_code == 403 and "one look" in refused.json()["detail"]


def test_an_approval_that_lapsed_opens_nothing_whatever_the_caller_says_of_the_time(as_) -> None:
    request, oda = _asked(as_, 91)
    late = datetime.now(UTC) - timedelta(hours=25)
    yes = Answer(by="pia", by_name="Pia", at=late.isoformat(), yes=True)
    identity_requests.answer("requests", identity_requests.case("requests", request), yes)
    headers = {"Date": "Mon, 05 Jan 2026 12:00:00 GMT", "X-Ms-Date": late.isoformat()}
    refused = oda.post(f"/identity/requests/{request}/open", json={"at": late.isoformat()}, headers=headers)
    assert refused.status_code == 403 and "lapsed" in refused.json()["detail"]


@pytest.mark.parametrize("reason", [None, "", " " * 40, "too short", "\x00" * 20, "x" * 501, 7, ["a" * 20], {"a": 1}])
def test_a_reason_that_says_nothing_opens_no_door_and_leaves_no_use(as_, reason: object) -> None:
    study = record(92)
    index(study)
    far = as_("radiologist", clinics=("south",), name="Dr Far")
    for door in ("break-glass", "requests"):
        assert far.post(f"/identity/{door}/{study.id}", json={"reason": reason}).status_code == 422
        assert far.post(f"/identity/{door}/{study.id}", json={"reason": "An emergency", "by": "x"}).status_code == 422
    uses = as_("privacy-officer", name="Pia").get("/identity/break-glass").json()["uses"]
    assert study.id not in {u["act"]["token"] for u in uses}


def test_a_use_on_a_clinics_study_is_reviewed_by_an_officer_of_that_clinic_alone(as_) -> None:
    study = record(93)
    index(study)
    as_("radiologist", clinics=("south",), name="Dr Far").post(f"/identity/break-glass/{study.id}", json=REASON)
    pia, far = as_("privacy-officer", name="Pia"), as_("privacy-officer", clinics=("south",), name="Paul")
    use = next(u["act"] for u in pia.get("/identity/break-glass").json()["uses"] if u["act"]["token"] == study.id)
    assert (
        far.get("/identity/break-glass").json()["uses"] == [] or use["id"] not in far.get("/identity/break-glass").text
    )
    assert far.post(f"/identity/break-glass/{use['id']}/review", json={"justified": True}).status_code == 404
    assert study.id not in far.get("/audit", params={"app": "identity"}).text
    assert study.id in pia.get("/audit", params={"app": "identity"}).text


def test_erasing_a_person_erases_every_study_of_the_same_token_at_that_clinic_alone(as_) -> None:
    first, second = record(86, patient="e" * 32), record(87, patient="e" * 32)
    index(first, second, record(88), record(86, clinic="south", patient="e" * 32))
    body = {"of": "patient", "reason": "The person asked for it"}
    answer = as_("privacy-officer", name="Pia").post(f"/identity/erasures/{first.handle}", json=body)
    assert answer.status_code == 202 and sorted(answer.json()["handles"]) == sorted([first.handle, second.handle])


def test_studies_of_which_nobody_knows_whose_they_are_are_not_one_persons(as_) -> None:
    first, second = record(95, patient=""), record(96, patient="")
    index(first, second)
    pia, reason = as_("privacy-officer", name="Pia"), {"reason": "The person asked for it"}
    erased = pia.post(f"/identity/erasures/{first.handle}", json={"of": "patient", **reason})
    assert erased.json()["handles"] == [first.handle]
    for one, into in ((first, second), (first, first), (record(97), second), (first, record(97))):
        index(one, into)
        assert pia.post(f"/identity/merges/{one.handle}", json={"into": into.handle, **reason}).status_code == 409
    assert as_("radiologist").get(f"/studies/{first.id}").json()["priors"] == []


def test_two_patients_of_a_clinic_are_joined_by_a_command_with_a_reason_and_an_audit_entry(as_) -> None:
    one, other, far = record(91, patient="1" * 32), record(92, patient="2" * 32), record(93, clinic="south")
    index(one, other, far)
    pia, path = as_("privacy-officer", name="Pia"), f"/identity/merges/{one.handle}"
    body = {"into": other.handle, "reason": "A typing mistake in the ID"}
    commands = clients.queue(resource_names.COMMANDS)
    commands.clear_messages()
    assert as_("radiologist").post(path, json=body).status_code == 403
    assert pia.post(path, json={**body, "into": far.handle}).status_code == 404, "no person is of two clinics"
    assert pia.post(path, json={**body, "into": "x"}).status_code == 422
    assert pia.post(path, json=body).status_code == 202
    assert pia.post(path, json={**body, "into": one.handle}).status_code == 202
    told = [json.loads(m.content) for m in commands.receive_messages(max_messages=5)]
    assert [(c["kind"], c["detail"]["patient"], c["detail"]["into"]) for c in told] == [
        ("merge", one.patient, other.patient),
        ("merge", one.patient, one.patient),
    ]
    entries = pia.get("/audit", params={"app": "identity"}).json()["entries"]
    assert [e["outcome"] for e in entries if e["act"] == "merge"][:2] == ["merge undone", f"merge into {other.handle}"]


@pytest.fixture
def kept() -> str:
    """A file in quarantine of the north clinic."""
    study = record(84)
    index(study)
    data = chest(study.study_uid, f"{study.study_uid}.3")[0]
    clients.container(resource_names.UPLOADS, resource_names.QUARANTINE).upload_blob(
        f"{study.id}/{'a' * 32}", data, metadata={"reason": "burned-in-text-likely"}, overwrite=True
    )
    return f"{study.id}~{'a' * 32}"


def test_a_file_kept_back_is_shown_to_the_privacy_officer_and_released_by_a_command(as_, kept: str) -> None:
    from PIL import Image

    pia = as_("privacy-officer", name="Pia")
    item = next(i for i in pia.get("/quarantine").json()["items"] if i["item"] == kept)
    assert item["reason"] == "burned-in-text-likely" and item["advice"]
    assert Image.open(io.BytesIO(pia.get(f"/quarantine/{kept}/picture").content)).size == (256, 256)
    assert pia.get(f"/quarantine/{kept}/picture?frame=2").status_code == 404
    assert pia.get(f"/quarantine/{kept}/picture?frame=last").status_code == 400
    ruling = {"release": True, "reason": "A scale, no name"}
    assert pia.post(f"/quarantine/{kept}/decision", json=ruling).status_code == 202
    queued = [json.loads(m.content) for m in clients.queue(resource_names.COMMANDS).receive_messages()]
    assert any(m["kind"] == "release" and m["detail"] == {"arrival": "a" * 32} for m in queued)


ASKED = Question(
    persons=((Stated(patient_id="A-1"),), (Stated(patient_id="B-2"),)),
    files=(20, 3),
    shown=(Stated(patient_id="A-1", name="Orchardson^Anna"), Stated(patient_id="B-2", name="Pilkovich^Boris")),
)


@pytest.fixture
def question() -> Iterator[Callable[[Question], str]]:
    """Puts a question about a study of the north clinic into quarantine."""
    study = record(94)
    index(study)
    container = clients.container(resource_names.UPLOADS, resource_names.QUARANTINE)

    def put(question: Question) -> str:
        data = question.model_dump_json()
        container.upload_blob(f"{study.id}/{'d' * 32}", data, metadata={"reason": "several-persons"}, overwrite=True)
        return f"/quarantine/{study.id}~{'d' * 32}"

    yield put
    container.delete_blob(f"{study.id}/{'d' * 32}")


def commands() -> list[dict[str, object]]:
    return [json.loads(m.content) for m in clients.queue(resource_names.COMMANDS).receive_messages()]


def test_a_privacy_officer_sees_whom_the_files_of_a_study_name_and_says_whose_it_is(as_, question) -> None:
    pia, path = as_("privacy-officer", name="Pia"), question(ASKED)
    shown = pia.get(f"{path}/persons").json()["persons"]
    assert [(p["name"], p["files"], p["possible"]) for p in shown] == [
        ("Orchardson^Anna", 20, True), ("Pilkovich^Boris", 3, True),
    ]  # fmt: skip
    assert pia.get(f"{path}/picture").status_code == 404
    decided: list[dict[str, object]] = []
    for person in (1, None):
        ruling = {"release": True, "reason": "By the order of the ward"} | (
            {} if person is None else {"person": person}
        )
        assert pia.post(f"{path}/decision", json=ruling).status_code == 202
        decided += [c["detail"] for c in commands() if c["kind"] == "release"]
    assert {"arrival": "d" * 32, "person": "1"} in decided and {"arrival": "d" * 32} in decided
    entries = pia.get("/audit", params={"app": "identity"}).json()["entries"]
    outcomes = [e["outcome"] for e in entries if e["act"] == "quarantine_decision"]
    assert {"split: person 2 of 2 alone", "release: 2 are one person"} <= set(outcomes)
    assert "Orchardson" not in json.dumps(entries)
    far = as_("privacy-officer", clinics=("south",), name="Paul")
    assert far.get(f"{path}/persons").status_code == 404


@pytest.mark.parametrize("person", [0, 2, -1, "B-2"])
def test_a_study_is_not_given_to_somebody_whom_it_cannot_be(as_, question, person: object) -> None:
    path = question(ASKED.model_copy(update={"pinned": 1}))
    ruling = {"release": True, "reason": "By the order of the ward", "person": person}
    assert as_("privacy-officer", name="Pia").post(f"{path}/decision", json=ruling).status_code == 422


def test_a_file_kept_back_is_nobodys_question(as_, kept: str) -> None:
    pia = as_("privacy-officer", name="Pia")
    assert pia.get(f"/quarantine/{kept}/persons").status_code == 404
    ruling = {"release": True, "reason": "A scale, no name", "person": 0}
    assert pia.post(f"/quarantine/{kept}/decision", json=ruling).status_code == 422


def test_nobody_is_shown_for_a_study_of_which_it_is_not_clear_whose_it_is() -> None:
    one, other = PatientIdentity(name="Orchardson^Anna"), PatientIdentity(name="Pilkovich^Boris")
    both = IdentityRecord(
        clinic="north",
        token="t",
        handle="H",
        clean_study_uid="1",
        study=StudyIdentity(),
        patients={"a": one, "b": other},
    )
    assert _patient_of(both, {"patient": "b"}) == other
    assert _patient_of(both, {"patient": "merged", "own_patient": "a"}) == one
    for study in ({"patient": ""}, {"patient": "c"}, {"patient": "a", "state": "quarantined"}):
        with pytest.raises(Problem):
            _patient_of(both, study)
    assert _patient_of(both.model_copy(update={"patients": {"a": one}}), {"patient": ""}) == one


def test_every_door_shows_the_same_of_a_patient_for_minutes(as_, monkeypatch: pytest.MonkeyPatch) -> None:
    """The vault's own reading is tested with the vault; here is what a person is shown."""
    study = record(106)
    index(study)
    kept = IdentityRecord(
        clinic=study.clinic,
        token=study.id,
        handle=study.handle,
        clean_study_uid=study.study_uid,
        study=StudyIdentity(accession_number="A7"),
        patients={study.patient: PatientIdentity(patient_id="P1", name="MOOR^ANNA", birth_date="19600102")},
    )
    monkeypatch.setattr(identities, "of_study", lambda token: kept if token == study.id else None)
    rita, pia = as_("clinician", name="Rita"), as_("privacy-officer", name="Pia")
    request = rita.post(f"/identity/requests/{study.id}", json=REASON).json()["id"]
    assert pia.post(f"/identity/requests/{request}/decision", json={"approve": True}).status_code == 200
    shown = [
        rita.post(path, json=body)
        for path, body in (
            (f"/identity/treatment/{study.id}", {}),
            (f"/identity/break-glass/{study.id}", REASON),
            (f"/identity/requests/{request}/open", {}),
        )
    ]
    assert [answer.status_code for answer in shown] == [200, 200, 200]
    for answer in shown:
        one = answer.json()
        assert (one["name"], one["patient_id"], one["accession"]) == ("MOOR ANNA", "P1", "A7")
        assert one["watermark"].startswith("Rita ") and one["until"] > one["watermark"].removeprefix("Rita ")


def test_the_places_with_text_are_pointed_at_frame_by_frame_and_never_spelled_out(as_) -> None:
    import pydicom
    from PIL import Image, ImageDraw, ImageFont

    study = record(85)
    index(study)
    frames = [Image.new("L", (512, 384), 20) for _ in range(2)]
    ImageDraw.Draw(frames[1]).text((60, 300), "QUELLMALZ 1960", font=ImageFont.load_default(size=32), fill=235)
    ds = pydicom.dcmread(io.BytesIO(chest(study.study_uid, f"{study.study_uid}.3")[0]))
    ds.Rows, ds.Columns, ds.NumberOfFrames, ds.BitsAllocated, ds.BitsStored, ds.HighBit = 384, 512, 2, 8, 8, 7
    ds.PixelRepresentation = 0
    ds.PixelData = b"".join(frame.tobytes() for frame in frames)
    out = io.BytesIO()
    ds.save_as(out)
    container = clients.container(resource_names.UPLOADS, resource_names.QUARANTINE)
    container.upload_blob(f"{study.id}/{'e' * 32}", out.getvalue(), metadata={"reason": "pixels-not-verified"})
    pia, path = as_("privacy-officer", name="Pia"), f"/quarantine/{study.id}~{'e' * 32}/texts"
    assert pia.get(path).json()["texts"] == []
    found = pia.get(path, params={"frame": "2"})
    assert found.json()["frames"] == 2 and "QUELL" not in found.text
    box = found.json()["texts"][0]
    assert box["left"] < 90 / 512 and box["right"] > 200 / 512 and box["top"] < 315 / 384 < box["bottom"]
    far = as_("privacy-officer", clinics=("south",), name="Paul")
    assert far.get(path).status_code == 404


def test_quarantine_of_another_clinic_does_not_exist(as_, kept: str) -> None:
    far = as_("privacy-officer", clinics=("south",), name="Paul")
    as_("privacy-officer", name="Pia").get(f"/quarantine/{kept}/picture")
    assert kept.split("~")[1] not in far.get("/audit", params={"app": "identity"}).text
    assert kept not in {i["item"] for i in far.get("/quarantine").json()["items"]}
    assert far.get(f"/quarantine/{kept}/picture").status_code == 404
    assert far.post(f"/quarantine/{kept}/decision", json={"release": True, "reason": "abc"}).status_code == 404


def test_an_upload_address_creates_in_the_own_inbox_and_does_nothing_else(as_) -> None:
    cem = as_("clinic-user", name="Cem")
    assert cem.post("/uploads/address", json={"clinic": "south"}).status_code == 404
    base, signature = cem.post("/uploads/address", json={"clinic": "north"}).json()["address"].split("?")
    headers = {"x-ms-blob-type": "BlockBlob"}
    name = f"{base}/test/{datetime.now(UTC):%H%M%S%f}.dcm?{signature}"
    assert requests.put(name, data=b"x", headers=headers, timeout=PATIENCE).status_code == 201
    assert requests.put(name, data=b"y", headers=headers, timeout=PATIENCE).status_code in (403, 409)
    assert requests.get(name, timeout=PATIENCE).status_code == 403
    assert requests.get(f"{base}?restype=container&comp=list&{signature}", timeout=PATIENCE).status_code == 403


def test_a_study_is_one_line_of_the_uploads_whatever_its_clinics_systems_are_given(as_) -> None:
    """`result.json` is for a PACS: as a line it would be a study without a state."""
    study = record(99)
    index(study)
    clinic_results.say_study("north", study.handle, lambda: {"state": study.state, "label": study.label, "images": 3})
    clinic_results.say_result("north", study.handle, "1.2.3", "A1", lambda: study)
    items = as_("clinic-user", name="Cem").get("/uploads").json()["items"]
    (line,) = [item for item in items if item.get("handle") == study.handle]
    assert (line["kind"], line["state"], line["images"]) == ("studies", study.state, 3)


def test_the_app_that_signs_addresses_asks_the_inbox_nothing(as_, monkeypatch: pytest.MonkeyPatch) -> None:
    """In Azure its role on an inbox may add and write: every other request would be refused there."""

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("the inbox was asked something")

    monkeypatch.setattr("azure.storage.blob.BlobClient.get_blob_properties", refused)
    monkeypatch.setattr("azure.storage.blob.BlobClient.download_blob", refused)
    monkeypatch.setattr("azure.storage.blob.ContainerClient.list_blobs", refused)
    cem = as_("clinic-user", name="Cem")
    for blob in ("", f"portal-{uuid.uuid4()}/big.zip"):
        assert cem.post("/uploads/address", json={"clinic": "north", "blob": blob}).status_code == 201


def test_the_address_of_one_large_file_takes_its_blocks_and_reaches_nothing_else(as_) -> None:
    cem = as_("clinic-user", name="Cem")
    folder = f"portal-{uuid.uuid4()}"

    def ask(blob: object) -> requests.Response:
        return cem.post("/uploads/address", json={"clinic": "north", "blob": blob})

    wrong = ["a.zip", folder, f"{folder}/", f"{folder}/../x", f"{folder}/a//b", f"{folder}/a\\b", "portal-x/a", 7, None,
             f"{folder}/{'x' * 900}", f"{folder}/a\nb", f"{uuid.uuid4()}/a"]  # fmt: skip
    assert {ask(name).status_code for name in wrong} == {422}
    base, signature = ask(f"{folder}/Größe 1 ü.zip").json()["address"].split("?")

    def put(address: str, query: str = "", **headers: str) -> int:
        whole = f"{address}?{signature}{query}"
        return requests.put(whole, data=b"x" * 10, headers=headers, timeout=PATIENCE).status_code

    assert put(base, "&comp=block&blockid=MDAwMDAwMDA%3D") == 201
    listed = "<BlockList><Latest>MDAwMDAwMDA=</Latest></BlockList>"
    address = f"{base}?{signature}&comp=blocklist"
    assert requests.put(address, data=listed, headers={"If-None-Match": "*"}, timeout=PATIENCE).status_code == 201
    # Sent again, its answer having been lost: an address is given, and what is there is not replaced.
    assert ask(f"{folder}/Größe 1 ü.zip").status_code == 201
    assert put(base, "&comp=block&blockid=MDAwMDAwMDA%3D") == 201
    again = requests.put(address, data=listed, headers={"If-None-Match": "*"}, timeout=PATIENCE)
    assert again.status_code in (409, 412)
    other = base.rsplit("/", 1)[0] + "/other.zip"
    assert put(other, **{"x-ms-blob-type": "BlockBlob"}) == 403
    assert put(other, "&comp=block&blockid=MDAwMDAwMDA%3D") == 403
    assert requests.get(f"{base}?{signature}", timeout=PATIENCE).status_code == 403
    assert requests.get(f"{base}?{signature}&comp=blocklist", timeout=PATIENCE).status_code == 403
    assert requests.delete(f"{base}?{signature}", timeout=PATIENCE).status_code == 403
    inbox = base.split("/portal-")[0]
    assert requests.get(f"{inbox}?restype=container&comp=list&{signature}", timeout=PATIENCE).status_code == 403


def test_a_clinic_sees_what_it_was_told_and_no_other_clinics_answers(as_) -> None:
    for clinic in ("north", "south"):
        told = json.dumps({"upload": f"{clinic}.dcm", "outcome": "refused", "reason": "empty-file", "at": "2026"})
        container = clients.container(resource_names.UPLOADS, resource_names.results(clinic))
        container.upload_blob("uploads/x.json", told, overwrite=True)
    items = as_("clinic-user", name="Cem").get("/uploads").json()["items"]
    assert {i.get("upload") for i in items if i["kind"] == "uploads"} == {"north.dcm"}


def test_the_clinic_is_told_no_size_of_a_finding_that_has_none(storage: None) -> None:
    study = record(98, high_risk=True)
    (placed,) = study.findings
    a_class = placed.model_copy(update={"key": "2", "diameter_mm": 0.0, "centre": None})
    clinic_results.say_result(
        "north", study.handle, "1.2.3", "A", lambda: study.model_copy(update={"findings": (placed, a_class)})
    )
    home = clients.container(resource_names.UPLOADS, resource_names.results("north"))
    told = json.loads(home.download_blob(f"studies/{study.handle}/result.json").readall())
    assert [finding.get("diameterMm") for finding in told["findings"]] == [14.2, None]


def test_a_case_that_nobody_knows_is_not_found(as_) -> None:
    assert identity_requests.case("uses", "0" * 32) is None
    path = f"/identity/break-glass/{'0' * 32}/review"
    assert as_("privacy-officer", name="Pia").post(path, json={"justified": True}).status_code == 404


def test_the_audit_log_says_who_saw_which_study_in_words_that_people_know(as_) -> None:
    """Of a decision on somebody's use too, whose path names no study."""
    study = record(97)
    index(study)
    as_("radiologist", name="Dr Rita Ray").post(f"/identity/break-glass/{study.id}", json=REASON)
    pia = as_("privacy-officer", name="Pia")
    use = next(u for u in pia.get("/identity/break-glass").json()["uses"] if u["act"]["token"] == study.id)
    pia.post(f"/identity/break-glass/{use['act']['id']}/review", json={"justified": True})
    entries = pia.get("/audit", params={"app": "identity"}).json()["entries"]
    said = {(e["act"], e["name"], e["handle"]) for e in entries if e["token"] == study.id}
    assert said == {("break_glass", "Dr Rita Ray", study.handle), ("break_glass_review", "Pia", study.handle)}


def test_the_audit_log_names_the_study_of_a_file_kept_back(as_) -> None:
    study = record(98)
    index(study)
    kept = clients.container(resource_names.UPLOADS, resource_names.QUARANTINE)
    kept.upload_blob(f"{study.id}/{'d' * 32}", b"x", metadata={"reason": "burned-in-text-likely"}, overwrite=True)
    pia = as_("privacy-officer", name="Pia")
    decided = pia.post(f"/quarantine/{study.id}~{'d' * 32}/decision", json={"release": False, "reason": "A name in it"})
    assert decided.status_code == 202
    entry = pia.get("/audit", params={"app": "identity"}).json()["entries"][0]
    assert (entry["act"], entry["handle"], entry["clinic"]) == ("quarantine_decision", study.handle, "north")
