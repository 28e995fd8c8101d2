"""Rights follow the code: an app that touches a store has a role on it, and no role is left that nothing needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import pytest

import function_app
from bicep import generate
from bicep.generate import Grant, Resource
from readfirst.domain import resource_names
from tests.cloud import reach
from tests.cloud.conftest import of_type

STORAGE = "Microsoft.Storage/storageAccounts"
ACCOUNTS = {"rfup": "uploads", "rfst": "studies", "rfva": "vault", "rfau": "audit"}
# What is no container, queue or key by itself: how a name is shaped, which account, which client.
NO_THING = {"CLINIC_ID", "TARS", "LETTERS", "UPLOADS", "STUDIES", "VAULT", "AUDIT"}
NO_THING |= {f"{client}()" for client in ("container", "queue", "secrets", "keys", "cryptography")}
CLIENTS = {
    "cosmos_container()": "Cosmos DB database readfirst",
    "container_apps()": "analyse",
    "email()": "mail",
    "DONE": "the tag on uploads account, container originals",
    "inbox": "uploads account, container clinic-*",
    "results": "uploads account, container results-*",
    "ROOT_SECRET": "Key Vault",
    "RECEIPT_KEY": "Key Vault",
    "IDENTITY_KEK": "Key Vault, key identity-kek",
    "PSEUDONYM_KEK": "Key Vault, key pseudonym-kek",
}
# blob_service() signs: with the delegation key of the account that holds what is shown or uploaded.
SIGNS = {"api": "studies account", "identity": "uploads account"}


def modules_of(who: str) -> list[str]:
    if who == "job":
        return [name for name in reach.project() if name.startswith("model_container")]
    roots = function_app._MODULES[who]
    return [m for m in reach.project() if m in roots or ("orchestrations" in roots and m.startswith("orchestrations."))]


def needed(who: str, places: dict[str, str]) -> set[str]:
    """The things of the access matrix that the code of an app mentions. An unknown mention fails here."""
    things = set()
    for mention in reach.touched(modules_of(who)) - NO_THING:
        if mention == "blob_service()":
            things.add(SIGNS[who])
        elif mention == "audit":  # the api also shows the others' chains
            things |= {
                f"audit account, container audit-{a}"
                for a in (("intake", "api", "identity") if who == "api" else (who,))
            }
        elif mention == "WAKING_QUEUES":  # whoever counts what is parked
            things |= {f"length of studies account, queue {q}-poison" for q in resource_names.WAKING_QUEUES}
        elif mention in CLIENTS:
            things.add(CLIENTS[mention])
        else:
            things.add(places[getattr(resource_names, mention)])
    return things


def places(resources: Iterable[Resource]) -> dict[str, str]:
    """Name of a container or queue -> what the matrix calls it."""
    found = {}
    for r in resources:
        kind = r["type"].rsplit("/", 1)[-1]
        if r["type"].startswith(STORAGE) and kind in ("containers", "queues"):
            account = ACCOUNTS.get(r["id"].split("/storageAccounts/")[1][:4])
            if account:
                found[r["name"].rsplit("/", 1)[-1]] = f"{account} account, {kind[:-1]} {r['name'].rsplit('/', 1)[-1]}"
    return found


def held(granted: list[Grant], who: str) -> set[str]:
    """What an identity has a role on, but for what the platform needs: host, telemetry, image, parked messages."""
    of_the_platform = re.compile(r"host of|insights$|registry$|.*-poison$")
    apart = {"Readfirst tagger": "the tag on", "Readfirst queue counter": "length of"}
    return {
        f"{apart[g.role]} {g.on}" if g.role in apart else re.sub(r"(container (?:clinic|results)-).*", r"\1*", g.on)
        for g in granted
        if g.who == who and (g.role in apart or not of_the_platform.match(g.on))
    }


@pytest.mark.parametrize("who", ["intake", "api", "identity", "job"])
def test_what_the_code_touches_is_what_its_identity_has_a_role_on(
    who: str, evaluated: Callable[..., list[Resource]]
) -> None:
    resources = evaluated("student")
    needs, has = needed(who, places(resources)), held(generate.grants(resources), who)
    assert needs - has == set(), f"the code of {who} touches what its identity has no role on"
    assert has - needs == set(), f"{who} has a role that no code of it needs"


def test_every_container_and_queue_that_is_made_is_touched_by_some_code(resources: list[Resource]) -> None:
    everyone = [reach.touched(modules_of(who)) - NO_THING for who in ("intake", "api", "identity", "job")]
    named = {str(getattr(resource_names, mention, "")) for mentions in everyone for mention in mentions}
    made = {name for name in places(resources) if not re.match(r"clinic-|results-|audit-|.*-poison$", name)}
    assert made - named == {resource_names.UNDELIVERED}, "Event Grid alone writes undelivered events"


def test_the_reader_of_the_source_sees_through_aliases_local_imports_and_classes() -> None:
    """`orchestrations.deidentify` reaches the vault by a class, an alias and an import inside a function."""
    assert "IDENTITIES" in reach.touched(["orchestrations.deidentify"])
    assert "IDENTITIES" not in reach.touched(["function_app.http.studies"])
    assert "email()" in reach.touched(["orchestrations.alert"])
    assert reach.touched(["function_app.triggers.rotate_identity"]) >= {"IDENTITY_KEK", "IDENTITIES", "audit"}


def test_no_app_has_a_role_on_a_whole_account_that_holds_identifiers_but_to_sign(resources: list[Resource]) -> None:
    granted = generate.grants(resources)
    for account in ("uploads account", "vault account", "audit account"):
        assert {(g.who.split(" ")[0], g.role) for g in granted if g.on == account} <= {
            ("identity", "Storage Blob Delegator"),
            ("operators", "Storage Blob Delegator"),
        }
    assert of_type(resources, STORAGE)
