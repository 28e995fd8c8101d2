"""The tutorial "Bring your own model", run as it is written, with a model that fails beside the two that work."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.exercises.conftest import ROOT, Workshop

if os.environ.get("CI") != "true":
    pytest.importorskip("torch", reason="torch is not installed (model_container/requirements-bundles.txt)")
    pytest.importorskip("monai", reason="monai is not installed (model_container/requirements-bundles.txt)")

pytestmark = [pytest.mark.stack, pytest.mark.torch, pytest.mark.slow]
TUTORIAL = "docs/tutorials/bring-your-own-model.md"
BROKEN = """
import torch
from pathlib import Path
path = Path("model_container/models/broken/models/model.pt")
weights = torch.load(path, weights_only=True)
torch.save({f"other.{name}": value for name, value in weights.items()}, path)
"""


def shell(workshop: Workshop, commands: str) -> str:
    """What a block of the tutorial prints in the copy, as bash runs it; a failure shows why."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", commands],
        cwd=workshop.root,
        env={**outside, "PYTHONPATH": str(workshop.root), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture
def clone(workshop: Workshop) -> Workshop:
    """The copy with what `make setup` installs: Python's environment, and the local servers."""
    for name in (".venv", "readfirst/local/node/node_modules"):
        (workshop.root / name).symlink_to(ROOT / name)
    return workshop


def blocks() -> list[str]:
    return re.findall(r"```bash\n(.*?)```", (ROOT / TUTORIAL).read_text(), re.S)


def test_the_tutorial_ends_with_a_study_that_both_models_have_read_and_one_that_fails_changes_nothing_of_that(
    clone: Workshop,
) -> None:
    *files, check, approve, route, demo = blocks()
    for block in files:
        shell(clone, block)
    assert "complete, but not approved" in shell(clone, check)
    approved = shell(clone, approve)
    assert '"network": "$@network_def.to(@device)"' in approved
    assert "No study gets it before" in approved
    assert "It runs: " in approved
    routed = shell(clone, route)
    for name in ("readfirst-chest 0.5.0", "spots 1.0"):
        assert f"{name}: asked by route chest-ct" in routed
    _add_one_that_fails(clone)
    said = shell(clone, demo)
    assert re.search(r"readfirst-chest 0\.5\.0 \(flagged\)", said), said
    assert re.search(r"spots 1\.0 \((flagged|not flagged)\): RANDOM WEIGHTS", said), said
    assert "broken 1.0 (failed)" in said, said
    assert re.search(r"Study [0-9A-Z]{8}: flagged \(model-failed: broken:", said), said


def _add_one_that_fails(clone: Workshop) -> None:
    """A bundle with the weights of another network, approved and on the same route."""
    models = clone.root / "model_container/models"
    shell(clone, "cp -r model_container/models/spots model_container/models/broken")
    manifest = json.loads((models / "broken/manifest.json").read_text())
    (models / "broken/manifest.json").write_text(json.dumps({**manifest, "name": "broken"}))
    clone.run("-c", BROKEN)
    clone.run("-m", "readfirst.cli", "model", "approve", "model_container/models/broken")
    table = Path(clone.root / "readfirst/domain/routing/model_routes.json")
    routes = json.loads(table.read_text())
    routes["routes"][0]["models"].append("broken")
    table.write_text(json.dumps(routes))
