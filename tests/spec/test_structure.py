"""The structure that import-linter cannot see."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("function_app", "orchestrations", "readfirst/domain", "readfirst/adapters", "model_container")


def test_nothing_imports_main() -> None:
    for folder in PRODUCT:
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                imported = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                imported += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                assert "main" not in imported, f"{file.relative_to(ROOT)} imports main"


def test_main_registers_blueprints_and_nothing_else() -> None:
    tree = ast.parse((ROOT / "main.py").read_text())
    assert not [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))]


def test_no_test_gives_a_slow_machine_a_deadline_of_its_own() -> None:
    """They wait for a condition, as patiently as tests/waiting.py: a few seconds do until others work too."""
    found = []
    for file in (ROOT / "tests").rglob("*.py"):
        calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
        found += [f"{file.relative_to(ROOT)}:{call.lineno}" for call in calls if _hurries(call)]
    assert found == []


_WAITS = ("eventually", "wait_for", "reported", "whole")


def _hurries(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    limits = [k.value for k in call.keywords if k.arg == "timeout" or (name in _WAITS and k.arg == "patience")]
    limits += call.args[1:2] if name == "eventually" else []
    numbers = [one.value for one in limits if isinstance(one, ast.Constant)]
    return name == "wait_for_timeout" or any(isinstance(n, (int, float)) and 0 < n < 60 for n in numbers)


def test_whoever_expects_something_of_a_page_is_patient() -> None:
    """Playwright's own five seconds are replaced where our browser comes from."""
    for file in (ROOT / "tests").rglob("*.py"):
        text = file.read_text()
        if "from playwright.sync_api import" in text and "expect" in text:
            assert "tests.portal.browser" in text or "expect.set_options" in text, file.relative_to(ROOT)
