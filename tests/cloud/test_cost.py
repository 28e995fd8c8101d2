"""The cost model: counted against the evaluated deployment, and honest about what it knows."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from typer.testing import CliRunner

from bicep import generate
from bicep.generate import Resource
from readfirst.cli import build
from readfirst.domain.operations import costs
from readfirst.domain.operations.costs import Profile, Study, estimate, total
from tests.cloud.conftest import app_settings, of_type

BILLED_BY_THE_MONTH = {
    "Microsoft.Insights/metricAlerts": "metric-alert",
    "Microsoft.Network/privateEndpoints": "private-endpoint",
    "Microsoft.Network/privateDnsZones": "dns-zone",
    "Microsoft.Network/natGateways": "nat-gateway",
    "Microsoft.Network/publicIPAddresses": "public-address",
}


def test_what_is_billed_by_the_month_is_what_the_deployment_has(resources: list[Resource], profile: Profile) -> None:
    found: Counter[str] = Counter(BILLED_BY_THE_MONTH[r["type"]] for r in resources if r["type"] in BILLED_BY_THE_MONTH)
    for rule in [r for r in resources if r["type"] == "Microsoft.Insights/scheduledQueryRules"]:
        found["log-alert-" + rule["properties"]["evaluationFrequency"][2:-1]] += 1
    for registry in [r for r in resources if r["type"] == "Microsoft.ContainerRegistry/registries"]:
        found["registry-" + registry["sku"]["name"].lower()] += 1
    if of_type(resources, "Microsoft.Web/staticSites")[0]["sku"]["name"] == "Standard":
        found["portal-standard"] += 1
    if of_type(resources, "Microsoft.App/managedEnvironments")[0]["properties"].get("vnetConfiguration"):
        found["network-job"] += 1
    assert dict(found) == costs.FIXED[profile]
    assert len(of_type(resources, "Microsoft.KeyVault/vaults/keys")) == costs.KEYS[profile]


def test_what_is_polled_is_what_wakes_an_app(resources: list[Resource], profile: Profile) -> None:
    queues = of_type(resources, "Microsoft.Storage/storageAccounts/queueServices/queues")
    assert sum(q["name"].endswith("-poison") for q in queues) == costs.TRIGGERS
    key = "AzureFunctionsJobHost__extensions__durableTask__storageProvider__partitionCount"
    assert app_settings(resources)["intake"][key] == str(costs.PARTITIONS[profile])


def test_an_idle_student_pays_less_than_three_dollars_a_month() -> None:
    assert 0 < total(estimate("student", 0)) < 3


@pytest.mark.parametrize("profile", costs.PROFILES)
def test_more_and_larger_studies_cost_more_and_free_amounts_are_given_once(profile: Profile) -> None:
    sums = [total(estimate(profile, n)) for n in (0, 10, 1000, 100_000)]
    assert sums == sorted(sums) and len(set(sums)) == 4
    assert total(estimate(profile, 1000, study=Study(files=3000))) > total(estimate(profile, 1000))
    lines = [line for line in estimate(profile, 100_000) if line.price == "flex-executions"]
    billed = sum(line.quantity for line in lines) - 250_000
    assert sum(line.usd for line in lines) == pytest.approx(billed * costs.prices()["flex-executions"].usd)


def test_every_price_has_a_source_a_way_to_check_it_and_is_used() -> None:
    assert 2025 <= int(costs.as_of()) <= 2100
    for price in costs.prices().values():
        assert price.source.startswith(("https://azure.microsoft.com/", "https://learn.microsoft.com/"))
        assert price.filter and price.usd > 0
        assert not price.seen or re.fullmatch(r"https://\S+ \(20\d\d(-\d\d)?\)", price.seen), price.what
    used = {line.price for p in costs.PROFILES for line in estimate(p, 1)} | {"flex-ready-gbs"}
    assert used == costs.prices().keys()


def test_every_line_says_how_its_quantity_is_known() -> None:
    known = {(line.kind, line.price): line.basis for p in costs.PROFILES for line in estimate(p, 1000)}
    assert {basis for (kind, _), basis in known.items() if kind == "fixed"} == {"counted"}
    assert [price for (_, price), basis in known.items() if basis == "measured"] == ["blob-write", "blob-read"]
    guide = generate.cost_guide()
    assert all(f"| {word} |" in guide for word in ("counted", "measured", "estimated", "quoted", "recalled"))


def test_the_command_shows_idle_studies_and_sources() -> None:
    shown = CliRunner().invoke(build(), ["cost", "--studies", "1000", "--profile", "clinic", "--sources"])
    assert shown.exit_code == 0
    month = re.search(r"a month\s+([\d.]+)", shown.output)
    assert month and float(month[1]) == pytest.approx(total(estimate("clinic", 1000)), abs=0.01)
    assert "https://azure.microsoft.com/pricing/" in shown.output
    wrong = CliRunner().invoke(build(), ["cost", "--profile", "palace"])
    assert (wrong.exit_code, "student" in wrong.output) == (2, True)


def test_the_deployment_guide_names_the_idle_costs_of_the_model() -> None:
    row = next(r for r in (generate.ROOT / "docs/operator/deploy.md").read_text().splitlines() if "While idle" in r)
    told = [float(amount) for amount in re.findall(r"\$(\d+)", row)]
    assert told == [pytest.approx(total(estimate(p, 0)), abs=1) for p in costs.PROFILES]


def test_the_guides_table_of_costs_is_what_the_model_says() -> None:
    path = generate.ROOT / "docs" / "operator" / "cost.md"
    assert path.read_text() == generate.cost_guide(), "run `python -m bicep.generate`"
