"""What an attacker, or a broken client, sends: every answer is a refusal in words, and nothing of ours leaks."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

import pytest
import requests

from readfirst.adapters import clients
from readfirst.domain import resource_names
from readfirst.domain.access.rules import RULES, Role, Rule
from readfirst.domain.reading.study_record import StudyRecord
from tests.portal import promised
from tests.portal.conftest import Client
from tests.portal.studies import index, record
from tests.waiting import PATIENCE

STRINGS = [
    "' OR '1'='1",
    '" OR 1=1 --',
    "c.clinic = 'south' OR true",
    "@clinic",
    "{{7*7}}",
    "${7*7}",
    "%00",
    "\x00",
    "../../x",
    "..%2f..%2f",
    "<script>alert(1)</script>",
    "\r\nSet-Cookie: a=b",
    "\ud7ff",
    "𝕬" * 50,
    "A" * 8000,
    "\u202e",
    "[]",
    "null",
    "-1",
    "1e999",
    "0x10",
    "NaN",
    "٣",
]
BODIES: list[bytes] = [
    b"",
    b"null",
    b"[]",
    b"7",
    b'"text"',
    b"{",
    b"{}",
    b'{"a":' * 3000,
    b"[" * 60_000,
    b"\xff\xfe",
    b'{"what":{}}',
    b'{"what":{"kind":["signed"]}}',
    b'{"reason":{"$gt":""}}',
    b'{"reason":' + b'"' + b"x" * 66_000 + b'"}',
    b'{"a":NaN}',
    b'{"clinic":["north"]}',
    b'{"clinic":null,"blob":7}',
    b'{"approve":"maybe"}',
    b'{"release":1,"reason":[]}',
    b'{"reason":"          "}',
    b'{"reason":"\\ud800\\ud800\\ud800\\ud800\\ud800aaaaaaaaaa"}',
    b'{"reason":"' + b"\\u0000" * 20 + b'"}',
    b'{"reason":"aaaaaaaaaaaa","reason2":1}',
]
PARAMETERS = ("token", "study", "series", "instance", "frames", "finding", "use", "request", "item")
OURS = ("Traceback", "readfirst/", "site-packages", ".py", "azure.", "pydantic", "cosmos", "Exception")


@pytest.fixture(scope="module")
def everyone(as_) -> Client:
    """Somebody with every role, so that only the input can be wrong."""
    return as_(*[role.value for role in Role], name="Everybody")


@pytest.fixture(scope="module", autouse=True)
def study(storage: None) -> StudyRecord:
    made = record(950, high_risk=True)
    index(made)
    return made


@pytest.fixture(autouse=True)
def no_rate_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is tested elsewhere; here it would hide what is behind it."""
    from function_app.http import guard
    from readfirst.domain.access.rate_limit import Buckets

    unlimited = Buckets(per_minute=10**9, burst=10**9)
    monkeypatch.setattr(guard, "buckets", lambda app: unlimited)


def _refused_in_words(answer: requests.Response, what: object) -> None:
    assert 400 <= answer.status_code < 500, f"{answer.status_code} {what!r:.200} {answer.text[:200]}"
    assert answer.headers["Content-Type"] == "application/problem+json", what
    problem = answer.json()
    assert problem["status"] == answer.status_code and problem["code"] and problem["detail"], what
    assert not [word for word in OURS if word in answer.text], answer.text[:300]


def _path(rule: Rule, values: dict[str, str]) -> str:
    route = rule.route
    for name in PARAMETERS:
        route = route.replace(f"{{{name}}}", requests.utils.quote(values.get(name, "0" * 32), safe=""))
    return f"/{route}"


WITHOUT_BODY = ("study_replay", "study_cancel", "study_reading", "treatment", "request_open")
POSTS = [rule for rule in RULES if rule.method == "POST" and rule.name not in WITHOUT_BODY]
WITH_PARAMETERS = [rule for rule in RULES if "{" in rule.route]


@pytest.mark.parametrize("rule", POSTS, ids=lambda rule: rule.name)
def test_a_malformed_body_is_refused_and_changes_nothing(everyone: Client, study: StudyRecord, rule: Rule) -> None:
    before = sorted(
        clients.container(resource_names.STUDIES, resource_names.REVIEWS).list_blob_names(name_starts_with=study.id)
    )
    thorough = rule.name in ("study_review", "break_glass", "upload_address")  # each kind of shape once in full
    for body in BODIES if thorough else BODIES[::3]:
        path = _path(rule, {"token": study.id, "item": f"north~{'a' * 32}"})
        answer = everyone.post(path, data=body, headers={"If-Match": '"x"', "Content-Type": "application/json"})
        _refused_in_words(answer, (rule.name, body[:80]))
    assert before == sorted(
        clients.container(resource_names.STUDIES, resource_names.REVIEWS).list_blob_names(name_starts_with=study.id)
    )


@pytest.mark.parametrize("rule", WITH_PARAMETERS, ids=lambda rule: rule.name)
def test_a_path_that_is_no_name_of_ours_finds_nothing(everyone: Client, study: StudyRecord, rule: Rule) -> None:
    own = {"token": study.id, "study": study.study_uid}
    for name in PARAMETERS:
        if f"{{{name}}}" not in rule.route:
            continue
        for text in ("' OR '1'='1", "../\x00", "²" * 500):
            body = {"json": {}} if rule.method == "POST" else {}
            answer = everyone.request(rule.method, _path(rule, {**own, name: text}), **body)
            if answer.status_code == 404 and "no such route" in answer.text:
                continue  # the host itself knows no such address
            _refused_in_words(answer, (rule.name, name, text))


LISTS = {
    "/studies": ("label", "review", "modality", "handle", "patient", "purpose", "clinic"),
    "/dicomweb/studies": ("PatientName", "AccessionNumber", "StudyInstanceUID", "00080061", "StudyDate", "x"),
}


@pytest.mark.parametrize("path", list(LISTS))
def test_a_filter_is_a_value_and_never_a_query(everyone: Client, path: str) -> None:
    foreign = record(951, clinic="south")
    index(foreign)
    for name in LISTS[path]:
        for text in STRINGS if name in ("clinic", "PatientName") else STRINGS[:2]:
            answer = everyone.get(path, params={name: text})
            assert answer.status_code in (200, 400), (name, text, answer.text[:200])
            found = answer.json()
            items = found["items"] if isinstance(found, dict) and "items" in found else found
            assert foreign.id not in json.dumps(items) and foreign.study_uid not in json.dumps(items), (name, text)


def test_numbers_that_are_none_are_refused_and_large_ones_bounded(everyone: Client) -> None:
    for path, name in (
        ("/studies", "limit"),
        ("/ops", "days"),
        ("/dicomweb/studies", "limit"),
        ("/dicomweb/studies", "offset"),
    ):
        for text in ("", "x", "1e3", "NaN", "1.5", "0x1", " "):
            _refused_in_words(everyone.get(path, params={name: text}), (path, name, text))
        for text in ("0", "-5", "999999999999999999999"):
            assert everyone.get(path, params={name: text}).status_code == 200, (path, name, text)


def _cursors() -> list[str]:
    def coded(content: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    now = "2026-01-05T12:00:00+00:00"
    good = coded({"now": now, "band": 1, "rank": ""})
    return [
        "!",
        "%",
        "a",
        "é",
        "=" * 10,
        good[:-4],
        good[::-1],
        coded([]),
        coded(7),
        coded({}),
        coded({"now": 7}),
        coded({"now": ""}),
        coded({"now": now, "band": "x"}),
        coded({"now": now, "clinic": "south"}),
        coded({"now": now, "rank": ["a"]}),
        coded({"now": "0001-01-01T00:00:00+23:59"}),
        coded({"now": "9999-12-31T23:59:59-23:59"}),
        coded({"now": now, "band": 9}),
        coded({"now": "2026-01-05"}),
        coded({"now": now, "band": -1}),
    ]


@pytest.mark.parametrize("cursor", _cursors())
def test_a_cursor_that_somebody_changed_is_refused(everyone: Client, cursor: str) -> None:
    _refused_in_words(everyone.get("/studies", params={"after": cursor}), cursor)


def test_a_cursor_of_another_clinics_list_shows_only_ones_own_studies(as_) -> None:
    index(*[record(n, clinic="south") for n in range(960, 966)])
    south = as_("radiologist", clinics=("south",), name="Dr South")
    after = south.get("/studies?limit=2").json()["next"]
    mine = as_("radiologist").get("/studies", params={"after": after}).json()["items"]
    assert {s["clinic"] for s in mine} <= {"north"}


def test_an_old_version_of_a_review_never_overwrites_and_any_other_etag_is_a_conflict(as_) -> None:
    made = record(952, high_risk=True)
    index(made)
    client, path = as_("radiologist"), f"/studies/{made.id}/review"
    etag = client.get(f"/studies/{made.id}").headers["ETag"]
    what = {"what": {"kind": "commented", "text": "one"}}
    assert client.post(path, json=what, headers={"If-Match": etag}).status_code == 201
    again = client.post(path, json=what, headers={"If-Match": etag})
    assert again.status_code == 201, "the same person's repeat of the same request is answered as the first was"
    other = {"what": {"kind": "commented", "text": "two"}}
    assert client.post(path, json=other, headers={"If-Match": etag}).status_code == 412
    for old in ("*", f"W/{etag}", f"{etag}, {etag}", '""', "'; DROP", etag.replace(".0", ".99")):
        answer = client.post(path, json=what, headers={"If-Match": old})
        assert answer.status_code == 412, old
    assert [e["what"]["text"] for e in client.get(f"/studies/{made.id}").json()["events"]] == ["one"]


def test_text_of_any_kind_is_kept_and_given_back_as_it_was_said(as_) -> None:
    made = record(953, high_risk=True)
    index(made)
    client = as_("radiologist")
    said = ["<img src=x onerror=alert(1)>", "'; DROP TABLE c;--", "Größe \u202e 𝕬 😀", "{{7*7}}${7*7}", "a\r\nb"]
    for text in said:
        etag = client.get(f"/studies/{made.id}").headers["ETag"]
        body = {"what": {"kind": "commented", "text": text}}
        assert client.post(f"/studies/{made.id}/review", json=body, headers={"If-Match": etag}).status_code == 201
    answer = client.get(f"/studies/{made.id}")
    assert [e["what"]["text"] for e in answer.json()["events"]] == said
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_token_in_the_wrong_place_is_no_sign_in(address: str, as_) -> None:
    token = as_("radiologist").headers["Authorization"].split()[1]
    for headers, query in (
        ({}, {"access_token": token}),
        ({"Cookie": f"token={token}"}, {}),
        ({"Authorization": token}, {}),
        ({"Authorization": f"Basic {token}"}, {}),
        ({"X-MS-CLIENT-PRINCIPAL": base64.b64encode(b'{"userRoles":["radiologist"]}').decode()}, {}),
        ({"X-Forwarded-Authorization": f"Bearer {token}"}, {}),
        ({"Authorization": f"Bearer {token}."}, {}),
        ({"Authorization": "Bearer " + "a" * 20_000}, {}),
        ({"Authorization": "Bearer \xff.é.x".encode()}, {}),
    ):
        answer = requests.get(f"{address}/me", headers=headers, params=query, timeout=PATIENCE)
        assert answer.status_code == 401, (headers, query)
        _refused_in_words(answer, headers)


def test_real_answers_are_what_the_openapi_document_promises(everyone: Client, study: StudyRecord) -> None:
    """Every GET route once; the client of the tests holds each answer of any test to the document."""
    assert everyone.get(f"/studies/{'0' * 32}").status_code == 404
    paths = {r.name: _path(r, {"token": study.id, "study": study.study_uid}) for r in RULES if r.method == "GET"}
    assert all(promised.rule_of("GET", path) for path in paths.values())
    assert len([name for name, path in paths.items() if everyone.get(path).ok]) >= 12


def test_an_answer_that_the_document_does_not_promise_is_noticed(everyone: Client, study: StudyRecord) -> None:
    """A field that is missing, one of another type, another status, another media type."""
    answer = everyone.get(f"/studies/{study.id}")
    rule = promised.rule_of("GET", f"/studies/{study.id}")
    good = answer.json()
    assert rule is not None and promised.broken(rule, answer) == []
    for wrong in ({**good, "first": 7}, {k: v for k, v in good.items() if k != "review"}, {**good, "events": [{}]}):
        answer._content = json.dumps(wrong).encode()
        assert promised.broken(rule, answer), wrong.keys()
    answer._content = json.dumps(good).encode()
    answer.status_code = 202
    assert promised.broken(rule, answer)
    answer.status_code, answer.headers["Content-Type"] = 200, "text/plain"
    assert promised.broken(rule, answer)


def test_chance_bytes_in_every_place_never_make_a_fault(everyone: Client, study: StudyRecord) -> None:
    chance = random.Random(20261122)  # the same bytes every time
    for _ in range(120):
        rule = chance.choice(RULES)
        noise = "".join(
            chr(chance.choice([*range(32, 127), 0xE9, 0x4E2D, 0x1F600])) for _ in range(chance.randrange(1, 30))
        )
        values = {name: chance.choice([noise, study.id, study.study_uid]) for name in PARAMETERS}
        body = chance.choice([noise.encode(), json.dumps({"reason": noise, "what": noise, "clinic": noise}).encode()])
        answer = everyone.request(
            rule.method,
            _path(rule, values),
            params={chance.choice(["limit", "after", "handle", noise]): noise},
            **({"data": body} if rule.method == "POST" else {}),
        )
        assert answer.status_code < 500, (rule.name, values, body, answer.text[:200])


def test_json_that_is_nested_too_deeply_is_bad_input_in_a_cursor_too(as_) -> None:
    deep = base64.urlsafe_b64encode(b"[" * 30_000).decode().rstrip("=")
    assert as_("radiologist").get("/studies", params={"after": deep}).status_code == 400
