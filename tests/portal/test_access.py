"""Every role on every route, and every kind of token that must not pass: generated from the access table."""

from __future__ import annotations

import base64
import json
import time

import jwt
import pytest

from function_app.http import guard
from readfirst.domain.access.rate_limit import Buckets
from readfirst.domain.access.rules import RULES, Grant, Person, Role, Rule, person_from
from tests.portal.conftest import AUDIENCE, Client, Issuer
from tools import access_page, openapi

CLOSED = [rule for rule in RULES if not rule.anonymous]
UNKNOWN = "0" * 32


def _path(rule: Rule) -> str:
    route = rule.route
    for name in ("token", "study", "series", "instance", "frames", "finding", "use", "request", "item", "change"):
        route = route.replace(f"{{{name}}}", UNKNOWN)
    return f"/{route}"


def _call(client: Client, rule: Rule) -> int:
    return client.request(rule.method, _path(rule), json={} if rule.method == "POST" else None).status_code


@pytest.mark.parametrize("role", list(Role))
def test_a_role_may_call_what_the_table_says_and_nothing_else(as_, role: Role) -> None:
    client = as_(role.value, name=f"Matrix {role}")
    for rule in CLOSED:
        status = _call(client, rule)
        if role in rule.roles:
            assert status not in (401, 403, 500), f"{role} {rule.name}: {status}"
        else:
            assert status == 403, f"{role} {rule.name}: {status}"


def test_a_person_without_a_role_may_do_nothing(as_) -> None:
    client = as_(name="Nobody")
    assert {_call(client, rule) for rule in CLOSED} == {403}


def _part(content: dict) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def _bad_tokens(issuer: Issuer) -> dict[str, str]:
    claims = issuer.claims("radiologist")
    other = Issuer()
    public = issuer.key.public_key().public_numbers().n.to_bytes(256, "big")
    now = int(time.time())
    header, body, signature = issuer.token(claims).split(".")
    raised = (
        base64.urlsafe_b64encode(json.dumps({**claims, "roles": ["privacy-officer"]}).encode()).decode().rstrip("=")
    )
    none_header = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    return {
        "expired": issuer.token({**claims, "exp": now - 3600}),
        "not yet valid": issuer.token({**claims, "nbf": now + 3600}),
        "another audience": issuer.token({**claims, "aud": "api://other"}),
        "another issuer": issuer.token({**claims, "iss": "https://login.example"}),
        "signed by another key": other.token({**claims, "iss": issuer.url}),
        "alg none": f"{none_header}.{body}.",
        "alg none with the signature left": f"{none_header}.{body}.{signature}",
        "HMAC with the public key": jwt.encode(claims, public, "HS256", headers={"kid": "k1"}),
        "changed body": f"{header}.{raised}.{signature}",
        "no expiry": issuer.token({k: v for k, v in claims.items() if k != "exp"}),
        "no subject": issuer.token({k: v for k, v in claims.items() if k != "sub"}),
        "unknown key id": jwt.encode(claims, issuer.key, "RS256", headers={"kid": "k9"}),
        "no token": "not.a.token",
        "empty": "",
    }


def test_no_route_answers_without_a_valid_token(address: str, issuer: Issuer) -> None:
    for kind, token in _bad_tokens(issuer).items():
        client = Client(address)
        client.headers["Authorization"] = f"Bearer {token}"
        for rule in CLOSED if kind in ("expired", "alg none") else CLOSED[:2]:
            assert _call(client, rule) == 401, f"{kind}: {rule.name}"
    missing, basic = Client(address), Client(address)
    basic.headers["Authorization"] = "Basic YTpi"
    assert {_call(client, rule) for rule in CLOSED for client in (missing, basic)} == {401}


def test_the_refusal_names_nothing_of_the_token(address: str, issuer: Issuer) -> None:
    client = Client(address, issuer.token({**issuer.claims("radiologist"), "aud": "api://other"}))
    answer = client.get("/me")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert AUDIENCE not in answer.text and "audience" not in answer.text.lower()


def test_roles_and_clinics_come_from_the_token_and_the_grants_and_unknown_ones_give_nothing() -> None:
    grants = (
        Grant(group="g1", clinics=("north", "nowhere")),
        Grant(group="g2", roles=(Role.OPERATOR,), clinics=("*",)),
    )
    claims = {"sub": "s", "roles": ["radiologist", "admin", 7], "groups": ["g1", "g9"]}
    person = person_from(claims, grants, ["north", "south"])
    assert person == Person("s", "unnamed", frozenset({Role.RADIOLOGIST}), frozenset({"north"}))
    everywhere = person_from({**claims, "groups": ["g2"]}, grants, ["north", "south"])
    assert everywhere.clinics == {"north", "south"} and Role.OPERATOR in everywhere.roles


def test_every_rule_of_the_table_is_answered_and_nothing_else_is() -> None:
    assert sorted(openapi.contracts()) == sorted(rule.name for rule in RULES)


def test_the_page_of_the_documentation_is_made_from_the_table() -> None:
    assert access_page.PAGE.read_text() == access_page.page()


def test_names_and_routes_of_the_table_are_unique_and_every_rule_says_why() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert len({(rule.method, rule.route) for rule in RULES}) == len(RULES)
    assert all(len(rule.why) > 5 and len(rule.summary) > 5 for rule in RULES)


def test_a_caller_who_asks_too_often_is_told_when_to_come_back(as_, issuer: Issuer) -> None:
    hasty = str(issuer.claims("operator", name="Hasty")["oid"])
    in_a_minute = time.monotonic() + 60  # however slowly this goes on, the bucket fills no sooner
    while not guard.buckets("api").wait(hasty, in_a_minute):
        pass
    refused = as_("operator", name="Hasty").get("/me")
    assert refused.status_code == 429 and int(refused.headers["Retry-After"]) >= 1
    assert as_("operator", name="Patient").get("/me").status_code == 200


def test_a_bucket_fills_again_with_time() -> None:
    buckets = Buckets(per_minute=60, burst=2)
    assert [buckets.wait("a", 0.0) for _ in range(2)] == [0, 0]
    assert buckets.wait("a", 0.5) == pytest.approx(0.5)
    assert buckets.wait("b", 0.5) == 0
    assert buckets.wait("a", 1.5) == 0


@pytest.mark.parametrize(
    "instead",
    [
        {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://graph"}}},
        {"hasgroups": True},
    ],
    ids=["overage", "implicit"],
)
@pytest.mark.parametrize("roles", [(), ("radiologist",)], ids=["no app role", "app role"])
def test_who_is_in_too_many_groups_for_a_token_hears_what_to_do_and_sees_nothing(
    address: str, issuer: Issuer, instead: dict, roles: tuple[str, ...]
) -> None:
    claims = {k: v for k, v in issuer.claims(*roles, name="Dr Many").items() if k != "groups"}
    client = Client(address, issuer.token({**claims, **instead}))
    for path in ("/me", "/studies"):
        refused = client.get(path)
        assert (refused.status_code, refused.json()["code"]) == (403, "too-many-groups")
        assert "administrator" in refused.json()["detail"]
    named = Client(address, issuer.token({**issuer.claims("radiologist", name="Dr Many"), **instead}))
    assert named.get("/me").status_code == 200, "the groups are there all the same"
