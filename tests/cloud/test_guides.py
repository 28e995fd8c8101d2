"""The operator's guides: every link leads somewhere, every command exists, workflows hold no secret."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bicep import generate
from readfirst.cli import COMMANDS

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
    assert commands <= set(COMMANDS)
    for path in re.findall(r"\b((?:bicep|\.github|tests|model_container)/[\w./-]+\.\w+)", text):
        assert (generate.ROOT / path).exists(), path


def test_a_guide_exists_for_every_job_of_an_operator() -> None:
    names = {guide.stem for guide in GUIDES}
    assert {"deploy", "upgrade", "rotate", "restore", "runbook", "tear-down", "cost", "access-matrix"} <= names


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
