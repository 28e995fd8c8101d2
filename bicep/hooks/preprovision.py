"""Before `azd provision`: checks what would fail half an hour later, and makes the Entra application.

Python's standard library and the az and azd commands are all it needs. Every stop names the remedy. Safe to repeat.
`--check` looks and changes nothing.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shutil
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime
from typing import Any

PROVIDERS = (
    "Microsoft.App",
    "Microsoft.Communication",
    "Microsoft.ContainerRegistry",
    "Microsoft.DocumentDB",
    "Microsoft.EventGrid",
    "Microsoft.Insights",
    "Microsoft.KeyVault",
    "Microsoft.ManagedIdentity",
    "Microsoft.OperationalInsights",
    "Microsoft.Storage",
    "Microsoft.Web",
)
# readfirst.domain.access.rules.Role, with what people read in Entra; a test compares.
ROLES = {
    "clinician": "Reads studies and findings",
    "radiologist": "Reads, reviews and signs studies",
    "privacy-officer": "Decides about identities and reads the audit log",
    "operator": "Sees how the system does",
    "clinic-user": "Uploads for a clinic",
}
GPU_OF = {"student": "", "clinic": "T4", "hospital": "A100"}
WORKLOAD = {"T4": "Consumption-GPU-NC8as-T4", "A100": "Consumption-GPU-NC24-A100"}
BUDGET_OF = {"student": "10", "clinic": "150", "hospital": "1500"}
JOB_IMAGE = "ghcr.io/readfirst/readfirst-model:0.1.0"  # of every profile: a registry of one's own imports it
# Part of every name that is made; the narrowest is a job's, readfirst-NAME-analyse-cpu, of 32 characters. azd takes
# names of 64, with capitals, dots and brackets.
ENVIRONMENT = re.compile(r"(?=.{2,10}$)[a-z][a-z0-9]*(-[a-z0-9]+)*")
TRIES = 6
NOT_YET = (
    "request_resourcenotfound",
    "does not exist or one of its queried",
    "backing application",
    "too many requests",
)
SPACE = uuid.UUID("5b2f0d5e-6c53-4d0a-9b7e-0d9b5a1c7a11")  # names our roles and scope the same way each time


class Stop(Exception):
    """What is wrong and what to do about it."""


def az(*arguments: str) -> Any:
    """Runs az and returns its JSON answer (None where it says nothing)."""
    command = [program("az"), *arguments, "--output", "json"]
    for attempt in range(1, TRIES + 1):
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - az, found by its name
        if not done.returncode:
            return json.loads(done.stdout) if done.stdout.strip() else None
        # What Entra has just made is not everywhere at once.
        if attempt == TRIES or not any(word in done.stderr.lower() for word in NOT_YET):
            break
        time.sleep(float(os.environ.get("READFIRST_HOOK_PAUSE", "5")))
    raise Stop(f"az {' '.join(arguments[:3])} failed: {done.stderr.strip()[-400:]}")


def program(name: str) -> str:
    """The whole path: Windows finds `az.cmd` only by it."""
    return shutil.which(name) or name


def rest(method: str, url: str, body: object = None) -> Any:
    """Calls Azure or Graph through az, which signs in."""
    more = ("--body", json.dumps(body), "--headers", "Content-Type=application/json") if body is not None else ()
    return az("rest", "--method", method, "--url", url, *more)


def check_name(name: str) -> None:
    """The environment's name fits into the name of everything that is made."""
    if not ENVIRONMENT.fullmatch(name):
        raise Stop(
            f"The environment is called {name}: take 2 to 10 small letters, digits and single inner hyphens, a letter "
            "first, for example `azd env new ward-7`. Nothing has been made under this name."
        )


def check_ranges(text: str) -> None:
    """READFIRST_ALLOWED_RANGES holds what the storage firewall takes: public IPv4 addresses and ranges up to /30."""
    try:
        ranges = json.loads(text)
    except ValueError:
        ranges = None
    if not isinstance(ranges, list):
        raise Stop(f'READFIRST_ALLOWED_RANGES is {text}; it must be a JSON list, for example ["203.0.113.0/24"].')
    for one in ranges:
        if why := refused_range(str(one)):
            raise Stop(f"READFIRST_ALLOWED_RANGES holds {one}: {why}")


def refused_range(text: str) -> str:
    """Why the storage firewall would refuse a range; empty where it takes it.

    https://learn.microsoft.com/azure/storage/common/storage-network-security
    """
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        return f"{error}."
    if network.version != 4:
        return "the storage firewall takes IPv4 only."
    if "/" in text and network.prefixlen >= 31:
        return f"the storage firewall takes no /31 or /32. Write single addresses: {', '.join(map(str, network))}."
    if any(network.overlaps(ipaddress.ip_network(p)) for p in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")):
        return "private addresses come through the private network; the storage firewall takes public ones only."
    return ""


def fixed_already(subscription: str, group: str, environment: str, image: str) -> dict[str, str]:
    """What an earlier deployment has fixed and a later one must repeat, by the names of the parameter files."""
    there = az("group", "exists", "--name", group) is True
    return {
        "READFIRST_BUDGET_START": budget_start(subscription, group if there else "", f"readfirst-{environment}-budget"),
        "READFIRST_RECOVER_VAULT": "yes" if vault_was_deleted(group) else "no",
        "READFIRST_IMAGE_READY": image if there and filled_registry(group, image) else "",
    }


def budget_start(subscription: str, group: str, name: str) -> str:
    """A budget's start date cannot change: that of the group's where there is one, else the first day of this month."""
    if group:
        scope = f"https://management.azure.com/subscriptions/{subscription}/resourceGroups/{group}"
        listed = rest("get", f"{scope}/providers/Microsoft.Consumption/budgets?api-version=2024-08-01")
        for budget in listed["value"]:
            if budget["name"] == name:
                return str(budget["properties"]["timePeriod"]["startDate"])[:10]
    return datetime.now(UTC).strftime("%Y-%m-01")


def filled_registry(group: str, image: str) -> str:
    """The group's own registry, which holds the image afterwards; empty where there is none.

    A job is refused whose image is not in its registry. The import is an order to Azure, which copies by itself: so it
    works for a registry that is closed, too. A tag that is there is left as it is: tags are never moved.
    """
    registries = [r for r in az("acr", "list", "--resource-group", group) or [] if r["name"].startswith("rfcr")]
    if not registries:
        return ""
    server = str(registries[0]["loginServer"])
    try:
        target = in_registry("", image).lstrip("/")
        az("acr", "import", "--name", registries[0]["name"], "--source", image, "--image", target)
    except Stop as error:
        if "already exists" not in str(error).lower():
            raise Stop(
                f"{image} could not be imported into {server} ({error}). Set READFIRST_JOB_IMAGE to an image, with the "
                "name of its registry, that Azure can read, and run `azd provision` again."
            ) from error
    return server


def in_registry(server: str, image: str) -> str:
    """The name of the image in a registry of one's own: the same repository and tag (as main.bicep has it)."""
    return f"{server}/{image.rsplit('/', 1)[-1]}"


def vault_was_deleted(group: str) -> bool:
    """Whether Azure still keeps a deleted vault of ours: its name is taken for 90 days, so it is brought back."""
    kept = az("keyvault", "list-deleted", "--resource-type", "vault") or []
    ids = [str(vault["properties"]["vaultId"]).lower() for vault in kept]
    return any(f"/resourcegroups/{group.lower()}/" in one and "/vaults/rfkv" in one for one in ids)


def check_tools() -> Any:
    """az and azd are here and somebody has signed in. Returns the account."""
    for tool, remedy in (("az", "https://aka.ms/azure-cli"), ("azd", "https://aka.ms/azd")):
        if not shutil.which(tool):
            raise Stop(f"{tool} is not installed. Install it from {remedy}.")
    try:
        return az("account", "show")
    except Stop as error:
        raise Stop("Nobody has signed in. Run `az login` (and `azd auth login`).") from error


def check_providers(change: bool) -> None:
    """Every resource provider is registered; registers what is not."""
    states = {p["namespace"]: p["registrationState"] for p in az("provider", "list")}
    missing = [p for p in PROVIDERS if states.get(p) != "Registered"]
    if missing and not change:
        raise Stop(f"Not registered: {', '.join(missing)}. Run `az provider register --namespace NAME` for each.")
    for provider in missing:
        say(f"registering {provider} (minutes)")
        az("provider", "register", "--namespace", provider, "--wait")


def check_region(subscription: str, region: str, gpu: str) -> None:
    """The region offers Flex Consumption, and the GPU where the profile wants one, with quota left."""
    flex = {place["name"].lower().replace(" ", "") for place in az("functionapp", "list-flexconsumption-locations")}
    if region not in flex:
        raise Stop(f"{region} has no Functions Flex Consumption. Choose one of: {', '.join(sorted(flex))}.")
    if not gpu:
        return
    base = f"https://management.azure.com/subscriptions/{subscription}/providers/Microsoft.App/locations/{region}"
    offered = rest("get", f"{base}/availableManagedEnvironmentsWorkloadProfileTypes?api-version=2025-01-01")
    if WORKLOAD[gpu] not in {profile["name"] for profile in offered["value"]}:
        raise Stop(f"{region} has no {gpu} for Container Apps. Choose another region, or profile student (CPU).")
    usages = rest("get", f"{base}/usages?api-version=2025-01-01")["value"]
    mine = [u for u in usages if gpu.lower() in u["name"]["value"].lower() and "gpu" in u["name"]["value"].lower()]
    if not mine:
        say(f"could not see the quota of {gpu} GPUs in {region}: going on")
    elif all(u["limit"] - u["currentValue"] < 1 for u in mine):
        raise Stop(
            f"No quota for a {gpu} GPU in {region}. Ask for 1 at https://portal.azure.com > Quotas > Container Apps "
            "(a day or two), or use profile student: `azd env set READFIRST_PROFILE student`."
        )


def entra_application(name: str) -> str:
    """The application that readers sign in to: roles, a scope, groups in tokens, no secret. Returns its client id."""
    found = az("ad", "app", "list", "--display-name", name)
    app = found[0] if found else az("ad", "app", "create", "--display-name", name, "--sign-in-audience", "AzureADMyOrg")
    if not found:
        say(f"made the Entra application {name}")
    client_id = str(app["appId"])
    scope = {
        "id": str(uuid.uuid5(SPACE, "scope")),
        "value": "access",
        "type": "User",
        "isEnabled": True,
        "adminConsentDisplayName": "Use Readfirst",
        "adminConsentDescription": "Use Readfirst as the person who signed in.",
    }
    roles = [
        {
            "id": str(uuid.uuid5(SPACE, role)),
            "value": role,
            "displayName": role,
            "description": what,
            "isEnabled": True,
            "allowedMemberTypes": ["User"],
        }
        for role, what in ROLES.items()
    ]
    rest(
        "patch",
        f"https://graph.microsoft.com/v1.0/applications/{app['id']}",
        {
            "identifierUris": [f"api://{client_id}"],
            "groupMembershipClaims": "SecurityGroup",
            "api": {"requestedAccessTokenVersion": 2, "oauth2PermissionScopes": [scope]},
            "appRoles": roles,
        },
    )
    if not az("ad", "sp", "list", "--filter", f"appId eq '{client_id}'"):
        az("ad", "sp", "create", "--id", client_id)
    return client_id


def readers_group(name: str) -> str:
    """A group with whoever deploys in it, so that somebody can sign in at once. Returns READFIRST_ACCESS."""
    found = az("ad", "group", "list", "--display-name", name)
    if not found:
        found = [az("ad", "group", "create", "--display-name", name, "--mail-nickname", name)]
        me = az("ad", "signed-in-user", "show")
        az("ad", "group", "member", "add", "--group", found[0]["id"], "--member-id", me["id"])
        say(f"made the Entra group {name} with you in it")
    return json.dumps([{"group": found[0]["id"], "roles": ["radiologist", "operator"], "clinics": ["*"]}])


def audit_state(group: str, consent: str) -> str:
    """Locked only by consent, as nobody can undo it, and only for an account that was Unlocked before."""
    if consent != "yes":
        say("audit records are not locked; when all is well: `azd env set READFIRST_LOCK_AUDIT yes`, `azd provision`")
        return "Unlocked"
    accounts = az("storage", "account", "list") or []
    here = [a for a in accounts if a["resourceGroup"].lower() == group and a["name"].startswith("rfau")]
    if here:
        return "Locked"
    say("the audit account is made Unlocked; run `azd provision` again to lock it for good")
    return "Unlocked"


def keep(name: str, value: str) -> None:
    """Keeps a value in azd's environment."""
    subprocess.run([program("azd"), "env", "set", name, value], check=True)  # noqa: S603 - azd, found by its name


def say(text: str) -> None:
    """One line for whoever watches."""
    print(f"readfirst: {text}", flush=True)  # noqa: T201 - a command prints


def main(change: bool) -> None:
    """Checks all, then fills azd's environment with what is missing in it."""
    settings = os.environ
    environment = settings.get("AZURE_ENV_NAME", "student")
    check_name(environment)
    check_ranges(settings.get("READFIRST_ALLOWED_RANGES", "[]"))
    profile = settings.get("READFIRST_PROFILE", "student")
    if profile not in GPU_OF:
        raise Stop(f"READFIRST_PROFILE is {profile}; it must be one of {', '.join(GPU_OF)}.")
    account = check_tools()
    check_providers(change)
    check_region(account["id"], settings.get("AZURE_LOCATION", "westeurope"), GPU_OF[profile])
    say("tools, providers, region and quota are as they must be")
    if not change:
        return
    name = f"readfirst-{environment}"
    person = str(account["user"]["name"])
    email = settings.get("READFIRST_ALERT_EMAIL", person)
    if "@" not in email:
        raise Stop("Nobody to tell of alerts. Run `azd env set READFIRST_ALERT_EMAIL you@example.org`.")
    image = settings.get("READFIRST_JOB_IMAGE", JOB_IMAGE)
    for variable, value in fixed_already(account["id"], f"rg-{name}", environment, image).items():
        keep(variable, value)
    keep("READFIRST_ENTRA_CLIENT_ID", entra_application(name))
    if profile == "hospital":
        keep("READFIRST_AUDIT_IMMUTABILITY", audit_state(f"rg-{name}", settings.get("READFIRST_LOCK_AUDIT", "no")))
    if "READFIRST_ACCESS" not in settings:
        try:
            keep("READFIRST_ACCESS", readers_group(f"{name}-readers"))
        except Stop as error:
            say(f"no group of readers made ({error}). Set READFIRST_ACCESS yourself: docs/operator/deploy.md")
    demo = json.dumps([{"id": "demo", "name": "Demo clinic", "radiologist": email}])
    defaults = {
        "READFIRST_ALERT_EMAIL": email,
        "READFIRST_CLINICS": demo,
        "READFIRST_MONTHLY_BUDGET": BUDGET_OF[profile],
        "READFIRST_JOB_IMAGE": image,
    }
    for variable, value in defaults.items():
        if variable not in settings:
            keep(variable, value)


if __name__ == "__main__":
    try:
        main(change="--check" not in sys.argv)
    except Stop as stop:
        sys.exit(f"readfirst: {stop}")
