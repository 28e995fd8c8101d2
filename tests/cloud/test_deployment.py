"""What the three profiles would deploy: exposure, encryption, cost while idle, events, budget, locks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from bicep import generate
from bicep.generate import Resource
from bicep.hooks import preprovision
from orchestrations.report import LATE
from readfirst.domain import resource_names
from readfirst.domain.analysis.watchdog import Trouble
from tests.cloud.conftest import app_settings, of_type

STORAGE = "Microsoft.Storage/storageAccounts"


def accounts(resources: list[Resource]) -> dict[str, Resource]:
    """Storage accounts by the first four letters of their name."""
    return {r["name"][:4]: r for r in of_type(resources, STORAGE)}


def plain(text: str) -> str:
    """An expression that the evaluation leaves open, with its format() and the public cloud's suffixes filled in."""
    text = text.lower().replace("environment().suffixes.storage", "'core.windows.net'")
    text = text.replace("environment().suffixes.acrloginserver", "'.azurecr.io'")
    pattern = re.compile(r"format\('([^']*)'((?:, '[^']*')+)\)")
    return pattern.sub(lambda m: "'" + m[1].format(*re.findall(r"'([^']*)'", m[2])) + "'", text)


# --- exposure and sign-in -------------------------------------------------------------------------------------------


def test_no_store_takes_a_shared_key_or_answers_anonymously(resources: list[Resource]) -> None:
    for account in of_type(resources, STORAGE):
        p = account["properties"]
        assert (p["allowSharedKeyAccess"], p["allowBlobPublicAccess"]) == (False, False)
        assert (p["minimumTlsVersion"], p["supportsHttpsTrafficOnly"]) == ("TLS1_2", True)
        assert p["allowCrossTenantReplication"] is False
    for container in of_type(resources, f"{STORAGE}/blobServices/containers"):
        assert container["properties"]["publicAccess"] == "None"
    cosmos = of_type(resources, "Microsoft.DocumentDB/databaseAccounts")[0]["properties"]
    assert (cosmos["disableLocalAuth"], cosmos["disableKeyBasedMetadataWriteAccess"]) == (True, True)
    for component in of_type(resources, "Microsoft.Insights/components"):
        assert component["properties"]["DisableLocalAuth"] is True
    for workspace in of_type(resources, "Microsoft.OperationalInsights/workspaces"):
        assert workspace["properties"]["features"]["disableLocalAuth"] is True
    for registry in [r for r in resources if r["type"] == "Microsoft.ContainerRegistry/registries"]:
        assert (registry["properties"]["adminUserEnabled"], registry["properties"]["anonymousPullEnabled"]) == (
            False,
            False,
        )
    for policy in of_type(resources, "Microsoft.Web/sites/basicPublishingCredentialsPolicies"):
        assert policy["properties"]["allow"] is False


def test_apps_speak_tls_only_and_intake_has_no_public_surface(resources: list[Resource]) -> None:
    for site in of_type(resources, "Microsoft.Web/sites"):
        config = site["properties"]["siteConfig"]
        assert site["properties"]["httpsOnly"] is True
        assert (config["minTlsVersion"], config["scmMinTlsVersion"], config["ftpsState"]) == ("1.2", "1.2", "Disabled")
        is_intake = site["tags"]["azd-service-name"] == "intake"
        assert config["ipSecurityRestrictionsDefaultAction"] == ("Deny" if is_intake else "Allow")


def test_only_the_portal_may_call_apps_and_images_from_a_browser(resources: list[Resource]) -> None:
    portal = "staticSites/readfirst-"
    for site in of_type(resources, "Microsoft.Web/sites"):
        origins = (site["properties"]["siteConfig"].get("cors") or {}).get("allowedOrigins", [])
        assert len(origins) == (0 if site["tags"]["azd-service-name"] == "intake" else 1)
        assert all(portal in o and "*" not in o for o in origins)
    for service in of_type(resources, f"{STORAGE}/blobServices"):
        rules = service["properties"]["cors"]["corsRules"]
        # Pixels are read from the studies account, files put into an inbox; no other account is for browsers.
        may = {"/rfst": {"GET", "HEAD", "OPTIONS"}, "/rfup": {"PUT", "OPTIONS"}}
        methods = next((m for account, m in may.items() if account in service["id"]), None)
        assert bool(rules) == (methods is not None)
        for rule in rules:
            assert set(rule["allowedMethods"]) == methods
            assert {"x-ms-blob-type", "x-ms-version", "content-type", "if-none-match"} <= set(rule["allowedHeaders"])
            assert all(portal in o for o in rule["allowedOrigins"])


def test_a_browsers_upload_sends_no_header_that_the_uploads_account_does_not_let_in(resources: list[Resource]) -> None:
    source = (generate.ROOT / "portal_static" / "src" / "upload.ts").read_text()
    sent = {name.lower() for name in re.findall(r'"(x-ms-[a-z-]+|If-[A-Za-z-]+)":', source)}
    assert sent == {"x-ms-version", "x-ms-blob-type", "if-none-match"} and 'method: "PUT"' in source
    (allowed,) = (
        set(s["properties"]["cors"]["corsRules"][0]["allowedHeaders"])
        for s in of_type(resources, f"{STORAGE}/blobServices")
        if "/rfup" in s["id"]
    )
    assert allowed >= sent | {"content-type"}  # a Blob with a type brings it along


def test_a_hospital_has_no_public_way_in(evaluated: Callable[..., list[Resource]]) -> None:
    resources = evaluated("hospital")
    by_name = accounts(resources)
    for name, account in by_name.items():
        acls = account["properties"]["networkAcls"]
        assert (acls["defaultAction"], acls["ipRules"], acls["virtualNetworkRules"]) == ("Deny", [], [])
        # Event Grid reaches the queues of these two as a trusted service; nobody else does.
        trusted = name in ("rfup", "rfst")
        assert account["properties"]["publicNetworkAccess"] == ("Enabled" if trusted else "Disabled")
        assert acls["bypass"] == ("AzureServices" if trusted else "None")
    for kind in (
        "Microsoft.Web/sites",
        "Microsoft.KeyVault/vaults",
        "Microsoft.DocumentDB/databaseAccounts",
        "Microsoft.ContainerRegistry/registries",
        "Microsoft.App/managedEnvironments",
    ):
        assert {r["properties"]["publicNetworkAccess"] for r in of_type(resources, kind)} == {"Disabled"}, kind
    for site in of_type(resources, "Microsoft.Web/sites"):
        assert "/subnets/" in site["properties"]["virtualNetworkSubnetId"]
    targets = {
        (c["properties"]["privateLinkServiceId"].rsplit("/", 1)[1][:4], c["properties"]["groupIds"][0])
        for e in of_type(resources, "Microsoft.Network/privateEndpoints")
        for c in e["properties"]["privateLinkServiceConnections"]
    }
    needed = {("rfup", "blob"), ("rfup", "queue"), ("rfst", "blob"), ("rfst", "queue"), ("rfva", "blob")}
    needed |= {("rfau", "blob"), ("rfhi", "blob"), ("rfhi", "queue"), ("rfhi", "table"), ("rfha", "blob")}
    needed |= {("rfhd", "blob"), ("rfkv", "vault"), ("rfdb", "Sql"), ("rfcr", "registry"), ("read", "sites")}
    assert targets == needed | {("read", "azuremonitor")}
    for kind in ("Microsoft.Insights/components", "Microsoft.OperationalInsights/workspaces"):
        assert {r["properties"]["publicNetworkAccessForIngestion"] for r in of_type(resources, kind)} == {"Disabled"}


def test_a_hospital_has_one_way_out_and_a_poisoned_model_none(evaluated: Callable[..., list[Resource]]) -> None:
    resources = evaluated("hospital")
    (network,) = of_type(resources, "Microsoft.Network/virtualNetworks")
    subnets = {s["name"]: s["properties"] for s in network["properties"]["subnets"]}
    assert subnets.keys() == {"intake", "api", "identity", "job", "endpoints"}
    assert all(s["defaultOutboundAccess"] is False for s in subnets.values())
    assert {name for name, s in subnets.items() if "natGateway" in s} == {"intake", "api", "identity", "job"}
    out = {}
    for guard in of_type(resources, "Microsoft.Network/networkSecurityGroups"):
        rules = [
            r["properties"] for r in guard["properties"]["securityRules"] if r["properties"]["direction"] == "Outbound"
        ]
        last = max(rules, key=lambda rule: rule["priority"])
        assert (last["access"], last["destinationAddressPrefix"]) == ("Deny", "Internet")
        out[guard["name"].rsplit("-", 1)[1]] = {r["destinationAddressPrefix"] for r in rules if r["access"] == "Allow"}
    platform = {"AzureActiveDirectory", "AzureFrontDoor.FirstParty", "AzureMonitor", "MicrosoftContainerRegistry"}
    assert out == {"apps": platform | {"AzureCloud"}, "job": platform, "endpoints": set()}
    assert subnets["job"]["networkSecurityGroup"]["id"].endswith("-job")
    assert {subnets[app]["networkSecurityGroup"]["id"].rsplit("-", 1)[1] for app in ("intake", "api", "identity")} == {
        "apps"
    }


def test_every_private_endpoint_finds_its_dns_zone(evaluated: Callable[..., list[Resource]]) -> None:
    resources = evaluated("hospital")
    zones = {plain(z["name"]).strip("[']") for z in of_type(resources, "Microsoft.Network/privateDnsZones")}
    links = of_type(resources, "Microsoft.Network/privateDnsZones/virtualNetworkLinks")
    linked = {re.search(r"privatelink\.[a-z.-]+", plain(link["id"])) for link in links}
    used = [
        re.search(r"privatelink\.[a-z.-]+", plain(c["properties"]["privateDnsZoneId"]))
        for g in of_type(resources, "Microsoft.Network/privateEndpoints/privateDnsZoneGroups")
        for c in g["properties"]["privateDnsZoneConfigs"]
    ]
    assert len(used) == 22  # 17 endpoints of one zone each, and Azure Monitor's with five
    assert {found[0] for found in used if found} == zones == {found[0] for found in linked if found}


def test_networks_that_a_hospital_allows_reach_uploads_and_images_only(
    evaluated: Callable[..., list[Resource]],
) -> None:
    text = (generate.HERE / "hospital.bicepparam").read_text() + "\nparam allowedRanges = ['198.51.100.0/24']\n"
    for name, account in accounts(evaluated("hospital", text)).items():
        rules = [r["value"] for r in account["properties"]["networkAcls"]["ipRules"]]
        assert rules == (["198.51.100.0/24"] if name in ("rfup", "rfst") else [])


# --- encryption and keeping -----------------------------------------------------------------------------------------


def test_stores_are_encrypted_twice_and_by_the_customers_key_in_a_hospital(
    resources: list[Resource], profile: str
) -> None:
    source = "Microsoft.Keyvault" if profile == "hospital" else "Microsoft.Storage"
    for account in of_type(resources, STORAGE):
        encryption = account["properties"]["encryption"]
        assert (encryption["requireInfrastructureEncryption"], encryption["keySource"]) == (True, source)
        if profile == "hospital":
            assert encryption["keyvaultproperties"]["keyname"] == "storage-key"
    cosmos = of_type(resources, "Microsoft.DocumentDB/databaseAccounts")[0]["properties"]
    assert ("storage-key" in (cosmos.get("keyVaultKeyUri") or "")) == (profile == "hospital")


def test_keys_rotate_by_policy_and_the_vaults_cannot_be_lost(resources: list[Resource]) -> None:
    vault = of_type(resources, "Microsoft.KeyVault/vaults")[0]["properties"]
    assert vault["enableRbacAuthorization"] and vault["enablePurgeProtection"] and vault["enableSoftDelete"]
    keys = {k["name"].split("/")[-1]: k["properties"] for k in of_type(resources, "Microsoft.KeyVault/vaults/keys")}
    assert {"identity-kek", "pseudonym-kek"} <= keys.keys()
    for key in keys.values():
        assert key["keyOps"] == ["wrapKey", "unwrapKey"] and key["keySize"] >= 3072
        assert [a["action"]["type"] for a in key["rotationPolicy"]["lifetimeActions"]] == ["rotate", "notify"]
    locks = of_type(resources, "Microsoft.Authorization/locks")
    assert {lock["properties"]["level"] for lock in locks} == {"CanNotDelete"}
    assert len([x for x in locks if "/vaults/" in x["id"]]) == len([x for x in locks if "rfva" in x["id"]]) == 1


def test_audit_records_cannot_be_changed_and_are_locked_in_a_hospital_only(
    resources: list[Resource], profile: str
) -> None:
    by_name = accounts(resources)
    policy = by_name["rfau"]["properties"]["immutableStorageWithVersioning"]["immutabilityPolicy"]
    assert policy["allowProtectedAppendWrites"] is True
    assert policy["state"] == ("Locked" if profile == "hospital" else "Unlocked")
    for name, account in by_name.items():
        if name != "rfau":  # what must be erasable is never immutable
            assert not account["properties"].get("immutableStorageWithVersioning")


def test_an_erased_record_lapses_within_a_week(resources: list[Resource]) -> None:
    for service in of_type(resources, f"{STORAGE}/blobServices"):
        p = service["properties"]
        if "/rfau" not in service["id"]:
            assert p["isVersioningEnabled"] is False
            assert p["deleteRetentionPolicy"].get("days", 0) <= 7


def test_an_original_lapses_only_after_its_success(resources: list[Resource]) -> None:
    rules = of_type(resources, f"{STORAGE}/managementPolicies")[0]["properties"]["policy"]["rules"]
    by_prefix = {r["definition"]["filters"]["prefixMatch"][0]: r["definition"]["filters"] for r in rules}
    assert set(by_prefix) == {"originals/", "undelivered-events/"}
    assert by_prefix["originals/"]["blobIndexMatch"] == [
        {"name": name, "op": "==", "value": value} for name, value in resource_names.DONE.items()
    ]


# --- cost -----------------------------------------------------------------------------------------------------------


def test_nothing_of_a_student_costs_by_the_hour(evaluated: Callable[..., list[Resource]]) -> None:
    resources = evaluated("student")
    text = json.dumps(resources)
    hourly = ("privateEndpoints", "ContainerRegistry", "scheduledQueryRules", "virtualNetworks", "alwaysReady")
    assert [word for word in hourly if word in text] == []
    cosmos = of_type(resources, "Microsoft.DocumentDB/databaseAccounts")[0]["properties"]
    assert cosmos["capabilities"] == [{"name": "EnableServerless"}]
    databases = [r for r in resources if r["type"].startswith("Microsoft.DocumentDB/databaseAccounts/sqlDatabases")]
    assert databases and not any("throughput" in json.dumps(d) for d in databases)
    assert {p["sku"]["name"] for p in of_type(resources, "Microsoft.Web/serverfarms")} == {"FC1"}
    assert of_type(resources, "Microsoft.Web/staticSites")[0]["sku"]["name"] == "Free"
    job = of_type(resources, "Microsoft.App/jobs")[0]["properties"]
    assert (job["configuration"]["triggerType"], job["workloadProfileName"]) == ("Manual", "Consumption")
    place = of_type(resources, "Microsoft.App/managedEnvironments")[0]["properties"]
    assert [p["workloadProfileType"] for p in place["workloadProfiles"]] == ["Consumption"]
    assert not any("minimumCount" in p for p in place["workloadProfiles"])


def test_no_profile_keeps_a_machine_running(resources: list[Resource]) -> None:
    text = json.dumps(resources)
    assert [word for word in ("alwaysReady", "minReplicas", "minimumCount", "minExecutions") if word in text] == []


def test_the_gpu_is_a_parameter(evaluated: Callable[..., list[Resource]]) -> None:
    text = (
        (generate.HERE / "student.bicepparam")
        .read_text()
        .replace("param profile = student", "param profile = { ...student, gpu: 'T4' }")
    )
    place = of_type(evaluated("student", text), "Microsoft.App/managedEnvironments")[0]["properties"]
    assert "Consumption-GPU-NC8as-T4" in [p["workloadProfileType"] for p in place["workloadProfiles"]]


def test_the_task_hub_of_a_student_polls_one_partition(evaluated: Callable[..., list[Resource]]) -> None:
    key = "AzureFunctionsJobHost__extensions__durableTask__storageProvider__partitionCount"
    assert app_settings(evaluated("student"))["intake"][key] == "1"


def test_a_budget_tells_at_half_most_all_and_by_forecast(resources: list[Resource]) -> None:
    budget = of_type(resources, "Microsoft.Consumption/budgets")[0]["properties"]
    told = {(n["threshold"], n["thresholdType"]) for n in budget["notifications"].values()}
    assert told == {(50, "Actual"), (80, "Actual"), (100, "Actual"), (100, "Forecasted")}
    assert budget["amount"] > 0 and "-01" in budget["timePeriod"]["startDate"]
    assert all(n["contactGroups"] and n["contactEmails"] for n in budget["notifications"].values())


def test_a_budgets_start_does_not_follow_the_clock() -> None:
    """Azure refuses to change it: a deployment in a later month must repeat it."""
    for file in generate.HERE.rglob("*.bicep*"):
        assert "utcNow" not in file.read_text(), file.name
    for name in (*generate.PROFILES, "azd"):
        assert "'READFIRST_BUDGET_START'" in (generate.HERE / f"{name}.bicepparam").read_text()


# --- names, and what must be there first ------------------------------------------------------------------------------

GLOBAL = {"Microsoft.Communication/communicationServices", "Microsoft.Communication/emailServices"}
GLOBAL |= {"Microsoft.KeyVault/vaults", STORAGE, "Microsoft.Web/sites", "Microsoft.DocumentDB/databaseAccounts"}
GLOBAL |= {"Microsoft.ContainerRegistry/registries"}
LONGEST = "ward-7-abc"  # that an environment's name may be


def longest(profile: str) -> str:
    """The parameter file of a profile, with that name."""
    text = (generate.HERE / f"{profile}.bicepparam").read_text()
    return re.sub(r"param environmentName = '.*'", f"param environmentName = '{LONGEST}'", text)


def test_names_that_all_of_azure_shares_are_not_taken_by_another_deployment(resources: list[Resource]) -> None:
    unique = re.search(r"rfup(\w{13})", " ".join(r["name"] for r in of_type(resources, STORAGE)))
    assert unique
    for resource in resources:
        if resource["type"] in GLOBAL:
            assert resource["name"].endswith(unique[1]), resource["name"]


def test_the_longest_name_of_an_environment_fits_into_every_name(
    evaluated: Callable[..., list[Resource]],
) -> None:
    most = {"Microsoft.App/jobs": 32, "Microsoft.App/managedEnvironments": 60, "Microsoft.Web/sites": 60, STORAGE: 24}
    most |= {"Microsoft.KeyVault/vaults": 24, "Microsoft.Communication/communicationServices": 63}
    most |= {"Microsoft.Communication/emailServices": 63}
    resources = evaluated("hospital", longest("hospital"))
    for kind, length in most.items():
        for resource in of_type(resources, kind):
            assert len(resource["name"]) <= length, resource["name"]


def test_the_hook_and_the_template_agree_on_what_a_name_may_be() -> None:
    for file in ("azd.bicep", "main.bicep"):
        text = (generate.HERE / file).read_text()
        assert f"@minLength(2)\n@maxLength({len(LONGEST)})\nparam environmentName" in text
    assert preprovision.ENVIRONMENT.fullmatch(LONGEST) and not preprovision.ENVIRONMENT.fullmatch(f"{LONGEST}d")


def test_a_vault_that_purge_protection_keeps_is_brought_back_and_no_job_asks_for_an_image_that_is_not_there(
    evaluated: Callable[..., list[Resource]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registry that has just been made is empty; afterwards one image, by one name, is pulled from it."""
    text = (generate.HERE / "clinic.bicepparam").read_text()

    def deployed(word: str) -> tuple[str, set[str]]:
        resources = evaluated("clinic", f"{text}// {word}\n")
        jobs = of_type(resources, "Microsoft.App/jobs")
        images = {job["properties"]["template"]["containers"][0]["image"] for job in jobs}
        return of_type(resources, "Microsoft.KeyVault/vaults")[0]["properties"]["createMode"], images

    mode, images = deployed("first")
    assert mode == "default" and all(image.startswith("mcr.microsoft.com/") for image in images)
    monkeypatch.setenv("READFIRST_IMAGE_READY", preprovision.JOB_IMAGE)
    monkeypatch.setenv("READFIRST_RECOVER_VAULT", "yes")
    mode, (image,) = deployed("later")
    assert mode == "recover"
    assert "readfirst-model:0.1.0" in image and "loginServer" in image and "ghcr.io" not in image


def test_a_public_image_is_pulled_from_where_it_is(evaluated: Callable[..., list[Resource]]) -> None:
    (job,) = of_type(evaluated("student"), "Microsoft.App/jobs")
    assert job["properties"]["template"]["containers"][0]["image"] == preprovision.JOB_IMAGE


def test_every_file_that_names_the_jobs_image_names_the_same() -> None:
    root = generate.ROOT
    files = [*root.glob("docs/**/*.md"), *root.glob(".github/**/*.yml"), *generate.HERE.rglob("*.bicep*")]
    text = "".join(f.read_text() for f in [*files, root / "model_container/Dockerfile"])
    named = set(re.findall(r"\breadfirst-(?:model|job)(?:-cpu)?(?=[:\"'])", text))
    assert named == {preprovision.JOB_IMAGE.rpartition("/")[2].partition(":")[0]}


def test_what_the_customers_key_encrypts_waits_until_its_role_is_seen() -> None:
    built = json.loads(generate.run_bicep("build", "main.bicep", "--stdout").stdout)["resources"]
    wait = built["encryptionWait"]
    assert wait["copy"]["mode"] == "serial" and wait["copy"]["batchSize"] == 1
    assert "customerKeys" in wait["copy"]["count"] and wait["dependsOn"] == ["encryptionAccess"]
    encrypted = {name for name, r in built.items() if "customerKey" in r.get("properties", {}).get("parameters", {})}
    assert encrypted == {"uploads", "studies", "vault", "audit", "host", "cosmos"}
    assert [name for name in encrypted if "encryptionWait" not in built[name]["dependsOn"]] == []


# --- events and watch -----------------------------------------------------------------------------------------------


def test_only_whole_blobs_in_inboxes_wake_intake(resources: list[Resource]) -> None:
    subscriptions = {
        s["name"].split("/")[-1]: s["properties"]
        for s in of_type(resources, "Microsoft.EventGrid/systemTopics/eventSubscriptions")
    }
    arrived = subscriptions["arrived"]
    assert arrived["filter"]["includedEventTypes"] == ["Microsoft.Storage.BlobCreated"]
    assert arrived["filter"]["subjectBeginsWith"] == "/blobServices/default/containers/clinic-"
    (api,) = arrived["filter"]["advancedFilters"]
    assert (api["key"], set(api["values"])) == ("data.api", {"PutBlob", "PutBlockList", "CopyBlob", "FlushWithClose"})
    delivery = arrived["deliveryWithResourceIdentity"]
    assert delivery["identity"]["type"] == "SystemAssigned"  # a user-assigned one fails behind a storage firewall
    assert delivery["destination"]["properties"]["queueName"] == "upload-events"
    assert arrived["deadLetterWithResourceIdentity"]["deadLetterDestination"]["properties"]["blobContainerName"]


def test_key_events_go_to_the_app_that_holds_the_key(resources: list[Resource]) -> None:
    subscriptions = {
        s["name"].split("/")[-1]: s["properties"]
        for s in of_type(resources, "Microsoft.EventGrid/systemTopics/eventSubscriptions")
    }
    kinds = {
        name: {t.rsplit(".", 1)[1] for t in s["filter"]["includedEventTypes"]} for name, s in subscriptions.items()
    }
    assert kinds["intake"] == {"KeyNewVersionCreated", "KeyNearExpiry", "SecretNearExpiry", "SecretExpired"}
    assert kinds["identity"] == {"KeyNewVersionCreated", "KeyNearExpiry"}
    for name, subjects in (
        ("intake", {"pseudonym-kek", "receipt-signing-key"}),
        ("identity", {"identity-kek"}),
    ):
        (subject,) = subscriptions[name]["filter"]["advancedFilters"]
        assert (subject["key"], set(subject["values"])) == ("subject", subjects)
        destination = subscriptions[name]["deliveryWithResourceIdentity"]["destination"]
        assert destination["properties"]["queueName"] == f"rotate-{name}"


def test_delivery_reports_of_the_service_that_sends_go_to_intake(resources: list[Resource]) -> None:
    """Its topic is global, as the service is; it writes to the queue as itself."""
    (topic,) = (
        t
        for t in of_type(resources, "Microsoft.EventGrid/systemTopics")
        if t["properties"]["topicType"] == "Microsoft.Communication.CommunicationServices"
    )
    assert (topic["location"], topic["identity"]["type"]) == ("global", "SystemAssigned")
    (service,) = of_type(resources, "Microsoft.Communication/communicationServices")
    assert topic["properties"]["source"] == service["id"]
    (reports,) = (
        s["properties"]
        for s in of_type(resources, "Microsoft.EventGrid/systemTopics/eventSubscriptions")
        if s["name"].startswith(f"{topic['name']}/")
    )
    assert reports["filter"]["includedEventTypes"] == ["Microsoft.Communication.EmailDeliveryReportReceived"]
    destination = reports["deliveryWithResourceIdentity"]["destination"]["properties"]
    assert destination["queueName"] == resource_names.DELIVERIES


def test_every_queue_that_wakes_an_app_exists_with_its_poison_queue(resources: list[Resource]) -> None:
    made = {q["name"].split("/")[-1] for q in of_type(resources, f"{STORAGE}/queueServices/queues")}
    for queue in (resource_names.UPLOAD_EVENTS, *resource_names.WAKING_QUEUES):
        assert {queue, f"{queue}-poison"} <= made
    assert {"inference-requests", "inference-requests-stat"} <= made


def test_security_logs_are_apart_and_have_no_cap(resources: list[Resource], profile: str) -> None:
    spaces = {
        w["name"].rsplit("-", 1)[1]: w["properties"]
        for w in of_type(resources, "Microsoft.OperationalInsights/workspaces")
    }
    assert "workspaceCapping" not in spaces["security"] and spaces["operations"]["workspaceCapping"]["dailyQuotaGb"] > 0
    sent = {
        d["id"].split("/providers/")[-2].split("/")[1]
        for d in of_type(resources, "Microsoft.Insights/diagnosticSettings")
        if "security" in json.dumps(d["properties"]["workspaceId"])
    }
    assert sent == {"vaults", "storageAccounts"}
    rules = [r["name"] for r in resources if r["type"] == "Microsoft.Insights/scheduledQueryRules"]
    assert bool(rules) == (profile != "student")
    assert profile == "student" or any(r.endswith("log-cap") for r in rules)


def test_every_alert_names_its_chapter_of_the_runbook(resources: list[Resource]) -> None:
    runbook = (generate.ROOT / "docs" / "operator" / "runbook.md").read_text().lower()
    alerts = of_type(resources, "Microsoft.Insights/metricAlerts")
    alerts += [r for r in resources if r["type"] == "Microsoft.Insights/scheduledQueryRules"]
    for alert in alerts:
        chapter = alert["properties"]["description"].rsplit("Runbook: ", 1)[1].rstrip(".")
        assert f"\n## {chapter.lower()}\n" in runbook, alert["name"]
        actions = alert["properties"]["actions"]
        assert actions if isinstance(actions, list) else actions["actionGroups"]


def test_minutes_on_a_gpu_are_time_and_not_lines_of_a_log(evaluated: Callable[..., list[Resource]]) -> None:
    """A job that works for an hour says a few lines: counted, they never reach 45."""
    rules = of_type(evaluated("clinic"), "Microsoft.Insights/scheduledQueryRules")
    criteria = {r["name"].rsplit("-clinic-", 1)[1]: r["properties"]["criteria"]["allOf"][0] for r in rules}
    gpu = criteria.pop("gpu-minutes")
    assert (gpu["metricMeasureColumn"], gpu["timeAggregation"], gpu["threshold"]) == ("Minutes", "Maximum", 45)
    assert "sum(Gap) / 60.0" in gpu["query"]
    assert {c["timeAggregation"] for c in criteria.values()} == {"Count"}
    assert not any(c.get("metricMeasureColumn") for c in criteria.values())


def test_what_is_looked_for_in_the_hosts_own_log_is_logged() -> None:
    """The host says that it has started at Information, which is muted unless its category is named."""
    levels = json.loads((generate.ROOT / "host.json").read_text())["logging"]["logLevel"]
    assert levels["default"] == "Warning" and levels["Host.Startup"] == "Information"
    assert "Host started" in (generate.ROOT / "docs" / "azure-verification.md").read_text()


# --- azd ------------------------------------------------------------------------------------------------------------


def test_azd_up_deploys_the_group_its_roles_and_the_profile_that_was_asked_for(
    evaluated: Callable[..., list[Resource]],
) -> None:
    through_azd = evaluated("azd")
    assert of_type(through_azd, "Microsoft.Resources/resourceGroups")[0]["name"] == "rg-readfirst-student"
    roles = of_type(through_azd, "Microsoft.Authorization/roleDefinitions")
    assert len(roles) == len(generate.ROLES["custom"])
    counts = [
        sorted(
            r["type"] for r in rs if not r["type"].startswith(("Microsoft.Resources", "Microsoft.Authorization/roleD"))
        )
        for rs in (through_azd, evaluated("student"))
    ]
    assert counts[0] == counts[1]
    made = {r["name"] for r in roles}
    used = {
        a["properties"]["roleDefinitionId"].rsplit("/", 1)[1]
        for a in of_type(through_azd, "Microsoft.Authorization/roleAssignments")
    }
    built_in = {role["id"] for role in generate.ROLES["builtIn"].values()}
    assert used - built_in <= made, "a role is assigned that nothing defines"


def test_the_words_that_log_alerts_look_for_are_the_words_that_the_code_logs() -> None:
    alerts = (generate.HERE / "modules" / "alerts.bicep").read_text()
    logged = (generate.ROOT / "orchestrations" / "report.py").read_text()
    asked = re.findall(r'Message (?:startswith|matches regex) "([^"]+)"', alerts)
    plain = [words for words in asked if not words.startswith("^")]
    aside = ["upload set aside", "inbox not listed"]
    assert plain == ["study failed", "alert not delivered", "message parked", *aside, "key near expiry"]
    assert 'logging.warning("alert not delivered: ' in (generate.ROOT / "orchestrations" / "alert.py").read_text()
    reconciled = (generate.ROOT / "orchestrations" / "reconcile.py").read_text()
    assert all(f'logging.error("{words}: ' in reconciled for words in aside)
    (stuck,) = (words for words in asked if words.startswith("^"))
    for trouble in ("deadline", LATE.partition(":")[0], *Trouble):
        assert re.search(stuck, f"study failed: {trouble}"), trouble
    assert re.search(stuck, "job execution stopped: no sign of life since 2026-01-01")
    assert not re.search(stuck, "study failed: no-identity")
    assert 'logging.warning("job execution stopped: ' in (generate.ROOT / "readfirst/adapters/jobs.py").read_text()
    assert 'logging.error("message parked: ' in (generate.ROOT / "readfirst/adapters/studies/parked.py").read_text()
    for app in ("intake", "identity"):
        assert (
            'logging.error("key near expiry: %s"'
            in (generate.ROOT / f"function_app/triggers/rotate_{app}.py").read_text()
        )
    assert 'logging.warning("study failed: %s"' in logged
    assert 'reason=f"{why}: ' in (generate.ROOT / "orchestrations" / "analyse.py").read_text()
