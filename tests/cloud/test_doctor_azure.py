"""doctor --azure against a server that answers like Resource Manager, over HTTP and through Azure's client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

import pytest

from readfirst.cli import doctor_azure
from readfirst.cli.doctor_azure import Right, Seen, check, compare, expected, forged, thing

SCOPE = "/subscriptions/s/resourceGroups/rg/providers"


class Azure(BaseHTTPRequestHandler):
    answers: ClassVar[dict[str, Any]] = {}
    status = 401

    def do_GET(self) -> None:
        kind = self.path.partition("?")[0].rsplit("/providers/", 1)[-1]
        body = json.dumps({"value": self.answers.get(kind, [])}).encode()
        self.send_response(self.status if self.path == "/api/me" else 200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(doctor_azure, "_token", lambda arm: "token")
    with ThreadingHTTPServer(("127.0.0.1", 0), Azure) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_deployment_as_it_should_be_is_in_order() -> None:
    live = {(w, on.replace("*", "north"), role) for w, on, role in expected()} | {("job", "registry", "AcrPull")}
    (line,) = compare(live, expected())
    assert line.verdict == "ok"


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


@pytest.mark.parametrize(("status", "verdict"), [(401, "ok"), (200, "missing"), (500, "missing")])
def test_an_app_that_takes_a_forged_token_is_found_out(address: str, status: int, verdict: str) -> None:
    Azure.status = status
    assert forged(address).verdict == verdict


def test_a_group_without_readfirst_says_so(address: str) -> None:
    Azure.answers = {}
    assert [line.remedy for line in check("s", "rg", address)] == ["azd up"]


def test_a_live_deployment_is_read_and_a_shared_key_that_is_on_is_told(address: str) -> None:
    role = {"id": "x/r1", "properties": {"roleName": "Readfirst sealer (rg)"}}
    identities = f"{SCOPE}/Microsoft.Storage/storageAccounts/rfvaabc/blobServices/default/containers/identities"
    Azure.answers = {
        "Microsoft.ManagedIdentity/userAssignedIdentities": [
            {"name": "readfirst-demo-intake", "properties": {"principalId": "p"}}
        ],
        "Microsoft.Authorization/roleDefinitions": [role],
        "Microsoft.Authorization/roleAssignments": [
            {"properties": {"principalId": "p", "scope": identities, "roleDefinitionId": "x/r1"}}
        ],
        "Microsoft.Storage/storageAccounts": [{"name": "rfupabc", "properties": {"allowSharedKeyAccess": True}}],
    }
    lines: list[Seen] = list(check("s", "rg", address))
    assert not [line for line in lines if line.what == "intake: Readfirst sealer" and "identities" in line.seen]
    assert [line.seen for line in lines if line.what == "shared key of rfupabc"] == ["ON"]
