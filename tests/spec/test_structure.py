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
