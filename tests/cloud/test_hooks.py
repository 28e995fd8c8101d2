"""The hooks of azd against az and azd commands that answer like Azure's and write down what they were asked."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bicep import generate
from bicep.hooks import preprovision
from readfirst.domain.access.rules import Role

FAKE = """#!{python}
import json, os, sys
from pathlib import Path
here = Path(__file__).parent
call = [Path(__file__).name, *sys.argv[1:]]
with (here / "calls").open("a") as log:
    log.write(json.dumps(call) + "\\n")
answers = json.loads((here / "answers.json").read_text())
text = " ".join(call)
for start, answer in answers:
    if text.startswith(start) or (start.startswith("*") and start[1:] in text):
        if answer == "FAIL":
            sys.exit("denied")
        if answer == "THERE":
            sys.exit("(Conflict) Tag readfirst-model:0.1.0 already exists in target registry.")
        if answer == "NOT YET" and not (here / "asked").exists():
            (here / "asked").touch()
            sys.exit("(Request_ResourceNotFound) Resource 'client' does not exist")
        print(json.dumps(answer))
        break
"""
USAGE = {"name": {"value": "ManagedEnvironmentConsumptionT4Gpus"}, "limit": 1, "currentValue": 0}
USUAL: dict[str, Any] = {
    "az account show": {"id": "sub", "tenantId": "tenant", "user": {"name": "me@example.org"}},
    "az provider list": [{"namespace": p, "registrationState": "Registered"} for p in preprovision.PROVIDERS],
    "az functionapp list-flexconsumption-locations": [{"name": "West Europe"}, {"name": "Sweden Central"}],
    "*availableManagedEnvironmentsWorkloadProfileTypes": {"value": [{"name": "Consumption-GPU-NC8as-T4"}]},
    "*usages": {"value": [USAGE]},
    "az ad app list": [],
    "az ad app create": {"appId": "client", "id": "object"},
    "az ad app show": {"appId": "client", "id": "object"},
    "az ad sp list": [],
    "az ad group list": [],
    "az ad group create": {"id": "group"},
    "az ad signed-in-user show": {"id": "me"},
    "az storage account list": [],
    "az group exists": False,
    "az keyvault list-deleted": [],
}


class Azure:
    """A folder with the two commands in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for tool in ("az", "azd"):
            file = folder / tool
            file.write_text(FAKE.format(python=sys.executable))
            file.chmod(0o755)

    def run(self, hook: str, *arguments: str, answers: dict[str, Any] | None = None, **env: str) -> Any:
        rows = list({**USUAL, **(answers or {})}.items())
        (self.folder / "answers.json").write_text(json.dumps(rows))
        (self.folder / "calls").write_text("")
        path = f"{self.folder}:{os.environ['PATH']}"
        command = [sys.executable, str(generate.HERE / "hooks" / f"{hook}.py"), *arguments]
        given = {
            "PATH": path,
            "READFIRST_HOOK_PAUSE": "0",
            "AZURE_LOCATION": "westeurope",
            "AZURE_ENV_NAME": "demo",
            **env,
        }
        return subprocess.run(command, env=given, capture_output=True, text=True, check=False)

    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]

    def kept(self) -> dict[str, str]:
        return {call[3]: call[4] for call in self.calls() if call[:3] == ["azd", "env", "set"]}


@pytest.fixture
def azure(tmp_path: Path) -> Azure:
    return Azure(tmp_path)


def test_a_first_deployment_gets_an_application_without_a_secret_and_every_default(azure: Azure) -> None:
    done = azure.run("preprovision")
    assert done.returncode == 0, done.stderr
    (patch,) = [c for c in azure.calls() if c[:2] == ["az", "rest"] and "patch" in c]
    body = json.loads(patch[patch.index("--body") + 1])
    assert {role["value"] for role in body["appRoles"]} == set(Role)
    assert body["groupMembershipClaims"] == "SecurityGroup"
    assert "credential" not in json.dumps(azure.calls()) and "secret" not in json.dumps(azure.calls()).lower()
    kept = azure.kept()
    assert kept["READFIRST_ENTRA_CLIENT_ID"] == "client"
    assert kept["READFIRST_ALERT_EMAIL"] == "me@example.org"
    assert kept["READFIRST_BUDGET_START"] == datetime.now(UTC).strftime("%Y-%m-01")
    assert (kept["READFIRST_RECOVER_VAULT"], kept["READFIRST_IMAGE_READY"]) == ("no", "")
    assert json.loads(kept["READFIRST_ACCESS"])[0]["group"] == "group"
    assert json.loads(kept["READFIRST_CLINICS"])[0]["id"] == "demo"


def test_a_second_time_makes_no_second_application_and_keeps_what_was_set(azure: Azure) -> None:
    there = {"az ad app list": [USUAL["az ad app create"]], "az ad sp list": [{"id": "sp"}]}
    done = azure.run("preprovision", answers=there, READFIRST_ACCESS="[]", READFIRST_JOB_IMAGE="x.example/y:1")
    assert done.returncode == 0, done.stderr
    assert not [c for c in azure.calls() if "create" in c]
    assert {"READFIRST_JOB_IMAGE", "READFIRST_ACCESS"}.isdisjoint(azure.kept())


BUDGET = {"name": "readfirst-demo-budget", "properties": {"timePeriod": {"startDate": "2025-03-01T00:00:00Z"}}}


def test_a_budget_keeps_the_month_in_which_it_began_whoever_deploys_in_whichever_month(azure: Azure) -> None:
    """Its start cannot change, and the environment of azd is not the same on the next person's machine."""
    other = {"name": "another", "properties": {"timePeriod": {"startDate": "2024-01-01T00:00:00Z"}}}
    there = {"az group exists": True, "*/budgets?": {"value": [other, BUDGET]}, "az acr list": []}
    for mine in ({}, {"READFIRST_BUDGET_START": "2026-01-01"}):
        azure.run("preprovision", answers=there, **mine)
        assert azure.kept()["READFIRST_BUDGET_START"] == "2025-03-01"
    azure.run("preprovision", answers={**there, "*/budgets?": {"value": [other]}}, READFIRST_BUDGET_START="2024-01-01")
    assert azure.kept()["READFIRST_BUDGET_START"] == datetime.now(UTC).strftime("%Y-%m-01")


def deleted(group: str, vault: str) -> dict[str, Any]:
    where = f"/subscriptions/s/resourceGroups/{group}/providers/Microsoft.KeyVault/vaults/{vault}"
    return {"name": vault, "properties": {"vaultId": where}}


def test_a_vault_that_was_deleted_is_brought_back_and_nobody_elses_is(azure: Azure) -> None:
    others = [deleted("rg-readfirst-other", "rfkvabc"), deleted("rg-readfirst-demo", "somebodys")]
    azure.run("preprovision", answers={"az keyvault list-deleted": others})
    assert azure.kept()["READFIRST_RECOVER_VAULT"] == "no"
    azure.run("preprovision", answers={"az keyvault list-deleted": [*others, deleted("RG-readfirst-demo", "rfkvabc")]})
    assert azure.kept()["READFIRST_RECOVER_VAULT"] == "yes"


NAMES = [
    "readfirst-prod", "My_Env", "Student", "a", "1st", "a.b", "a(b)", "-ab", "ab-", "a--b", "elevenchars", "", "ward 7",
    "ü1", "x" * 64,
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("arguments", [(), ("--check",)])
def test_a_name_that_would_not_fit_is_refused_before_anything_is_asked_or_made(
    azure: Azure, name: str, arguments: tuple[str, ...]
) -> None:
    done = azure.run("preprovision", *arguments, AZURE_ENV_NAME=name)
    assert done.returncode != 0 and "2 to 10 small letters" in done.stderr and "Traceback" not in done.stderr
    assert azure.calls() == []


@pytest.mark.parametrize("name", ["student", "ab", "ward-7", "tencharsxy", "a1"])
def test_a_name_that_fits_is_taken(azure: Azure, name: str) -> None:
    assert azure.run("preprovision", AZURE_ENV_NAME=name).returncode == 0


@pytest.mark.parametrize(
    ("ranges", "told"),
    [
        ('["203.0.113.0/24", "198.51.100.7/32"]', "Write single addresses: 198.51.100.7"),
        ('["198.51.100.6/31"]', "198.51.100.6, 198.51.100.7"),
        ('["10.1.0.0/16"]', "private"),
        ('["172.20.0.1"]', "private"),
        ('["2001:db8::/32"]', "IPv4"),
        ('["203.0.113.9/24"]', "host bits"),
        ('["our network"]', "holds our network"),
        ('"203.0.113.0/24"', "JSON list"),
        ("203.0.113.0/24", "JSON list"),
    ],
)
def test_a_range_that_the_storage_firewall_refuses_is_refused_first(azure: Azure, ranges: str, told: str) -> None:
    done = azure.run("preprovision", READFIRST_ALLOWED_RANGES=ranges)
    assert done.returncode != 0 and told in done.stderr and "Traceback" not in done.stderr
    assert azure.calls() == []


def test_ranges_that_the_storage_firewall_takes_are_taken(azure: Azure) -> None:
    ranges = '["203.0.113.0/24", "198.51.100.7", "198.51.100.8/30"]'
    assert azure.run("preprovision", READFIRST_ALLOWED_RANGES=ranges).returncode == 0


IMAGE = "ghcr.io/readfirst/readfirst-model:0.1.0"
REGISTRY = [{"name": "rfcrabc", "loginServer": "rfcrabc.azurecr.io"}]
EMPTY = {"az group exists": True, "*/budgets?": {"value": []}, "az acr list": REGISTRY}


def job(name: str, image: str) -> dict[str, Any]:
    return {"name": name, "properties": {"template": {"containers": [{"image": image}]}}}


def test_the_registry_of_a_running_deployment_gets_the_image_before_its_jobs_ask_for_it(azure: Azure) -> None:
    done = azure.run("preprovision", answers=EMPTY)
    assert done.returncode == 0, done.stderr
    assert azure.kept()["READFIRST_IMAGE_READY"] == azure.kept()["READFIRST_JOB_IMAGE"] == IMAGE
    (call,) = [c for c in azure.calls() if c[1:3] == ["acr", "import"]]
    assert call[call.index("--image") + 1] == "readfirst-model:0.1.0" and call[call.index("--source") + 1] == IMAGE


def test_an_image_that_is_there_already_is_left_and_one_that_cannot_be_had_is_said(azure: Azure) -> None:
    done = azure.run("preprovision", answers={**EMPTY, "az acr import": "THERE"})
    assert done.returncode == 0 and azure.kept()["READFIRST_IMAGE_READY"] == IMAGE
    done = azure.run("preprovision", answers={**EMPTY, "az acr import": "FAIL"})
    assert done.returncode != 0 and "READFIRST_JOB_IMAGE" in done.stderr and "Traceback" not in done.stderr


def test_after_a_first_deployment_the_jobs_leave_the_stand_in_for_their_image(azure: Azure) -> None:
    stand_in = "mcr.microsoft.com/k8se/quickstart-jobs:latest"
    jobs = [job("readfirst-demo-analyse", stand_in), job("readfirst-demo-analyse-cpu", stand_in), job("x", stand_in)]
    made = {"AZURE_RESOURCE_GROUP": "rg", "JOB_NAME": "readfirst-demo-analyse", "PORTAL_URL": "https://p.example"}
    answers = {"az acr list": REGISTRY, "az containerapp job list": jobs}
    done = azure.run("postprovision", answers=answers, READFIRST_ENTRA_CLIENT_ID="client", **made)
    assert done.returncode == 0, done.stderr
    updates = [c for c in azure.calls() if c[1:4] == ["containerapp", "job", "update"]]
    assert {c[c.index("--name") + 1] for c in updates} == {"readfirst-demo-analyse", "readfirst-demo-analyse-cpu"}
    assert {c[c.index("--image") + 1] for c in updates} == {"rfcrabc.azurecr.io/readfirst-model:0.1.0"}
    there = [job("readfirst-demo-analyse", "rfcrabc.azurecr.io/readfirst-model:0.1.0")]
    azure.run("image", answers={**answers, "az containerapp job list": there}, **made)
    assert not [c for c in azure.calls() if c[1:4] == ["containerapp", "job", "update"]]


def test_a_public_image_is_imported_nowhere(azure: Azure) -> None:
    made = {"AZURE_RESOURCE_GROUP": "rg", "JOB_NAME": "readfirst-demo-analyse"}
    assert azure.run("image", answers={"az acr list": []}, **made).returncode == 0
    assert [c[1:3] for c in azure.calls()] == [["acr", "list"]]


def test_a_workflow_gets_what_an_earlier_deployment_fixed(azure: Azure) -> None:
    there = {**EMPTY, "*/budgets?": {"value": [BUDGET]}}
    done = azure.run("already", "rg-readfirst-demo", "demo", answers=there)
    assert done.stdout.splitlines() == [
        f"READFIRST_JOB_IMAGE={IMAGE}",
        "READFIRST_BUDGET_START=2025-03-01",
        "READFIRST_RECOVER_VAULT=no",
        f"READFIRST_IMAGE_READY={IMAGE}",
    ]
    workflow = (generate.ROOT / ".github/workflows/deploy.yml").read_text()
    assert workflow.index("hooks/already.py") < workflow.index("deployment group create")
    assert workflow.index("deployment group create") < workflow.index("hooks/image.py") < workflow.index("azd deploy")


@pytest.mark.parametrize(
    ("answers", "env", "told"),
    [
        ({"az account show": "FAIL"}, {}, "az login"),
        ({}, {"AZURE_LOCATION": "atlantis"}, "Choose one of: swedencentral, westeurope"),
        ({}, {"READFIRST_PROFILE": "hospital"}, "no A100"),
        ({"*usages": {"value": [{**USAGE, "currentValue": 1}]}}, {"READFIRST_PROFILE": "clinic"}, "No quota"),
        ({}, {"READFIRST_PROFILE": "palace"}, "must be one of"),
        ({"az account show": {"id": "s", "user": {"name": "robot"}}}, {}, "READFIRST_ALERT_EMAIL"),
    ],
)
def test_what_would_fail_later_stops_now_with_its_remedy(
    azure: Azure, answers: dict[str, Any], env: dict[str, str], told: str
) -> None:
    done = azure.run("preprovision", answers=answers, **env)
    assert done.returncode != 0
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert azure.kept() == {}


def test_a_check_changes_nothing(azure: Azure) -> None:
    unregistered = {"az provider list": [{"namespace": "Microsoft.Web", "registrationState": "NotRegistered"}]}
    done = azure.run("preprovision", "--check", answers=unregistered)
    assert "az provider register" in done.stderr
    assert not [c for c in azure.calls() if {"register", "create", "patch", "set"} & set(c)]


def test_the_audit_account_of_a_hospital_is_locked_only_by_consent_and_the_second_time(azure: Azure) -> None:
    a100 = {"value": [{"name": "Consumption-GPU-NC24-A100"}]}
    answers = {"*availableManagedEnvironmentsWorkloadProfileTypes": a100}
    yes = {"READFIRST_PROFILE": "hospital", "READFIRST_LOCK_AUDIT": "yes"}
    azure.run("preprovision", answers=answers, **yes)
    assert azure.kept()["READFIRST_AUDIT_IMMUTABILITY"] == "Unlocked"
    there = [{"name": "rfauxyz", "resourceGroup": "rg-readfirst-demo"}]
    azure.run("preprovision", answers={**answers, "az storage account list": there}, READFIRST_PROFILE="hospital")
    assert azure.kept()["READFIRST_AUDIT_IMMUTABILITY"] == "Unlocked"
    azure.run("preprovision", answers={**answers, "az storage account list": there}, **yes)
    assert azure.kept()["READFIRST_AUDIT_IMMUTABILITY"] == "Locked"


def test_a_tenant_that_lets_nobody_make_groups_is_told_how_to_go_on(azure: Azure) -> None:
    done = azure.run("preprovision", answers={"az ad group create": "FAIL"})
    assert done.returncode == 0
    assert "Set READFIRST_ACCESS yourself" in done.stdout


URLS = {"API_URL": "https://a.example", "IDENTITY_URL": "https://i.example/", "READFIRST_ENTRA_CLIENT_ID": "client"}


def built(folder: Path) -> dict[str, str]:
    """A built portal, as the hook finds it before azd uploads it."""
    (folder / "dist").mkdir()
    (folder / "dist" / "index.html").write_text("<!doctype html>")
    return {"READFIRST_PORTAL_BUILT": str(folder / "dist")}


def test_the_built_portal_learns_where_its_apps_are_after_provisioning(azure: Azure) -> None:
    place = built(azure.folder)
    done = azure.run("portal", "config", **URLS, **place)
    assert done.returncode == 0, done.stderr
    written = json.loads((azure.folder / "dist" / "config.json").read_text())
    assert (written["api"], written["identity"]) == ("https://a.example", "https://i.example")
    assert written["issuer"] == "https://login.microsoftonline.com/tenant/v2.0"
    assert written["clientId"] == "client" and "api://client/access" in written["scope"]
    assert [c for c in azure.calls() if "patch" in c] == [], "whoever only deploys has no right to change Entra"


def test_the_tenant_is_not_asked_for_where_azd_knows_it(azure: Azure) -> None:
    done = azure.run("portal", "config", AZURE_TENANT_ID="known", **URLS, **built(azure.folder))
    assert done.returncode == 0 and azure.calls() == []
    assert "/known/v2.0" in (azure.folder / "dist" / "config.json").read_text()


def test_entra_learns_where_the_portal_is(azure: Azure) -> None:
    done = azure.run("portal", PORTAL_URL="https://p.example", READFIRST_ENTRA_CLIENT_ID="client")
    assert done.returncode == 0, done.stderr
    (patch,) = [c for c in azure.calls() if "patch" in c]
    assert json.loads(patch[patch.index("--body") + 1])["spa"]["redirectUris"] == [
        "https://p.example",
        "https://p.example/",
    ]


@pytest.mark.parametrize("arguments", [(), ("config",)])
def test_the_portal_hook_without_a_deployment_says_what_to_run(azure: Azure, arguments: tuple[str, ...]) -> None:
    done = azure.run("portal", *arguments)
    assert "azd provision" in done.stderr and "Traceback" not in done.stderr


def test_a_portal_that_is_not_built_says_what_to_run(azure: Azure) -> None:
    done = azure.run("portal", "config", READFIRST_PORTAL_BUILT=str(azure.folder / "nowhere"), **URLS)
    assert "azd package portal" in done.stderr and "Traceback" not in done.stderr


def test_no_step_before_provisioning_needs_an_address() -> None:
    """azd packages before or beside provisioning, and does not run a js service's build hooks at all."""
    portal = (generate.ROOT / "azure.yaml").read_text().partition("  portal:\n")[2].partition("\nhooks:")[0]
    assert re.findall(r"^      (\w+):$", portal, re.M) == ["predeploy"]
    sources = generate.ROOT / "portal_static"
    assert 'fetch("/config.json")' in (sources / "src" / "api.ts").read_text()
    assert not (sources / "public" / "config.json").exists(), "the build would carry another deployment's addresses"
    assert "import.meta.env" not in "".join(p.read_text() for p in (sources / "src").rglob("*.ts"))


def test_the_page_finds_in_config_json_every_address_that_it_reads(azure: Azure) -> None:
    azure.run("portal", "config", **URLS, **built(azure.folder))
    written = json.loads((azure.folder / "dist" / "config.json").read_text())
    source = (generate.ROOT / "portal_static" / "src" / "signin.ts").read_text()
    read = re.search(r"interface Config \{(.*?)\n\}", source, re.S)
    assert read, "the page's configuration is described in signin.ts"
    assert written.keys() == set(re.findall(r"^\s+(?:readonly )?(\w+):", read[1], re.M))


def test_an_application_that_entra_does_not_know_everywhere_yet_is_waited_for(azure: Azure) -> None:
    done = azure.run("preprovision", answers={"az ad sp create": "NOT YET"})
    assert done.returncode == 0, done.stderr
    assert len([c for c in azure.calls() if c[1:4] == ["ad", "sp", "create"]]) == 2


def test_a_refusal_is_not_asked_again(azure: Azure) -> None:
    done = azure.run("preprovision", answers={"az ad sp create": "FAIL"})
    assert done.returncode != 0 and "denied" in done.stderr
    assert len([c for c in azure.calls() if c[1:4] == ["ad", "sp", "create"]]) == 1


def test_every_hook_of_azd_has_a_windows_twin_and_its_script_exists() -> None:
    text = (generate.ROOT / "azure.yaml").read_text()
    posix = re.findall(r"shell: sh\n\s+run: python3 (\S+)", text)
    windows = re.findall(r"shell: pwsh\n\s+run: python (\S+)", text)
    assert posix == windows and len(posix) == 3
    assert all(
        (generate.ROOT / "portal_static" / p if p.startswith("..") else generate.ROOT / p).exists() for p in posix
    )
