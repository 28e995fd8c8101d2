"""Every Bicep file builds, lints and is formatted, by the real CLI, without a word on stderr."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bicep import generate

FILES = sorted(p.relative_to(generate.HERE) for p in generate.HERE.rglob("*.bicep"))
PARAMETERS = sorted(p.relative_to(generate.HERE) for p in generate.HERE.glob("*.bicepparam"))
ENTRIES = [f for f in FILES if f.parent == Path()]
pytestmark = pytest.mark.usefixtures("bicep")


@pytest.mark.parametrize("file", ENTRIES, ids=str)
def test_every_entry_builds_without_error_or_warning(file: Path) -> None:
    build = generate.run_bicep("build", str(file), "--stdout")
    assert (build.returncode, build.stderr) == (0, "")
    assert json.loads(build.stdout)["resources"]


def test_every_file_lints_without_error_or_warning() -> None:
    lint = generate.run_bicep("lint", "--pattern", "**/*.bicep")
    assert (lint.returncode, lint.stdout + lint.stderr) == (0, "")


def test_every_module_is_reached_from_an_entry_so_that_building_entries_checks_all() -> None:
    texts = "".join((generate.HERE / f).read_text() for f in FILES)
    unreached = [f.name for f in FILES if f.parent != Path() and f"{f.name}'" not in texts]
    assert unreached == []


def test_every_file_is_formatted(tmp_path: Path) -> None:
    place = tmp_path / "bicep"
    shutil.copytree(generate.HERE, place, ignore=shutil.ignore_patterns("__pycache__"))
    for pattern in ("**/*.bicep", "*.bicepparam"):
        done = generate.run_bicep("format", "--pattern", pattern, cwd=place)
        assert (done.returncode, done.stderr) == (0, "")
    changed = [str(f) for f in (*FILES, *PARAMETERS) if (place / f).read_text() != (generate.HERE / f).read_text()]
    assert changed == []


def test_every_parameter_variable_and_output_has_a_description() -> None:
    bare = []
    for file in FILES:
        lines = (generate.HERE / file).read_text().splitlines()
        for number, line in enumerate(lines):
            if line.startswith(("param ", "output ", "func ")):
                above = number - 1
                while above >= 0 and lines[above].startswith(("@", " ", "]", ")")):
                    above -= 1
                if not any(part.startswith("@description") for part in lines[above + 1 : number]):
                    bare.append(f"{file}:{number + 1}")
    assert bare == []


def test_generated_files_are_as_the_code_and_the_evaluated_deployment_say() -> None:
    stale = [str(path) for path, text in generate.generated().items() if not path.exists() or path.read_text() != text]
    assert stale == [], "run `python -m bicep.generate`"


def test_a_wrong_property_is_an_error(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.bicep"
    wrong.write_text(
        "resource a 'Microsoft.Storage/storageAccounts@2025-01-01' = {\n"
        "  name: 'a'\n  location: 'westeurope'\n  kind: 'StorageV2'\n  sku: { name: 'Standard_LRS' }\n"
        "  properties: { allowSharedKeyAces: false }\n}\n"
    )
    done = generate.run_bicep("build", str(wrong), "--stdout")
    assert "allowSharedKeyAces" in done.stderr
