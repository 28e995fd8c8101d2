"""`readfirst doctor --azure GROUP`: looks at a live deployment. It reads, and changes nothing.

Who asks needs Reader on the resource group and the sign-in of `az login`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

_ARM = "https://management.azure.com"
_APPS = ("intake", "api", "identity", "job")
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
# Signed by nobody: header and claims of a token that names a made-up issuer.
FORGED = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2V4YW1wbGUuaW52YWxpZCIsInN1YiI6ImZvcmdlZCIsImV4cCI6NDEwMjQ0NDgwMH0."
Right = tuple[str, str, str]  # who, on what, role


@dataclass(frozen=True)
class Seen:
    """One thing of the deployment that was looked at."""

    what: str
    verdict: Literal["ok", "missing"]
    seen: str
    remedy: str = ""


def thing(scope: str, environment: str) -> str:
    """A role assignment's scope in the words of the architecture."""
    parts = scope.split("/")
    kind = re.search(r"/(containers|queues|keys|secrets)/([^/]+)$", scope)
    at = parts.index("providers") + 3 if "providers" in parts else len(parts) - 1
    owner = _ACCOUNTS.get(parts[at][:4], parts[at].removeprefix(f"readfirst-{environment}-"))
    if owner in _ACCOUNTS.values() and owner not in ("Key Vault", "registry"):
        owner += " account"
    return f"{owner}, {kind[1][:-1]} {kind[2]}" if kind else owner


def expected() -> set[Right]:
    """The rights that the apps and the job shall have (access_matrix.json, from the evaluated deployment)."""
    rows = json.loads((files(__package__) / "access_matrix.json").read_text())
    return {_any_clinic((who, on, role)) for who, on, role in rows if who in _APPS and not on.startswith("Cosmos")}


def compare(live: set[Right], wanted: set[Right]) -> list[Seen]:
    """What is missing and what nobody meant to give. The registry is the profile's affair."""
    found = {_any_clinic(right) for right in live if right[0] in _APPS and right[1] != "registry"}
    lines = [
        Seen(f"{who}: {role}", "missing", f"not granted on {on}", "deploy again; roles take up to ten minutes")
        for who, on, role in sorted(wanted - found)
    ]
    lines += [
        Seen(f"{who}: {role}", "missing", f"nobody meant to grant it on {on}", "az role assignment delete")
        for who, on, role in sorted(found - wanted)
    ]
    return lines or [Seen("rights of apps and job", "ok", f"{len(found)} as in docs/operator/access-matrix.md")]


def forged(address: str) -> Seen:
    """A forged token must get 401 at an app."""
    request = Request(f"{address}/api/me", headers={"Authorization": f"Bearer {FORGED}"})  # noqa: S310 - an https address of the deployment
    try:
        with urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
            status = int(answer.status)
    except HTTPError as error:
        status = error.code
    except URLError as error:
        return Seen(f"forged token at {address}", "missing", f"no answer: {error.reason}", "is the app deployed?")
    good = status == 401
    remedy = "" if good else "stop the app: it must refuse what Entra did not sign"
    return Seen(f"forged token at {address}", "ok" if good else "missing", f"answered {status}", remedy)


def check(subscription: str, group: str, arm: str = _ARM) -> Iterator[Seen]:
    """Every check of a deployment."""
    azure = _Azure(f"{arm}/subscriptions/{subscription}/resourceGroups/{group}/providers", _token(arm))
    people = azure.list("Microsoft.ManagedIdentity/userAssignedIdentities", "2024-11-30")
    names = [str(p["name"]) for p in people]
    prefix = next((n.removesuffix("-intake") for n in names if n.endswith("-intake")), None)
    if prefix is None:
        yield Seen("deployment", "missing", f"{group} has no identity of intake", "azd up")
        return
    who = {p["properties"]["principalId"]: str(p["name"]).removeprefix(f"{prefix}-") for p in people}
    roles = {r["id"].rsplit("/", 1)[1]: r for r in azure.list("Microsoft.Authorization/roleDefinitions", "2022-04-01")}
    live = {
        (
            who.get(a["properties"]["principalId"], "somebody else"),
            thing(a["properties"]["scope"], prefix.removeprefix("readfirst-")),
            _role_name(roles, a["properties"]["roleDefinitionId"]),
        )
        for a in azure.list("Microsoft.Authorization/roleAssignments", "2022-04-01")
    }
    yield from compare(live, expected())
    for account in azure.list("Microsoft.Storage/storageAccounts", "2025-01-01"):
        off = account["properties"].get("allowSharedKeyAccess") is False
        remedy = "" if off else "az storage account update --allow-shared-key-access false"
        yield Seen(f"shared key of {account['name']}", "ok" if off else "missing", "off" if off else "ON", remedy)
    for site in azure.list("Microsoft.Web/sites", "2024-11-01"):
        if (site.get("tags") or {}).get("azd-service-name") in ("api", "identity"):
            yield forged(f"https://{site['properties']['defaultHostName']}")


def _any_clinic(right: Right) -> Right:
    who, on, role = right
    return who, re.sub(r"(container (?:clinic|results)-)[a-z0-9-]+$", r"\1*", on), role


def _role_name(roles: dict[str, Any], definition: str) -> str:
    found = roles.get(definition.rsplit("/", 1)[1])
    name = found["properties"]["roleName"] if found else definition
    return re.sub(r" \([^)]*\)$", "", str(name)) if str(name).startswith("Readfirst ") else str(name)


def _token(arm: str) -> str:
    from azure.identity import AzureCliCredential

    return str(AzureCliCredential().get_token(f"{arm}/.default").token)


class _Azure:
    """Resource Manager's lists, page by page."""

    def __init__(self, base: str, token: str) -> None:
        from azure.core import PipelineClient
        from azure.core.pipeline.policies import HeadersPolicy, RetryPolicy

        policies = [HeadersPolicy({"Authorization": f"Bearer {token}"}), RetryPolicy()]
        self._client: Any = PipelineClient(base, policies=policies)
        self._base = base

    def list(self, kind: str, version: str) -> list[Any]:
        """Everything of a kind in the group."""
        from azure.core.rest import HttpRequest

        url: str | None = f"{self._base}/{kind}?api-version={version}"
        found: list[Any] = []
        while url:
            answer = self._client.send_request(HttpRequest("GET", url))
            answer.raise_for_status()
            page = answer.json()
            found += page["value"]
            url = page.get("nextLink")
        return found
