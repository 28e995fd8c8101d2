"""A temporary copy of the repository, in which an exercise or a tutorial is done."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Workshop:
    """A copy of the repository's files, and which of them were edited by hand."""

    root: Path
    touched: set[str] = field(default_factory=set)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replaces one place of a file."""
        text = (self.root / name).read_text()
        assert text.count(old) == 1, f"{name} has {text.count(old)} places like {old!r}"
        (self.root / name).write_text(text.replace(old, new))
        self.touched.add(name)

    def write(self, name: str, text: str) -> None:
        """Makes a new file."""
        (self.root / name).write_text(text)
        self.touched.add(name)

    def run(self, *words: str) -> str:
        """What a Python command prints in the copy; a failure fails the exercise and shows why."""
        outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        done = subprocess.run(
            [sys.executable, *words],
            cwd=self.root,
            env={**outside, "PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def holds(self, *tests: str) -> None:
        """The tests pass in the copy."""
        self.run("-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """A fresh copy of every file that git knows."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, tmp_path / name)
    return Workshop(tmp_path)
