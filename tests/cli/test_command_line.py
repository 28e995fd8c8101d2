"""The command line tells its version, completes its commands, and answers a wrong name with the right ones."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.waiting import PATIENCE

ROOT = Path(__file__).resolve().parents[2]


AS_READFIRST = "import sys; sys.argv[0] = 'readfirst'; from readfirst.cli import main; main()"


def said(*words: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", AS_READFIRST, *words],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_it_tells_its_version() -> None:
    assert said("--version").strip() == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_a_shell_completes_its_commands() -> None:
    asked = {"_READFIRST_COMPLETE": "complete_bash", "COMP_WORDS": "readfirst fai", "COMP_CWORD": "1"}
    assert said(**asked).split() == ["failures"]


def test_a_token_needs_a_stack_that_runs(tmp_path: Path) -> None:
    assert "Start one with `readfirst up`" in said("token", "operator", "--state", str(tmp_path))
