"""`readfirst doctor --azure GROUP`: looks at a live deployment. It reads, and changes nothing; only `--canary` writes.

Who asks has signed in with `az login` and has Reader on the resource group. App settings ask for more (Website
Contributor): without it they are not looked at. A canary asks for what signs a clinic's addresses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any, Literal

from readfirst.adapters.settings import App
from readfirst.cli.doctor import canary as doctor_canary
from readfirst.cli.doctor import settings as doctor_settings
from readfirst.cli.doctor import tokens
from readfirst.cli.doctor.findings import Seen

_ARM = "https://management.azure.com"
_COSMOS = "Microsoft.DocumentDB/databaseAccounts"
_COSMOS_VERSION = "2025-04-15"
_SERVED: tuple[App, ...] = ("intake", "api", "identity")
_APPS = (*_SERVED, "job")
_ACCOUNTS = {
    "rfup": "uploads",
    "rfst": "studies",
    "rfva": "vault",
    "rfau": "audit",
    "rfhi": "host of intake",
    "rfha": "host of api",
    "rfhd": "host of identity",
    "rfkv": "Key Vault",
    "rfcr": "registry",
}
Right = tuple[str, str, str]  # who, on what, role


def thing(scope: str, environment: str) -> str:
    """A role assignment's scope in the words of the architecture."""
    parts = scope.split("/")
    kind = re.search(r"/(containers|queues|keys|secrets)/([^/]+)$", scope)
    at = parts.index("providers") + 3 if "providers" in parts else len(parts) - 1
    owner = _ACCOUNTS.get(parts[at][:4], parts[at].removeprefix(f"readfirst-{environment}-"))
    owner = re.sub(r"^mail-[a-z0-9]{13}$", "mail", owner)  # its name is unique in all of Azure
    if owner in _ACCOUNTS.values() and owner not in ("Key Vault", "registry"):
        owner += " account"
    return f"{owner}, {kind[1][:-1]} {kind[2]}" if kind else owner


def expected(kind: Literal["every", "some"] = "every") -> set[Right]:
    """The rights of apps and jobs in every deployment, or those that some profiles add (access_matrix.json)."""
    rows = json.loads((files(__package__) / "access_matrix.json").read_text())[kind]
    return {any_clinic((who, on, role)) for who, on, role in rows if who in _APPS}


def compare(live: set[Right], wanted: set[Right]) -> list[Seen]:
    """What is missing and what nobody meant to give in any profile."""
    found = {any_clinic(right) for right in live if right[0] in _APPS} - expected("some")
    lines = [
        Seen(f"{who}: {role}", "missing", f"not granted on {on}", "deploy again; roles take up to ten minutes")
        for who, on, role in sorted(wanted - found)
    ]
    lines += [
        Seen(f"{who}: {role}", "missing", f"nobody meant to grant it on {on}", "az role assignment delete")
        for who, on, role in sorted(found - wanted)
    ]
    return lines or [Seen("rights of apps and job", "ok", f"{len(found)} as in docs/operator/access-matrix.md")]


def check(subscription: str, group: str, canary: str = "", arm: str = _ARM) -> Iterator[Seen]:
    """Every check of a deployment; `canary` names the clinic that an invented study is sent as."""
    from azure.core.exceptions import ClientAuthenticationError, HttpResponseError

    try:
        yield from _checks(subscription, group, canary, arm)
    except ClientAuthenticationError:
        yield Seen("sign-in", "missing", "Azure knows nobody here", "az login")
    except HttpResponseError as error:
        remedy = "the right names of subscription, group and clinic, and the rights that this command's guide names?"
        yield Seen("Azure", "missing", f"answered {error.status_code} {error.reason}", remedy)


def _checks(subscription: str, group: str, canary: str, arm: str) -> Iterator[Seen]:
    credential = _credential()
    azure = _Azure(f"{arm}/subscriptions/{subscription}/resourceGroups/{group}/providers", credential, arm)
    people = azure.list("Microsoft.ManagedIdentity/userAssignedIdentities", "2024-11-30")
    prefix = next((p["name"].removesuffix("-intake") for p in people if p["name"].endswith("-intake")), None)
    if prefix is None:
        yield Seen("deployment", "missing", f"{group} has no identity of intake", "azd up")
        return
    identities = {str(p["name"]).removeprefix(f"{prefix}-"): p["properties"] for p in people}
    yield from _rights(azure, identities, prefix.removeprefix("readfirst-"))
    accounts = azure.list("Microsoft.Storage/storageAccounts", "2025-01-01")
    yield from _keys_off(azure, accounts)
    yield from _apps(azure, identities, accounts)
    yield from _parked(azure, accounts)
    if canary:
        from readfirst.adapters.uploads.clinic_urls import clinic_urls_of

        uploads = next(a for a in accounts if a["name"].startswith("rfup"))["properties"]["primaryEndpoints"]["blob"]
        urls = clinic_urls_of(uploads, canary, doctor_canary.LIFETIME, credential)
        yield from doctor_canary.fly(urls.inbox, urls.results)


def _rights(azure: _Azure, identities: dict[str, Any], environment: str) -> Iterator[Seen]:
    """Roles on resources, and Cosmos DB's own, against the access matrix."""
    who = {properties["principalId"]: name for name, properties in identities.items()}
    roles = {r["id"].rsplit("/", 1)[1]: r for r in azure.list("Microsoft.Authorization/roleDefinitions", "2022-04-01")}
    live = {
        (
            who.get(a["properties"]["principalId"], "somebody else"),
            thing(a["properties"]["scope"], environment),
            _role_name(roles, a["properties"]["roleDefinitionId"]),
        )
        for a in azure.list("Microsoft.Authorization/roleAssignments", "2022-04-01")
    }
    for account in azure.list(_COSMOS, _COSMOS_VERSION):
        kinds = (f"{_COSMOS}/{account['name']}/{kind}" for kind in ("sqlRoleDefinitions", "sqlRoleAssignments"))
        definitions, assignments = (azure.list(kind, _COSMOS_VERSION) for kind in kinds)
        own = {d["id"].rsplit("/", 1)[1]: d for d in definitions}
        live |= {
            (
                who.get(a["properties"]["principalId"], "somebody else"),
                f"Cosmos DB database {a['properties']['scope'].rsplit('/', 1)[1]}",
                _role_name(own, a["properties"]["roleDefinitionId"]),
            )
            for a in assignments
        }
    yield from compare(live, expected())


def _keys_off(azure: _Azure, accounts: list[Any]) -> Iterator[Seen]:
    for account in accounts:
        off = account["properties"].get("allowSharedKeyAccess") is False
        remedy = "" if off else "az storage account update --allow-shared-key-access false"
        yield Seen(f"shared key of {account['name']}", "ok" if off else "missing", "off" if off else "ON", remedy)
    for account in azure.list(_COSMOS, _COSMOS_VERSION):
        off = account["properties"].get("disableLocalAuth") is True
        remedy = "" if off else "azd provision"
        yield Seen(f"keys of {account['name']}", "ok" if off else "missing", "off" if off else "ON", remedy)


def _parked(azure: _Azure, accounts: list[Any]) -> Iterator[Seen]:
    """Messages that failed for good: Resource Manager counts them, so nobody has to be allowed to read them."""
    waiting: dict[str, int] = {}
    for account in accounts:
        kind = f"Microsoft.Storage/storageAccounts/{account['name']}/queueServices/default/queues"
        parked = [q["name"] for q in azure.list(kind, "2025-01-01") if q["name"].endswith("-poison")]
        for queue in parked:
            count = azure.one(f"{kind}/{queue}", "2025-01-01")["properties"].get("approximateMessageCount", 0)
            waiting |= {queue.removesuffix("-poison"): count} if count else {}
    for queue, count in waiting.items():
        yield Seen(f"messages of {queue}", "missing", f"{count} parked", "runbook, poison messages")
    if not waiting:
        yield Seen("parked messages", "ok", "none")


def _apps(azure: _Azure, identities: dict[str, Any], accounts: list[Any]) -> Iterator[Seen]:
    """Settings of each app and of the job; then what a stranger meets at each app."""
    stores = {
        str(a["properties"]["primaryEndpoints"]["blob"]).rstrip("/"): f"{_ACCOUNTS.get(a['name'][:4])} account"
        for a in accounts
    }
    sites = {(s.get("tags") or {}).get("azd-service-name"): s for s in azure.list("Microsoft.Web/sites", "2024-11-01")}
    live: dict[str, dict[str, str]] = {}
    for app in _SERVED:
        if app not in sites:
            yield Seen(f"app {app}", "missing", "is not there", "azd provision")
            continue
        settings = azure.settings(sites[app]["name"])
        if settings is None:
            yield Seen(f"settings of {app}", "optional", "not looked at", "needs the role Website Contributor")
        else:
            live[app] = settings
            yield from doctor_settings.compare(app, settings, identities[app]["clientId"], stores)
        yield from _strangers(app, f"https://{sites[app]['properties']['defaultHostName']}", settings or {})
    yield from doctor_settings.same_clinics(live)
    for job in azure.list("Microsoft.App/jobs", "2025-07-01"):
        environment = job["properties"]["template"]["containers"][0].get("env", [])
        values = {e["name"]: e.get("value", "") for e in environment}
        yield from doctor_settings.compare("job", values, identities["job"]["clientId"], stores)


def _strangers(app: App, address: str, settings: dict[str, str]) -> Iterator[Seen]:
    if app != "intake":
        issuer, audience = settings.get("OIDC_ISSUER", ""), settings.get("OIDC_AUDIENCE", "")
        yield from tokens.knock(app, address, issuer, audience)
    else:
        yield tokens.closed(address)


def any_clinic(right: Right) -> Right:
    """A right on one clinic's container as a right on every clinic's."""
    who, on, role = right
    return who, re.sub(r"(container (?:clinic|results)-)[a-z0-9-]+$", r"\1*", on), role


def _role_name(roles: dict[str, Any], definition: str) -> str:
    found = roles.get(definition.rsplit("/", 1)[1])
    name = found["properties"]["roleName"] if found else definition
    return re.sub(r" \([^)]*\)$", "", str(name)) if str(name).startswith("Readfirst ") else str(name)


def _credential() -> Any:
    """Whoever signed in with `az` or `azd`."""
    from azure.identity import AzureCliCredential, AzureDeveloperCliCredential, ChainedTokenCredential

    return ChainedTokenCredential(AzureCliCredential(), AzureDeveloperCliCredential())


class _Azure:
    """Resource Manager's lists, page by page."""

    def __init__(self, base: str, credential: Any, arm: str) -> None:
        from azure.core import PipelineClient
        from azure.core.pipeline.policies import HeadersPolicy, RetryPolicy

        token = credential.get_token(f"{arm}/.default").token
        policies = [HeadersPolicy({"Authorization": f"Bearer {token}"}), RetryPolicy()]
        self._client: Any = PipelineClient(base, policies=policies)
        self._base = base

    def list(self, kind: str, version: str) -> list[Any]:
        """Everything of a kind in the group."""
        url: str | None = f"{self._base}/{kind}?api-version={version}"
        found: list[Any] = []
        while url:
            page = self._send("GET", url)
            found += page["value"]
            url = page.get("nextLink")
        return found

    def one(self, path: str, version: str) -> Any:
        """One resource of the group."""
        return self._send("GET", f"{self._base}/{path}?api-version={version}")

    def settings(self, site: str) -> dict[str, str] | None:
        """The app settings of a site; None where who asks may not list them."""
        from azure.core.exceptions import HttpResponseError

        kind = f"{self._base}/Microsoft.Web/sites/{site}/config/appsettings/list"
        try:
            found: dict[str, str] = self._send("POST", f"{kind}?api-version=2024-11-01")["properties"]
            return found
        except HttpResponseError as error:
            if error.status_code == 403:
                return None
            raise

    def _send(self, method: str, url: str) -> Any:
        from azure.core.rest import HttpRequest

        answer = self._client.send_request(HttpRequest(method, url))
        answer.raise_for_status()
        return answer.json()
