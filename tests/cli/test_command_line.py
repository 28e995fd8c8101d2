"""The command line tells its version, completes its commands, and answers a wrong name with the right ones."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.waiting import PATIENCE

ROOT = Path(__file__).resolve().parents[2]


def said(*words: str, **environment: str) -> str:
    command = [sys.executable, "-m", "readfirst.cli", *words]
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return done.stdout + done.stderr


def test_it_tells_its_version() -> None:
    assert said("--version").strip() == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_a_shell_completes_its_commands() -> None:
    asked = {"_READFIRST_COMPLETE": "complete_bash", "COMP_WORDS": "readfirst fai", "COMP_CWORD": "1"}
    program = "import sys; sys.argv = ['readfirst']; from readfirst.cli import main; main()"
    environment = {**os.environ, **asked}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.stdout.split() == ["failures"]


def test_a_token_needs_a_stack_that_runs(tmp_path: Path) -> None:
    assert "Start one with `readfirst up`" in said("token", "operator", "--state", str(tmp_path))
