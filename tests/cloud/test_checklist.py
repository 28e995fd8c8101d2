"""What a deployment must contain, line by line. What another file of this folder looks at closely is not repeated."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from bicep import generate
from bicep.generate import Resource
from tests.cloud.conftest import app_settings, of_type

STORAGE = "Microsoft.Storage/storageAccounts"
CLINICS = {"student": {"demo"}, "clinic": {"north", "south"}, "hospital": {"radiology", "emergency"}}
Check = Callable[[list[Resource], str], bool]


def named(resources: list[Resource], kind: str) -> set[str]:
    return {r["name"].split("/")[-1] for r in of_type(resources, kind)}


def own_host_account(resources: list[Resource], profile: str) -> bool:
    prefixes = {"intake": "rfhi", "api": "rfha", "identity": "rfhd"}
    return all(
        prefixes[app] in settings["AzureWebJobsStorage__blobServiceUri"]
        and settings["AzureWebJobsStorage__credential"] == "managedidentity"
        for app, settings in app_settings(resources).items()
    )


def containers_of_the_clinic_list(resources: list[Resource], profile: str) -> bool:
    made = named(resources, f"{STORAGE}/blobServices/containers")
    per_clinic = {name for name in made if name.startswith(("clinic-", "results-"))}
    return per_clinic == {f"{kind}-{clinic}" for kind in ("clinic", "results") for clinic in CLINICS[profile]}


def flex_apps_with_an_identity_each(resources: list[Resource], profile: str) -> bool:
    sites = of_type(resources, "Microsoft.Web/sites")
    identities = {next(iter(s["identity"]["userAssignedIdentities"])) for s in sites}
    plans = of_type(resources, "Microsoft.Web/serverfarms")
    ready = [s for s in sites if s["properties"]["functionAppConfig"]["scaleAndConcurrency"].get("alwaysReady")]
    pinned = {s["properties"]["functionAppConfig"]["runtime"]["version"] for s in sites}
    return (
        len(identities) == len(sites) == 3
        and {p["sku"]["name"] for p in plans} == {"FC1"}
        and not ready
        and pinned == {"3.11"}
    )


def jobs_that_end_and_pull_without_a_password(resources: list[Resource], profile: str) -> bool:
    jobs = of_type(resources, "Microsoft.App/jobs")
    profiles = of_type(resources, "Microsoft.App/managedEnvironments")[0]["properties"]["workloadProfiles"]
    gpu = {"student": [], "clinic": ["Consumption-GPU-NC8as-T4"], "hospital": ["Consumption-GPU-NC24-A100"]}[profile]
    for job in jobs:
        configuration = job["properties"]["configuration"]
        registries = json.dumps(configuration["registries"])  # the evaluation may leave an expression
        if "password" in registries.lower() or ("identity" in registries) == (profile == "student"):
            return False
    minimum = [p for p in profiles if p.get("minimumCount")]
    return not minimum and [p["workloadProfileType"] for p in profiles] == ["Consumption", *gpu]


def cosmos_that_costs_nothing_idle_and_can_go_back_in_time(resources: list[Resource], profile: str) -> bool:
    account = of_type(resources, "Microsoft.DocumentDB/databaseAccounts")[0]["properties"]
    return (
        account["capabilities"] == [{"name": "EnableServerless"}]
        and account["backupPolicy"]["type"] == "Continuous"
        and account["minimalTlsVersion"] == "Tls12"
        and "throughput" not in json.dumps(of_type(resources, "Microsoft.DocumentDB/databaseAccounts/sqlDatabases"))
    )


def mail_with_a_linked_domain(resources: list[Resource], profile: str) -> bool:
    (service,) = of_type(resources, "Microsoft.Communication/communicationServices")
    domain = named(resources, "Microsoft.Communication/emailServices/domains")
    wanted = {"AzureManagedDomain"} | ({"alerts.example.org"} if profile == "hospital" else set())
    (linked,) = service["properties"]["linkedDomains"]  # one's own not before its DNS is verified: it would be refused
    return domain == wanted and linked.endswith("/AzureManagedDomain")


def soft_delete_where_erasure_may_wait_for_it(resources: list[Resource], profile: str) -> bool:
    services = of_type(resources, f"{STORAGE}/blobServices")
    keep = {
        s["id"].split("/storageAccounts/")[1][:4]: s["properties"]["deleteRetentionPolicy"]["enabled"] for s in services
    }
    return {name for name, kept in keep.items() if not kept} == {"rfhi", "rfha", "rfhd"}


def every_alert_that_the_profile_pays_for(resources: list[Resource], profile: str) -> bool:
    metrics = {"failed-requests", "vault-reads", "vault-refused", "keys-refused"}
    logs = {
        "failed-studies",
        "alerts-not-delivered",
        "poison-messages",
        "stuck-jobs",
        "gpu-minutes",
        "refused-callers",
        "log-cap",
        "vault-outsiders",
    }
    made = {
        r["name"].removeprefix(f"readfirst-{profile}-")
        for r in resources
        if r["type"] in ("Microsoft.Insights/metricAlerts", "Microsoft.Insights/scheduledQueryRules")
    }
    return made == (metrics if profile == "student" else metrics | logs | {"keys-near-expiry"})


def nothing_else_is_deployed(resources: list[Resource], profile: str) -> bool:
    known = re.compile(
        r"Microsoft\.(Storage|KeyVault|DocumentDB|Web|App|EventGrid|Communication|Insights|OperationalInsights|ManagedIdentity"
        r"|Authorization|Consumption|Resources)/"
    )
    more = re.compile(r"Microsoft\.(Network|ContainerRegistry)/")
    kinds = {
        r["type"] for r in resources if not known.match(r["type"]) and not r["type"].startswith("microsoft.insights/")
    }
    return {"student": not kinds, "clinic": kinds == {"Microsoft.ContainerRegistry/registries"}}.get(
        profile, all(map(more.match, kinds))
    )


LINES: dict[str, Check] = {
    "a host account per app": own_host_account,
    "containers per clinic, from the clinic list": containers_of_the_clinic_list,
    "soft delete wherever something is kept": soft_delete_where_erasure_may_wait_for_it,
    "Cosmos DB serverless, with backup": cosmos_that_costs_nothing_idle_and_can_go_back_in_time,
    "three apps on Flex Consumption, an identity each": flex_apps_with_an_identity_each,
    "jobs with a timeout, images pulled by identity": jobs_that_end_and_pull_without_a_password,
    "Communication Services with an e-mail domain": mail_with_a_linked_domain,
    "every alert": every_alert_that_the_profile_pays_for,
    "and nothing besides": nothing_else_is_deployed,
}


@pytest.mark.parametrize("line", LINES)
def test_the_deployment_has(line: str, resources: list[Resource], profile: str) -> None:
    assert LINES[line](resources, profile), f"{profile}: {line}"


def test_zone_redundancy_is_one_field_and_reaches_every_store_and_app(evaluated: Callable[..., list[Resource]]) -> None:
    text = (generate.HERE / "hospital.bicepparam").read_text()
    spread = text.replace("param profile = hospital", "param profile = union(hospital, { zoneRedundant: true })")
    assert spread != text
    resources = evaluated("hospital", spread)
    assert {a["sku"]["name"] for a in of_type(resources, STORAGE)} == {"Standard_ZRS"}
    assert {p["properties"]["zoneRedundant"] for p in of_type(resources, "Microsoft.Web/serverfarms")} == {True}
    (cosmos,) = of_type(resources, "Microsoft.DocumentDB/databaseAccounts")
    assert cosmos["properties"]["locations"][0]["isZoneRedundant"] is True
    assert of_type(resources, "Microsoft.App/managedEnvironments")[0]["properties"]["zoneRedundant"] is True
    assert of_type(resources, "Microsoft.ContainerRegistry/registries")[0]["properties"]["zoneRedundancy"] == "Enabled"
