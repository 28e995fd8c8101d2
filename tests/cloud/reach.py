"""Which stores, queues and keys each app's code can come to touch, read off the source.

A node is a top-level function or class (with its methods); it leads to every project function or class that it
mentions. What an app reaches from its triggers is what it may need a right to. Mentioning a container's name counts as
touching it: rather one right too many asked for here than one forgotten.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("function_app", "orchestrations", "readfirst/services", "readfirst/adapters", "model_container")
NAMES = "readfirst.domain.resource_names"
CLIENTS = "readfirst.adapters.clients"
BODY = "<body>"  # a module's statements outside functions and classes
Node = tuple[str, str]


@dataclass
class Module:
    """A parsed module: what it defines, and what its aliases stand for."""

    name: str
    defined: dict[str, list[ast.AST]] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)  # alias -> module
    symbols: dict[str, Node] = field(default_factory=dict)  # alias -> what it names


@cache
def project() -> dict[str, Module]:
    """Every module of the deployed packages."""
    files = [f for package in PACKAGES for f in sorted((ROOT / package).rglob("*.py"))]
    names = {_name(f): f for f in files if "training" not in f.parts}
    return {name: _parse(name, file.read_text(), {*names, NAMES}) for name, file in names.items()}


def touched(roots: Iterable[str]) -> set[str]:
    """What is mentioned by whatever the modules lead to: `names.X` as X, `clients.x()` as x()."""
    todo: list[Node] = [(module, node) for module in roots for node in project()[module].defined]
    seen: set[Node] = set()
    found: set[str] = set()
    while todo:
        node = todo.pop()
        if node in seen or node[0] not in project() or node[1] not in project()[node[0]].defined:
            continue
        seen.add(node)
        for to in _mentions(node):
            if to[0] == NAMES:
                found.add(to[1])
            elif to[0] == CLIENTS:
                found.add(f"{to[1]}()")
            else:
                todo += [to, (to[0], BODY)]
    return found


def _name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _parse(name: str, text: str, known: set[str]) -> Module:
    module = Module(name)
    tree = ast.parse(text)
    for statement in tree.body:
        named = isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        module.defined.setdefault(statement.name if named else BODY, []).append(statement)  # type: ignore[attr-defined]
    for one in ast.walk(tree):
        if isinstance(one, ast.ImportFrom) and one.module:
            for alias in one.names:
                whole = f"{one.module}.{alias.name}"
                if whole in known:
                    module.modules[alias.asname or alias.name] = whole
                else:
                    module.symbols[alias.asname or alias.name] = (one.module, alias.name)
    return module


def _mentions(node: Node) -> Iterator[Node]:
    module = project()[node[0]]
    for statement in module.defined[node[1]]:
        for one in ast.walk(statement):
            if isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name) and one.value.id in module.modules:
                yield module.modules[one.value.id], one.attr
            elif isinstance(one, ast.Name) and one.id in module.symbols:
                yield module.symbols[one.id]
            elif isinstance(one, ast.Name) and one.id in module.defined:
                yield module.name, one.id
