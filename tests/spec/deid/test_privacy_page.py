"""Chapter: the privacy officer's page says what the profiles do, and names code and tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

from readfirst.domain.deid.reports.study_report import SAFE_HARBOR
from tools.privacy_page import PAGE, page

ROOT = Path(__file__).parents[3]


def test_the_privacy_page_is_what_the_profiles_and_the_requirements_say() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: python -m tools.privacy_page"


def test_every_module_and_test_that_the_privacy_page_names_exists() -> None:
    """An answer whose test was renamed or lost would be none."""
    text = PAGE.read_text("utf-8")
    modules = set(re.findall(r"`([\w/]+\.(?:py|bicep|toml))`", text))
    assert len(modules) > 20
    assert {name for name in modules if not (ROOT / name).is_file()} == set()
    defined = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", file.read_text("utf-8"), re.MULTILINE)
    }
    named = set(re.findall(r"`(test_\w+)`", text))
    assert len(named) > 40
    assert named - defined == set()


def test_each_of_the_18_identifiers_has_its_line_with_code_and_tests() -> None:
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if re.match(r"\| [A-R] \|", line)]
    assert [row.split(" | ")[0].strip("| ") for row in rows] == [letter for letter, _, _ in SAFE_HARBOR]
    assert all(".py`" in row and "`test_" in row for row in rows)
