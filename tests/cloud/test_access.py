"""Least privilege: identity x resource x role of the evaluated deployment against what the architecture says."""

from __future__ import annotations

import inspect

from bicep import generate
from bicep.generate import Grant, Resource
from readfirst.adapters.uploads import clinic_urls
from readfirst.domain import resource_names
from tests.cloud.conftest import of_type

# Right that a role gives over data: what a reviewer wants to know of it.
RIGHTS = {
    "Storage Blob Data Owner": "all",
    "Storage Blob Data Contributor": "write",
    "Storage Blob Data Reader": "read",
    "Storage Blob Delegator": "sign",
    "Storage Queue Data Contributor": "write",
    "Storage Queue Data Reader": "read",
    "Storage Queue Data Message Sender": "send",
    "Readfirst queue counter": "count",
    "Storage Table Data Contributor": "write",
    "Key Vault Reader": "public half",
    "Key Vault Crypto Service Encryption User": "wrap and unwrap",
    "Readfirst index updater": "read and replace",
    "Cosmos DB Built-in Data Contributor": "write",
    "Monitoring Metrics Publisher": "send",
    "Communication and Email Service Owner": "send",
    "AcrPull": "pull",
    "Readfirst sealer": "add",
    "Readfirst appender": "append",
    "Readfirst inbox signer": "add and write",
    "Readfirst tagger": "tag",
    "Readfirst eraser": "read and erase",
    "Readfirst job starter": "start",
    "Readfirst secret rotator": "read and write secrets",
}


def rights(granted: list[Grant], who: str) -> dict[str, set[str]]:
    """What one identity may do, per thing."""
    found: dict[str, set[str]] = {}
    for grant in granted:
        if grant.who == who:
            found.setdefault(grant.on, set()).add(RIGHTS[grant.role])
    assert found, f"{who} has no right at all"
    return found


def test_api_reads_studies_appends_reviews_and_commands_and_nothing_of_uploads_or_vault(granted: list[Grant]) -> None:
    assert rights(granted, "api") == {
        "studies account, container clean": {"read"},
        "studies account, container analysis": {"read"},
        "studies account, container reviews": {"append"},
        "studies account, queue commands": {"send"},
        **{f"studies account, queue {queue}-poison": {"count"} for queue in resource_names.WAKING_QUEUES},
        "studies account": {"sign"},
        "audit account, container audit-api": {"append"},
        "audit account, container audit-intake": {"read"},
        "audit account, container audit-identity": {"read"},
        "Cosmos DB database readfirst": {"read and replace"},
        "host of api account": {"all"},
        "insights": {"send"},
    }


def test_the_job_reads_clean_writes_analysis_and_answers_and_nothing_else(granted: list[Grant], profile: str) -> None:
    registry = {} if profile == "student" else {"registry": {"pull"}}
    assert rights(granted, "job") == registry | {
        "studies account, container clean": {"read"},
        "studies account, container analysis": {"write"},
        "studies account, container model-changes": {"read"},
        "studies account, queue inference-requests": {"write"},
        "studies account, queue inference-requests-stat": {"write"},
        "studies account, queue inference-results": {"send"},
    }


def test_identity_reads_vault_analysis_and_quarantine_and_writes_only_results(granted: list[Grant]) -> None:
    found = rights(granted, "identity")
    results = {on for on in found if on.startswith("uploads account, container results-")}
    assert results
    assert all(found.pop(on) == {"write"} for on in results)
    inboxes = {on for on in found if on.startswith("uploads account, container clinic-")}
    assert all(found.pop(on) == {"add and write"} for on in inboxes)
    assert found == {
        "vault account, container identities": {"write"},
        "vault account, container doors": {"append"},
        "uploads account, container quarantine": {"read"},
        "uploads account": {"sign"},
        "Cosmos DB database readfirst": {"read and replace"},
        "studies account, container analysis": {"read"},
        "studies account, container reviews": {"read and erase"},
        "studies account, container model-changes": {"append"},
        "studies account, queue commands": {"send"},
        "studies account, queue erasures": {"write"},
        "studies account, queue erasures-poison": {"send"},
        "studies account, queue returns": {"write"},
        "studies account, queue returns-poison": {"send"},
        "studies account, queue rotate-identity": {"write"},
        "studies account, queue rotate-identity-poison": {"send"},
        "audit account, container audit-identity": {"append"},
        "Key Vault, key identity-kek": {"wrap and unwrap"},
        "host of identity account": {"all"},
        "insights": {"send"},
    }


def test_what_runs_is_changed_by_identity_alone_which_can_add_and_not_replace(granted: list[Grant]) -> None:
    on = "studies account, container model-changes"
    assert {g.who: RIGHTS[g.role] for g in granted if g.on == on} == {
        "identity": "append", "intake": "read", "job": "read"
    }  # fmt: skip
    appends = {a.rsplit("/blobs/", 1)[1] for a in generate.ROLES["custom"]["appender"]["dataActions"]}
    assert appends == {"add/action", "read"}


def test_intake_can_add_to_the_vault_and_cannot_read_it(granted: list[Grant]) -> None:
    found = rights(granted, "intake")
    assert {on: r for on, r in found.items() if on.startswith("vault")} == {
        "vault account, container identities": {"add"}
    }
    assert found["Key Vault, key identity-kek"] == {"public half"}
    sealer = generate.ROLES["custom"]["sealer"]
    assert (sealer["actions"], [a.rsplit("/", 2)[-2:] for a in sealer["dataActions"]]) == ([], [["add", "action"]])


def test_only_intake_unwraps_the_root_secret_and_starts_the_job(granted: list[Grant]) -> None:
    assert {g.who for g in granted if g.on == "Key Vault, key pseudonym-kek"} == {"intake"}
    assert {g.who for g in granted if g.role == "Readfirst job starter"} == {"intake"}
    assert {g.who for g in granted if g.on == "Key Vault"} == {"intake"}


def test_who_can_start_the_job_has_every_right_that_the_job_has(granted: list[Grant]) -> None:
    """jobs/start can replace the image: the job's identity must be worth nothing to its starter."""
    strength = {"pull": 0, "send": 1, "read": 1, "write": 2}
    starter, job = rights(granted, "intake"), rights(granted, "job")
    for on, has in job.items():
        if on not in (
            "registry",
            "studies account, queue inference-requests",
            "studies account, queue inference-requests-stat",
            "studies account, queue inference-results",
        ):
            assert max(strength[r] for r in starter[on]) >= max(strength[r] for r in has), on


def test_each_app_appends_to_its_own_audit_container_only(granted: list[Grant]) -> None:
    appends = {g for g in granted if g.on.startswith("audit account") and g.role != "Storage Blob Data Reader"}
    assert {(g.who, g.on, g.role) for g in appends} == {
        (app, f"audit account, container audit-{app}", "Readfirst appender") for app in ("intake", "api", "identity")
    }


def test_nobody_but_its_own_app_has_a_role_on_a_host_account(granted: list[Grant]) -> None:
    for app in ("intake", "api", "identity"):
        assert {g.who for g in granted if g.on == f"host of {app} account"} == {app}


def test_operators_sign_for_clinics_and_open_nothing_else(granted: list[Grant], profile: str) -> None:
    operators = [g for g in granted if g.who == "operators (group)"]
    assert bool(operators) == (profile == "hospital")  # the others name no group
    assert all(g.on.startswith("uploads account") for g in operators)
    assert not any("originals" in g.on or "quarantine" in g.on for g in operators)


def test_no_role_is_granted_on_the_whole_group_and_every_one_says_why(resources: list[Resource]) -> None:
    for assignment in of_type(resources, "Microsoft.Authorization/roleAssignments"):
        scope = assignment["id"].split("/providers/Microsoft.Authorization/")[0]
        assert "/providers/" in scope, "a role on the whole resource group"
        assert assignment["properties"]["description"]
        if "userAssignedIdentities" in assignment["properties"]["principalId"]:
            assert assignment["properties"]["principalType"] == "ServicePrincipal"


def test_a_suspended_clinic_loses_its_signer(evaluated) -> None:  # type: ignore[no-untyped-def]
    text = (generate.HERE / "hospital.bicepparam").read_text()
    before = generate.grants(evaluated("hospital"))
    after = generate.grants(evaluated("hospital", text + "\nparam suspendedClinics = ['emergency']\n"))
    lost = {(g.who, g.on) for g in set(before) - set(after)}
    assert lost == {
        ("identity", "uploads account, container clinic-emergency"),
        ("operators (group)", "uploads account, container clinic-emergency"),
        ("operators (group)", "uploads account, container results-emergency"),
    }


def test_the_deployer_is_not_owner_and_can_assign_only_the_roles_of_our_list(evaluated) -> None:  # type: ignore[no-untyped-def]
    found = {
        a["properties"]["roleDefinitionId"].rsplit("/", 1)[1]: a["properties"]
        for a in of_type(evaluated("deployer"), "Microsoft.Authorization/roleAssignments")
        if "readfirst-deployer" in a["properties"]["principalId"]
    }
    owner, contributor = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "b24988ac-6180-42a0-ab88-20f7382dd24c"
    administrator = "f58310d9-a9f6-439a-9e8d-f62e7b41a168"
    assert owner not in found and contributor in found and len(found) == 3
    condition = found[administrator]["condition"]
    assigned = {
        a["properties"]["roleDefinitionId"].rsplit("/", 1)[1]
        for profile in generate.PROFILES
        for a in of_type(evaluated(profile), "Microsoft.Authorization/roleAssignments")
    }
    assert all(role in condition for role in assigned), "the deployer could not deploy this"
    assert not any(role in condition for role in (owner, contributor, administrator))
    assert "User" not in condition.split("StringEqualsIgnoreCase")[1]
    assert condition.count("ForAnyOfAnyValues:GuidEquals") == 2  # for granting and for taking away


def test_a_pull_request_can_ask_what_would_change_and_change_or_read_nothing_else(evaluated) -> None:  # type: ignore[no-untyped-def]
    resources = evaluated("deployer")
    (only,) = [
        a["properties"]["roleDefinitionId"].rsplit("/", 1)[1]
        for a in of_type(resources, "Microsoft.Authorization/roleAssignments")
        if "readfirst-previewer" in a["properties"]["principalId"]
    ]
    assert generate._role_names()[only] == "Readfirst previewer"
    role = generate.ROLES["custom"]["previewer"]
    assert role["dataActions"] == []
    verbs = {a for a in role["actions"] if not a.endswith("/read")}
    assert verbs == {f"Microsoft.Resources/deployments/{verb}/action" for verb in ("whatIf", "validate")}
    subjects = {
        c["properties"]["subject"].rsplit(":", 1)[1]
        for c in of_type(resources, "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials")
    }
    assert subjects == {"production", "preview"}


def test_whoever_signs_an_address_may_do_what_the_address_allows(granted: list[Grant]) -> None:
    """A user-delegation signature never exceeds its signer: blocks of an upload need `write`."""
    signed = inspect.getsource(clinic_urls.upload_only)
    assert "BlobSasPermissions(create=True, write=True)" in signed and "ContainerSasPermissions(create=True)" in signed
    (role,) = {g.role for g in granted if g.who == "identity" and "container clinic-" in g.on}
    verbs = {
        a.split("/blobs/")[1] for r in generate.ROLES["custom"].values() if r["name"] == role for a in r["dataActions"]
    }
    assert verbs == {"add/action", "write"}, "and no more: it can neither read, list nor delete"
