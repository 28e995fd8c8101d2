"""doctor --azure against a server that answers like Resource Manager, over HTTP and through Azure's client."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from bicep import generate
from bicep.generate import Resource
from readfirst.adapters.access_tokens import NotSignedIn, Signin
from readfirst.cli.doctor import azure, tokens
from readfirst.cli.doctor import settings as doctor_settings
from readfirst.cli.doctor.azure import Right, check, compare, expected, thing
from readfirst.cli.doctor.findings import Seen
from tests.cloud.conftest import app_settings, of_type

SCOPE = "/subscriptions/s/resourceGroups/rg/providers"
PRINCIPALS = {who: f"principal-{who}" for who in ("intake", "api", "identity", "job")}


class Azure(BaseHTTPRequestHandler):
    answers: ClassVar[dict[str, Any]] = {}
    settings: ClassVar[dict[str, dict[str, str]]] = {}
    forbidden = False
    refuses = False
    status = 401
    told: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if self.refuses:
            return self.answer(403, {})
        if path.startswith("/api/"):
            self.told.append(path)
            return self.answer(self.status, {})
        if path in self.answers:
            return self.answer(200, self.answers[path])
        found = self.answers.get(path.rsplit("/providers/", 1)[-1], [])
        return self.answer(200, found if isinstance(found, dict) else {"value": found})

    def do_POST(self) -> None:
        site = self.path.split("/sites/")[1].split("/")[0]
        self.answer(403 if self.forbidden else 200, {"properties": self.settings[site]})

    def answer(self, status: int, body: object) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        """Quiet."""


class Credential:
    def get_token(self, *_: str) -> Any:
        return type("Token", (), {"token": "token"})


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(azure, "_credential", Credential)
    Azure.answers, Azure.settings, Azure.forbidden, Azure.refuses, Azure.status = {}, {}, False, False, 401
    Azure.told.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Azure) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def deployed(evaluated: Callable[..., list[Resource]]) -> None:
    """The server answers as if the evaluated `student` were deployed: its grants, accounts, settings."""
    resources = evaluated("student")
    suffix = of_type(resources, "Microsoft.DocumentDB/databaseAccounts")[0]["name"].removeprefix("rfdb")
    identities = [
        {"name": f"readfirst-student-{who}", "properties": {"principalId": principal, "clientId": f"client-{who}"}}
        for who, principal in PRINCIPALS.items()
    ]
    blob = "https://{}.blob.core.windows.net/"
    accounts = [
        {
            "name": r["name"],
            "properties": {**r["properties"], "primaryEndpoints": {"blob": blob.format(r["name"])}},
        }
        for r in of_type(resources, "Microsoft.Storage/storageAccounts")
    ]
    Azure.answers = {
        "Microsoft.ManagedIdentity/userAssignedIdentities": identities,
        "Microsoft.Storage/storageAccounts": accounts,
        "Microsoft.DocumentDB/databaseAccounts": of_type(resources, "Microsoft.DocumentDB/databaseAccounts"),
        **live_roles(resources, f"Microsoft.DocumentDB/databaseAccounts/rfdb{suffix}"),
        "Microsoft.Web/sites": [
            {"name": app, "tags": {"azd-service-name": app}, "properties": {"defaultHostName": "localhost:1"}}
            for app in ("intake", "api", "identity")
        ],
    }
    Azure.settings = {
        app: {name: filled(name, value, app, suffix) for name, value in settings.items()}
        for app, settings in app_settings(resources).items()
    }
    (job,) = of_type(resources, "Microsoft.App/jobs")
    env = {e["name"]: filled(e["name"], e["value"], "job", suffix) for e in of_job(job)}
    containers = [{"env": [{"name": name, "value": value} for name, value in env.items()]}]
    Azure.answers["Microsoft.App/jobs"] = [{"properties": {"template": {"containers": containers}}}]


def of_job(job: Resource) -> list[dict[str, str]]:
    environment: list[dict[str, str]] = job["properties"]["template"]["containers"][0]["env"]
    return environment


def filled(name: str, value: str, who: str, suffix: str) -> str:
    """A setting as Azure would have filled it in where the evaluation leaves an expression."""
    store = name.partition("__")[0]
    accounts = {"UPLOADS": "rfup", "STUDIES": "rfst", "VAULT": "rfva", "AUDIT": "rfau"}
    if store in accounts and name.endswith("ServiceUri"):
        return f"https://{accounts[store]}{suffix}.{'queue' if 'queue' in name else 'blob'}.core.windows.net/"
    if name == "AZURE_CLIENT_ID":
        return f"client-{who}"
    return "https://filled.example/" if re.match(r"\[[a-z]", value) else value


def live_roles(resources: list[Resource], cosmos: str) -> dict[str, list[Any]]:
    """Role definitions and assignments in the words of Resource Manager."""
    names = generate._role_names()
    own = {r["name"].split("/")[-1]: r["properties"]["roleName"] for r in resources if "sqlRoleDef" in r["type"]}
    own["00000000-0000-0000-0000-000000000002"] = "Cosmos DB Built-in Data Contributor"

    def assigned(kind: str) -> list[Any]:
        found = []
        for r in of_type(resources, kind):
            who = next((w for w in PRINCIPALS if f"-student-{w}'" in r["properties"]["principalId"]), "")
            scope = r["properties"].get("scope") or r["id"].split("/providers/Microsoft.Authorization/")[0]
            role = r["properties"]["roleDefinitionId"]
            principal = PRINCIPALS.get(who, "event-grid")
            found.append({"properties": {"principalId": principal, "scope": scope, "roleDefinitionId": role}})
        return found

    return {
        "Microsoft.Authorization/roleDefinitions": [
            {"id": f"x/{i}", "properties": {"roleName": f"{n} (rg)" if n.startswith("Readfirst") else n}}
            for i, n in names.items()
        ],
        "Microsoft.Authorization/roleAssignments": assigned("Microsoft.Authorization/roleAssignments"),
        f"{cosmos}/sqlRoleDefinitions": [{"id": f"x/{i}", "properties": {"roleName": n}} for i, n in own.items()],
        f"{cosmos}/sqlRoleAssignments": assigned("Microsoft.DocumentDB/databaseAccounts/sqlRoleAssignments"),
    }


def bad(address: str) -> dict[str, Seen]:
    """What the doctor finds wrong, but for the apps' doors, which no test of this file opens at that address."""
    lines = check("s", "rg", arm=address)
    return {line.what: line for line in lines if line.verdict != "ok" and "no answer" not in line.seen}


# --- rights -----------------------------------------------------------------------------------------------------------


def test_a_deployment_as_it_should_be_is_in_order() -> None:
    live = {(w, on.replace("*", "north"), role) for w, on, role in expected()} | {("job", "registry", "AcrPull")}
    live |= {("intake", "analyse-cpu", "Readfirst job starter")}
    (line,) = compare(live, expected())
    assert line.verdict == "ok"
    assert {on for _, on, _ in expected("some")} == {"registry", "analyse-cpu"}, "what profiles add for apps and jobs"


def test_a_right_that_is_missing_and_one_that_nobody_meant_are_both_told() -> None:
    right: Right = ("api", "studies account, container clean", "Storage Blob Data Reader")
    assert right in expected()
    extra: Right = ("api", "uploads account, container originals", "Storage Blob Data Reader")
    lines = compare((expected() - {right}) | {extra}, expected())
    assert [(line.verdict, line.seen) for line in lines] == [
        ("missing", "not granted on studies account, container clean"),
        ("missing", "nobody meant to grant it on uploads account, container originals"),
    ]


def test_a_scope_is_told_in_the_words_of_the_architecture() -> None:
    storage = f"{SCOPE}/Microsoft.Storage/storageAccounts/rfupabc/blobServices/default/containers/clinic-north"
    assert thing(storage, "demo") == "uploads account, container clinic-north"
    assert thing(f"{SCOPE}/Microsoft.App/jobs/readfirst-demo-analyse", "demo") == "analyse"


def test_a_group_without_readfirst_says_so(address: str) -> None:
    assert [line.remedy for line in check("s", "rg", arm=address)] == ["azd up"]


def test_nobody_signed_in_and_a_refusal_are_told_in_a_line(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Azure.refuses = True
    (refused,) = check("s", "rg", arm=address)
    assert refused.seen.startswith("answered 403")
    monkeypatch.undo()
    monkeypatch.setenv("PATH", "")  # neither az nor azd
    (line,) = check("s", "rg", arm=address)
    assert (line.verdict, line.remedy) == ("missing", "az login")


def test_a_live_deployment_that_is_as_the_evaluated_one_has_nothing_wrong(address: str, deployed: None) -> None:
    assert bad(address) == {}


def test_a_role_that_cosmos_db_lacks_or_gives_too_much_is_told(address: str, deployed: None) -> None:
    (kind,) = (k for k in Azure.answers if k.endswith("/sqlRoleAssignments"))
    assert {r[0] for r in expected() if r[1].startswith("Cosmos")} == {"intake", "api", "identity"}
    for assignment in Azure.answers[kind]:
        if assignment["properties"]["principalId"] == PRINCIPALS["api"]:
            contributor = "x/00000000-0000-0000-0000-000000000002"
            assignment["properties"] = {**assignment["properties"], "roleDefinitionId": contributor}
    found = bad(address)
    assert found["api: Cosmos DB Built-in Data Contributor"].remedy == "az role assignment delete"
    assert "not granted" in found["api: Readfirst index updater"].seen


def test_keys_that_are_on_are_told(address: str, deployed: None) -> None:
    Azure.answers["Microsoft.Storage/storageAccounts"][0]["properties"]["allowSharedKeyAccess"] = True
    (cosmos,) = Azure.answers["Microsoft.DocumentDB/databaseAccounts"]
    Azure.answers["Microsoft.DocumentDB/databaseAccounts"] = [
        {**cosmos, "properties": {**cosmos["properties"], "disableLocalAuth": False}}
    ]
    assert [line.seen for line in bad(address).values()] == ["ON", "ON"]


def test_messages_that_were_parked_are_counted_by_queue(address: str, deployed: None) -> None:
    (studies,) = (a["name"] for a in Azure.answers["Microsoft.Storage/storageAccounts"] if a["name"].startswith("rfst"))
    kind = f"Microsoft.Storage/storageAccounts/{studies}/queueServices/default/queues"
    Azure.answers[kind] = [{"name": name} for name in ("returns", "returns-poison", "commands-poison")]
    Azure.answers[f"{kind}/returns-poison"] = {"properties": {"approximateMessageCount": 3}}
    Azure.answers[f"{kind}/commands-poison"] = {"properties": {"approximateMessageCount": 0}}
    found = bad(address)
    assert list(found) == ["messages of returns"]
    assert found["messages of returns"].seen == "3 parked"


# --- settings ---------------------------------------------------------------------------------------------------------


def test_a_setting_that_is_missing_strange_or_holds_a_key_is_told_without_its_value(
    address: str, deployed: None
) -> None:
    del Azure.settings["intake"]["EMAIL_SENDER"]
    Azure.settings["api"]["LEFT_OVER"] = "yes"
    Azure.settings["api"]["UPLOADS"] = "AccountName=x;AccountKey=c2VjcmV0"
    Azure.settings["identity"]["AZURE_CLIENT_ID"] = "client-intake"
    Azure.settings["identity"]["VAULT__blobServiceUri"] = Azure.settings["identity"]["UPLOADS__blobServiceUri"]
    found = bad(address)
    assert found["intake: EMAIL_SENDER"].seen == "not set"
    assert "EMAIL_SENDER" in found["intake: settings"].seen, "the code itself says what it misses"
    assert found["api: LEFT_OVER"].verdict == "optional"
    assert found["api: UPLOADS"].seen == "holds a key"
    assert found["identity: AZURE_CLIENT_ID"].seen == "another identity's"
    assert found["identity: VAULT__blobServiceUri"].seen == "is not the vault account"
    assert len(found) == 6
    assert not [line for line in found.values() if "c2VjcmV0" in str(line)]


def test_what_an_operator_may_tune_or_the_platform_adds_is_no_finding(address: str, deployed: None) -> None:
    Azure.settings["intake"] |= {
        "SETTLE_SECONDS": "5",
        "WEBSITE_TIME_ZONE": "UTC",
        "AzureWebJobs.reconcile.Disabled": "1",
    }
    assert bad(address) == {}


def test_settings_that_the_code_cannot_read_and_clinics_that_differ_are_told(address: str, deployed: None) -> None:
    Azure.settings["api"]["CLINICS"] = '[{"id": "North!", "name": "n", "radiologist": "secret.person@example.org"}]'
    found = bad(address)
    assert "clinic id" in found["api: settings"].seen
    assert "secret.person" not in str(found)
    assert "api" in found["CLINICS"].seen


def test_who_may_not_list_settings_is_told_and_the_rest_is_looked_at(address: str, deployed: None) -> None:
    Azure.forbidden = True
    assert {(line.what, line.verdict) for line in bad(address).values()} == {
        (f"settings of {app}", "optional") for app in ("intake", "api", "identity")
    }


def test_the_job_that_got_more_than_its_store_is_told(address: str, deployed: None) -> None:
    (job,) = Azure.answers["Microsoft.App/jobs"]
    job["properties"]["template"]["containers"][0]["env"].append({"name": "KEY_VAULT_URI", "value": "https://x"})
    assert doctor_settings.expected()["job"] >= {"STUDIES__blobServiceUri", "IDLE_SECONDS"}
    assert bad(address)["job: KEY_VAULT_URI"].seen == "nobody reads it"


# --- forged tokens ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "verdict"), [(401, "ok"), (200, "missing"), (404, "missing"), (500, "missing")])
def test_an_app_that_takes_a_forged_token_is_found_out(address: str, status: int, verdict: str) -> None:
    Azure.status = status
    for app in ("api", "identity"):
        assert {line.verdict for line in tokens.knock(app, address)} == {verdict}  # type: ignore[arg-type]
    assert set(Azure.told) == {"/api/me", "/api/identity/break-glass"}, "doors that exist and need a token"


def test_an_app_that_does_not_answer_is_told_once() -> None:
    (line,) = tokens.knock("api", "http://127.0.0.1:1")
    assert line.verdict == "missing" and "no answer" in line.seen


def test_intake_answers_no_stranger(address: str) -> None:
    Azure.status = 403
    assert tokens.closed(address).verdict == "ok"
    Azure.status = 200
    assert tokens.closed(address).verdict == "missing"


def test_every_forgery_is_refused_by_the_code_that_guards_the_apps(address: str) -> None:
    """The forgeries name the issuer's real key, as a forger would: they must be wrong in their signature alone."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    published = {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())), "kid": "published", "use": "sig"}
    Azure.answers = {
        "/.well-known/openid-configuration": {"jwks_uri": f"{address}/keys"},
        "/keys": {"keys": [published]},
    }
    guard = Signin(address, "api://us", (), ("north",))
    forged = tokens.forgeries(address, "api://us")
    assert len(forged) == 4
    for what, token in forged.items():
        with pytest.raises(NotSignedIn):
            guard.person(f"Bearer {token}")
        if token:
            claims = jwt.decode(token, options={"verify_signature": False})
            assert jwt.get_unverified_header(token)["kid"] == "published", what
            honest = jwt.encode(claims, key, "RS256", headers={"kid": "published"})
            assert guard.person(f"Bearer {honest}").roles, "only the signature is wrong"
