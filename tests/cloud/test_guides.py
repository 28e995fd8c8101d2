"""The operator's guides: every link leads somewhere, every command exists, workflows hold no secret."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from bicep import generate
from readfirst.cli import build

DOCS = generate.ROOT / "docs"
GUIDES = [*sorted((DOCS / "operator").glob("*.md")), DOCS / "azure-verification.md"]
WORKFLOWS = sorted((generate.ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("guide", GUIDES, ids=lambda p: p.name)
def test_every_link_leads_somewhere(guide: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", guide.read_text()):
        if not target.startswith("http"):
            assert (guide.parent / target).exists(), target


@pytest.mark.parametrize("guide", GUIDES, ids=lambda p: p.name)
def test_every_command_and_file_that_a_guide_names_exists(guide: Path) -> None:
    text = guide.read_text()
    commands = set(re.findall(r"`readfirst ([a-z]+)", text))
    assert commands <= set(get_command(build()).commands)
    for path in re.findall(r"\b((?:bicep|\.github|tests|model_container)/[\w./-]+\.\w+)", text):
        assert (generate.ROOT / path).exists(), path


def test_a_guide_exists_for_every_job_of_an_operator() -> None:
    names = {guide.stem for guide in GUIDES}
    assert {"deploy", "upgrade", "rotate", "restore", "runbook", "tear-down", "cost", "access-matrix"} <= names


def test_the_workflows_are_what_github_understands_and_zizmor_finds_no_hole_in_them() -> None:
    """Their schema, and offline: unpinned actions, broad rights, injection, kept credentials."""
    files = [str(workflow) for workflow in WORKFLOWS]
    for tool in (
        ["check-jsonschema", "--builtin-schema", "vendor.github-workflows"],
        ["zizmor", "--offline", "--quiet", "--persona", "auditor"],
    ):
        command = [str(Path(sys.executable).parent / tool[0]), *tool[1:], *files]
        done = subprocess.run(command, cwd=generate.ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_workflow_that_deploys_on_a_strangers_word_is_found_out(tmp_path: Path) -> None:
    text = (generate.ROOT / ".github" / "workflows" / "deploy.yml").read_text()
    bad = tmp_path / "bad.yml"
    bad.write_text(text.replace("  pull_request:", "  pull_request_target:"))
    command = [str(Path(sys.executable).parent / "zizmor"), "--offline", "--quiet", str(bad)]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda p: p.name)
def test_a_workflow_has_least_rights_and_holds_no_secret(workflow: Path) -> None:
    text = workflow.read_text()
    assert "permissions:\n  contents: read" in text
    assert "secrets." not in text
    assert "pull_request_target" not in text
    # What a pull request's author chooses (titles, branch names) never reaches a shell as text.
    assert not re.search(r"run:.*\$\{\{\s*github\.(event|head_ref)", text)


def test_the_same_command_runs_here_and_in_ci() -> None:
    assert "- run: .ci/run" in (generate.ROOT / ".github" / "workflows" / "ci.yml").read_text()
