"""Writes what the cloud's files share with code and guides, from the one place that defines it.

names.json from readfirst.domain.resource_names; the access matrix (for people and for `readfirst doctor --azure`)
from the *evaluated* deployment. Run it after a change: `python bicep/generate.py`. Tests compare.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from readfirst.adapters.studies.study_index import INDEXING
from readfirst.cli.doctor.azure import any_clinic, thing
from readfirst.domain import resource_names
from readfirst.domain.operations import costs

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PROFILES = ("student", "clinic", "hospital")
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
TENANT = "00000000-0000-0000-0000-000000000002"
GROUP = "rg-readfirst"
ROLES = json.loads((HERE / "roles.json").read_text())

Resource = dict[str, Any]


def find_bicep() -> str | None:
    """The Bicep CLI: variable BICEP, the PATH, or beside a shared checkout."""
    beside = ROOT.parent / "shared" / "tools" / "bicep"
    return os.environ.get("BICEP") or shutil.which("bicep") or (str(beside) if beside.exists() else None)


def run_bicep(*arguments: str, cwd: Path = HERE) -> subprocess.CompletedProcess[str]:
    """Runs the CLI; its warnings and errors are on stderr."""
    tool = find_bicep()
    if tool is None:
        raise FileNotFoundError("no Bicep CLI: set BICEP, put it on the PATH, or run `az bicep install`")
    environment = {**os.environ, "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"}
    return subprocess.run([tool, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - the CLI that find_bicep found, our own files


@cache
def snapshot(profile: str, text: str = "") -> list[Resource]:
    """The resources that a parameter file would deploy, with their final properties.

    `text` takes the file's place, to ask "what if".
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "bicep"
        shutil.copytree(HERE, place, ignore=shutil.ignore_patterns("__pycache__", "hooks"))
        file = place / f"{profile}.bicepparam"
        if text:
            file.write_text(text)
        scope = [] if profile in ("azd", "roles") else ["--resource-group", GROUP]
        where = ["--subscription-id", SUBSCRIPTION, "--tenant-id", TENANT, "--location", "westeurope"]
        done = run_bicep("snapshot", file.name, "--mode", "overwrite", *scope, *where, cwd=place)
        if done.returncode or done.stderr.strip():
            raise RuntimeError(f"bicep snapshot {file.name}: {done.stderr}")
        found = json.loads(file.with_suffix(".snapshot.json").read_text())
        if found["diagnostics"]:
            raise RuntimeError(f"bicep snapshot {file.name}: {found['diagnostics']}")
        resources: list[Resource] = found["predictedResources"]
        return resources


@dataclass(frozen=True, order=True)
class Grant:
    """One row of the access matrix: who has which role on what, and why."""

    who: str
    on: str
    role: str
    why: str = ""


def grants(resources: Sequence[Resource]) -> list[Grant]:
    """Every role assignment of an evaluated deployment, in the words of the architecture."""
    environment = _environment(resources)
    role_names = _role_names()
    found = [
        Grant(
            _who(r["properties"]["principalId"], environment),
            thing(r["id"].split("/providers/Microsoft.Authorization/")[0], environment),
            role_names[r["properties"]["roleDefinitionId"].rsplit("/", 1)[1]],
            r["properties"].get("description", ""),
        )
        for r in resources
        if r["type"] == "Microsoft.Authorization/roleAssignments"
    ]
    return sorted(found + _data_plane(resources, environment))


def _data_plane(resources: Sequence[Resource], environment: str) -> list[Grant]:
    """Cosmos DB's own roles: they say neither name nor reason, so both stand here."""
    own = {
        r["name"].split("/")[-1]: r["properties"]["roleName"] for r in resources if "sqlRoleDefinitions" in r["type"]
    }
    built_in = {"00000000-0000-0000-0000-000000000002": "Cosmos DB Built-in Data Contributor"}
    why = {
        "intake": "Writes the index.",
        "api": "Reads the worklist and notes a review's state.",
        "identity": "Finds the clinic of the study that a door is opened for.",
    }
    return [
        Grant(
            (who := _who(r["properties"]["principalId"], environment)),
            "Cosmos DB database " + r["properties"]["scope"].rsplit("/", 1)[1],
            (own | built_in)[r["properties"]["roleDefinitionId"].rsplit("/", 1)[1]],
            why[who],
        )
        for r in resources
        if r["type"].endswith("/sqlRoleAssignments")
    ]


def _environment(resources: Sequence[Resource]) -> str:
    return str(next(r["tags"]["environment"] for r in resources if "environment" in r.get("tags", {})))


@cache
def _role_names() -> dict[str, str]:
    """Role definition id -> name. Our own ids are Bicep's guid(): asked of the CLI, not computed again."""
    built_in = {role["id"]: str(role["name"]) for role in ROLES["builtIn"].values()}
    ours = {
        r["name"]: r["properties"]["roleName"].removesuffix(f" ({GROUP})")
        for r in snapshot("roles", f"using 'roles.bicep'\n\nparam groupName = '{GROUP}'\n")
    }
    return built_in | ours


def _who(principal: str, environment: str) -> str:
    named = re.search(r"/(?:userAssignedIdentities|systemTopics)/([^']+)'", principal)
    if not named:
        return "operators (group)"
    name = named[1].removeprefix(f"readfirst-{environment}-")
    return f"Event Grid ({name})" if "systemTopics" in principal else name


def access_matrix(per_profile: dict[str, list[Grant]]) -> str:
    """docs/operator/access-matrix.md."""
    lines = [
        "# Who may do what",
        "",
        "Generated by `python bicep/generate.py` from the evaluated deployment (`bicep snapshot`); a test compares.",
        "Every row is one role assignment. What is not here, nobody has: shared keys, local sign-in and publishing",
        "passwords are off everywhere.",
        "",
        "## Roles of our own",
        "",
        "| Role | What it may |",
        "|---|---|",
        *(f"| {role['name']} | {role['description']} |" for role in ROLES["custom"].values()),
    ]
    shown: set[Grant] = set()
    for profile in PROFILES:
        rows = [g for g in per_profile[profile] if g not in shown]
        shown |= set(rows)
        title = "Every profile (clinic `demo` stands for each clinic)" if profile == "student" else f"`{profile}` adds"
        lines += ["", f"## {title}", "", "| Identity | On | Role | Why |", "|---|---|---|---|"]
        lines += [f"| {g.who} | {g.on} | {g.role} | {g.why} |" for g in rows]
    return "\n".join(lines) + "\n"


def expected_grants(per_profile: dict[str, list[Grant]]) -> str:
    """readfirst/cli/doctor/access_matrix.json: what doctor --azure expects of every deployment, and what some add."""
    every = {(g.who, g.on, g.role) for g in per_profile["student"]}
    known = {any_clinic(row) for row in every}
    some = {(g.who, g.on, g.role) for grants in per_profile.values() for g in grants}
    rows = {"every": sorted(every), "some": sorted(row for row in some if any_clinic(row) not in known)}
    text = [f'  "{kind}": [\n' + ",\n".join("    " + json.dumps(row) for row in found) for kind, found in rows.items()]
    return "{\n" + "\n  ],\n".join(text) + "\n  ]\n}\n"


def expected_settings(student: Sequence[Resource]) -> str:
    """readfirst/cli/doctor/app_settings.json: names of the settings of each app and of the job, for doctor --azure."""
    found = {
        r["tags"]["azd-service-name"]: [s["name"] for s in r["properties"]["siteConfig"]["appSettings"]]
        for r in student
        if r["type"] == "Microsoft.Web/sites"
    }
    job = next(r for r in student if r["type"] == "Microsoft.App/jobs")["properties"]["template"]["containers"][0]
    found["job"] = [e["name"] for e in job["env"]]
    return json.dumps({who: sorted(names) for who, names in sorted(found.items())}, indent=2) + "\n"


def cost_guide() -> str:
    """docs/operator/cost.md."""
    text = [
        "# What it costs",
        "",
        "Generated by `python -m bicep.generate` from `readfirst/domain/operations/costs.py` and `prices.json`;",
        "`readfirst cost` computes your own case.",
        "",
        "How sure is a figure?",
        "",
        "- *Quantity*: **counted** in the evaluated deployment by a test; **measured** on the local stack by",
        "  `python -m tools.count_operations`; **estimated** until a subscription measures it.",
        "- *Price*: **quoted** where a dated public page says the same; **recalled** where none was found: list prices",
        f"  as publicly known in {costs.as_of()}, entered by hand. None was compared with Azure's own price list",
        "  yet: each names its page, and a filter (`prices.json`) for",
        '  `curl -G https://prices.azure.com/api/retail/prices --data-urlencode "\\$filter=…"`.',
        "",
        "| A month, one clinic | idle: fixed | idle: polling and timers | 1,000 studies | together |",
        "|---|---|---|---|---|",
    ]
    for profile in costs.PROFILES:
        lines = costs.estimate(profile, 1000)
        sums = [costs.total(lines, kind) for kind in ("fixed", "idle", "studies")]
        text.append(f"| `{profile}` | " + " | ".join(f"${amount:,.2f}" for amount in (*sums, sum(sums))) + " |")
    for profile in costs.PROFILES:
        text += [
            "",
            f"## `{profile}`",
            "",
            "| | What | Quantity | US$ | Quantity is | Price is |",
            "|---|---|---|---|---|---|",
        ]
        text += [
            f"| {line.kind} | {line.what} | {_amount(line.quantity)} × {line.per} | {line.usd:,.2f} | {line.basis} "
            f"| {'quoted' if costs.prices()[line.price].seen else 'recalled'} |"
            for line in costs.estimate(profile, 1000)
        ]
    ready = costs.prices()["flex-ready-gbs"].usd * 2 * 2 * 2_628_000 * 3
    text += [
        "",
        "## Zone redundancy",
        "",
        "`zoneRedundant: true` keeps two instances of 2 GB of each of three apps ready: about",
        f"${ready:,.0f} a month, before storage (zone-redundant copies cost a quarter more).",
        "Leave it out unless a zone's outage may not stop you.",
        "",
        "## Prices",
        "",
        "| What | US$ | per | free a month | Azure's page | found again |",
        "|---|---|---|---|---|---|",
    ]
    text += [
        f"| {p.what} | {p.usd:.10g} | {p.per} | {p.free:,g} | [page]({p.source}) | {p.seen or 'no'} |"
        for p in costs.prices().values()
    ]
    return "\n".join(text) + "\n"


def _amount(quantity: float) -> str:
    return f"{quantity:,.0f}" if quantity >= 10 else f"{quantity:.2g}"


def shared_names() -> str:
    """The names of readfirst.domain.resource_names in the shape that main.bicep loads."""
    containers = {
        "originals": resource_names.ORIGINALS,
        "arrivals": resource_names.ARRIVALS,
        "quarantine": resource_names.QUARANTINE,
        "undelivered": resource_names.UNDELIVERED,
        "clean": resource_names.CLEAN,
        "analysis": resource_names.ANALYSIS,
        "reviews": resource_names.REVIEWS,
        "modelChanges": resource_names.MODEL_CHANGES,
        "identities": resource_names.IDENTITIES,
        "doors": resource_names.DOORS,
    }
    queues = {
        "uploadEvents": resource_names.UPLOAD_EVENTS,
        "inferenceRequests": resource_names.INFERENCE_REQUESTS,
        "statInferenceRequests": resource_names.STAT_INFERENCE_REQUESTS,
        "inferenceResults": resource_names.INFERENCE_RESULTS,
        "commands": resource_names.COMMANDS,
        "returns": resource_names.RETURNS,
        "erasures": resource_names.ERASURES,
        "intakeRotation": resource_names.INTAKE_ROTATION,
        "identityRotation": resource_names.IDENTITY_ROTATION,
        "deliveries": resource_names.DELIVERIES,
    }
    shape = {
        "containers": containers,
        "prefixes": {
            "inbox": resource_names.inbox(""),
            "results": resource_names.results(""),
            "audit": resource_names.audit(""),
        },
        "queues": queues,
        "keys": {"identity": resource_names.IDENTITY_KEK, "pseudonym": resource_names.PSEUDONYM_KEK},
        "secrets": {"root": resource_names.ROOT_SECRET, "receiptKey": resource_names.RECEIPT_KEY},
        "done": dict(zip(("tag", "value"), next(iter(resource_names.DONE.items())), strict=True)),
        "cosmos": {
            "database": resource_names.DATABASE,
            "studies": resource_names.STUDIES_CONTAINER,
            "indexing": INDEXING,
        },
    }
    return json.dumps(shape, indent=2) + "\n"


def generated() -> dict[Path, str]:
    """Every generated file and what it should hold."""
    matrix = {profile: grants(snapshot(profile)) for profile in PROFILES}
    return {
        HERE / "names.json": shared_names(),
        ROOT / "docs" / "operator" / "access-matrix.md": access_matrix(matrix),
        ROOT / "docs" / "operator" / "cost.md": cost_guide(),
        ROOT / "readfirst" / "cli" / "doctor" / "access_matrix.json": expected_grants(matrix),
        ROOT / "readfirst" / "cli" / "doctor" / "app_settings.json": expected_settings(snapshot("student")),
    }


if __name__ == "__main__":
    (HERE / "names.json").write_text(shared_names())  # first: the evaluation reads it
    for path, text in generated().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
