"""Checkov's rules on the *evaluated* deployments: every failed check is suppressed here with its reason, or fails.

Checkov has its own environment (`make policy`), because its dependencies clash with ours.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bicep import generate
from bicep.generate import Resource

CHECKOV = Path(os.environ.get("CHECKOV", generate.ROOT / ".venv-checkov" / "bin" / "checkov"))
pytestmark = pytest.mark.skipif(not CHECKOV.exists(), reason="no checkov: `make policy` installs it and runs this")

PUBLIC = "public addresses behind Entra tokens; only the hospital profile pays for private endpoints"
# Check -> (why it does not apply, profiles in which it may fail).
SUPPRESSED = {
    "CKV_AZURE_17": ("callers bear Entra tokens; browsers have no client certificates", "student clinic hospital"),
    "CKV_AZURE_35": (PUBLIC, "student clinic"),
    "CKV_AZURE_36": ("private endpoints alone reach these accounts: no trusted service needs them", "hospital"),
    "CKV_AZURE_59": (
        "hospital: uploads and studies answer allowed ranges and Event Grid only (default deny); else: " + PUBLIC,
        "student clinic hospital",
    ),
    "CKV_AZURE_99": ("the rule wants address rules; public access is off in hospital", "student clinic hospital"),
    "CKV_AZURE_101": (PUBLIC, "student clinic"),
    "CKV_AZURE_109": (PUBLIC, "student clinic"),
    "CKV_AZURE_112": (
        "software keys that never leave the vault; HSM keys cost 5 dollars each",
        "student clinic hospital",
    ),
    "CKV_AZURE_163": ("the workflow scans the image before it publishes it", "clinic"),
    "CKV_AZURE_166": ("quarantine is a preview; the workflow scans before it publishes", "clinic hospital"),
    "CKV_AZURE_139": (PUBLIC, "clinic"),
    "CKV_AZURE_189": (PUBLIC, "student clinic"),
    "CKV_AZURE_206": ("copies in another region are the hospital's decision (restore.md)", "student clinic hospital"),
    "CKV_AZURE_212": ("Flex Consumption scales from zero: that is its point", "student clinic hospital"),
    "CKV_AZURE_213": ("Flex Consumption takes no health check path", "student clinic hospital"),
    "CKV_AZURE_222": (PUBLIC, "student clinic"),
    "CKV_AZURE_225": ("zoneRedundant is a parameter with its price (cost.md)", "student clinic hospital"),
    "CKV_AZURE_233": ("zoneRedundant is a parameter with its price (cost.md)", "clinic hospital"),
}


@pytest.fixture(scope="session")
def failed(profile: str, resources: list[Resource], tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The ids of the checks that fail on the evaluated deployment, as one ARM template."""
    template = tmp_path_factory.mktemp("arm") / f"{profile}.json"
    schema = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
    template.write_text(json.dumps({"$schema": schema, "contentVersion": "1.0.0.0", "resources": resources}))
    command = [str(CHECKOV), "--framework", "arm", "--skip-download", "--compact", "--output", "json", "--file"]
    done = subprocess.run([*command, str(template)], capture_output=True, text=True, check=False)
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["summary"]["parsing_errors"] == 0
    assert found["summary"]["passed"] > 50, "checkov saw hardly anything"
    return {check["check_id"] for check in found["results"]["failed_checks"]}


def test_every_failed_check_is_suppressed_with_a_reason(failed: set[str], profile: str) -> None:
    excused = {check for check, (_, profiles) in SUPPRESSED.items() if profile in profiles.split()}
    assert failed - excused == set()


def test_no_suppression_is_older_than_its_reason(failed: set[str], profile: str) -> None:
    excused = {check for check, (_, profiles) in SUPPRESSED.items() if profile in profiles.split()}
    assert excused - failed == set(), "these pass now: take the suppression away"
