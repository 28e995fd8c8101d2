"""Shows the structure of the product: rooms, sizes, and which room imports which.

usage: python -m tools.structure [SVG]. It reads the sources and runs nothing. With SVG it also draws the picture of
docs/structure.svg. tests/spec/test_structure.py holds the limits that are printed here.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# From the top floor down: a room imports from its own floor or from below. The GPU job stands beside the app, and the
# gateway, which runs in the clinic, beside the services.
FLOORS = (
    ("function_app",),
    ("orchestrations",),
    ("readfirst/services", "readfirst/gateway"),
    ("readfirst/adapters", "model_container"),
    ("readfirst/domain",),
)
PRODUCT = tuple(folder for floor in FLOORS for folder in floor)
MOST_MODULES = 14  # in one package, __init__ and __main__ not counted
MOST_LINES = 400  # in one source of the product
_NAMELESS = {"__init__", "__main__"}


@dataclass(frozen=True)
class Source:
    """One Python module of the product."""

    path: Path

    @property
    def name(self) -> str:
        """Its dotted name; a package's is that of its folder."""
        parts = self.path.relative_to(ROOT).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def room(self) -> str:
        """The dotted name of the package that it is in."""
        return ".".join(self.path.parent.relative_to(ROOT).parts)

    @cached_property
    def text(self) -> str:
        """Its source."""
        return self.path.read_text("utf-8")

    @property
    def lines(self) -> int:
        """How many lines it has."""
        return self.text.count("\n")

    @cached_property
    def imports(self) -> tuple[str, ...]:
        """The dotted names that it imports, also those inside functions."""
        return tuple(self._imports())

    def _imports(self) -> Iterator[str]:
        for node in ast.walk(ast.parse(self.text)):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)

    def longest_function(self) -> tuple[int, str]:
        """Lines and name of its longest function."""
        found = [
            ((node.end_lineno or node.lineno) - node.lineno + 1, node.name)
            for node in ast.walk(ast.parse(self.text))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        return max(found, default=(0, ""))


def sources() -> list[Source]:
    """Every module of the product."""
    return [Source(path) for folder in PRODUCT for path in sorted((ROOT / folder).rglob("*.py"))]


def sizes(modules: list[Source]) -> Counter[str]:
    """How many modules each package has."""
    return Counter(one.room for one in modules if one.path.stem not in _NAMELESS)


def arrows(modules: list[Source]) -> Counter[tuple[str, str]]:
    """How many modules of one package import from another package, by both names."""
    rooms = {one.room for one in modules}
    names = {one.name: one.room for one in modules if one.path.stem not in _NAMELESS} | {room: room for room in rooms}
    found: Counter[tuple[str, str]] = Counter()
    for one in modules:
        to = {target for dotted in one.imports if (target := _room_of(dotted, names)) and target != one.room}
        found.update((one.room, room) for room in to)
    return found


def _room_of(dotted: str, names: dict[str, str]) -> str | None:
    parts = dotted.split(".")
    heads = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((names[head] for head in heads if head in names), None)


def floor_of(room: str) -> int:
    """Which floor a package is on, 0 at the top."""
    path = room.replace(".", "/") + "/"
    return next(k for k, floor in enumerate(FLOORS) for folder in floor if path.startswith(folder + "/"))


def climbing(found: Counter[tuple[str, str]]) -> list[tuple[str, str]]:
    """The arrows that run up."""
    return sorted((a, b) for a, b in found if floor_of(b) < floor_of(a))


def circles(modules: list[Source]) -> list[list[str]]:
    """Modules that reach each other by imports, each circle once, sorted."""
    names = {one.name: one.name for one in modules}
    direct = {one.name: {to for dotted in one.imports if (to := _room_of(dotted, names))} for one in modules}
    reach = {name: _reached(direct, name) for name in direct}
    groups = {tuple(sorted({a, *(b for b in reach[a] if a in reach[b])})) for a in reach if a in reach[a]}
    return [list(group) for group in sorted(groups)]


def _reached(direct: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    todo = list(direct[start])
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += direct[name]
    return seen


def main() -> None:
    """Prints the tables; draws the picture where a file is named."""
    modules = sources()
    found = arrows(modules)
    print(f"{'package':<40}{'modules':>8}{'lines':>8}  imports from")
    for room, count in sorted(sizes(modules).items(), key=lambda item: (floor_of(item[0]), item[0])):
        lines = sum(one.lines for one in modules if one.room == room)
        to = ", ".join(sorted(b for a, b in found if a == room))
        print(f"{room:<40}{count:>8}{lines:>8}  {to}")
    largest = max(modules, key=lambda one: one.lines)
    longest = max((*one.longest_function(), one.name) for one in modules)
    print(f"\nlargest module: {largest.name}, {largest.lines} lines")
    print(f"longest function: {longest[2]}.{longest[1]}, {longest[0]} lines")
    print(f"arrows that run up: {len(climbing(found))}; circles of modules: {len(circles(modules))}")
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(picture(modules, found), "utf-8")


def picture(modules: list[Source], found: Counter[tuple[str, str]]) -> str:
    """The packages floor by floor as SVG, the floors in the direction of imports."""
    count = sizes(modules)
    boxes: list[str] = []
    places: dict[str, tuple[float, float]] = {}
    width, top = 1180, 20
    for floor in FLOORS:
        rooms = sorted(room for room in count if room.replace(".", "/").startswith(floor))
        columns = min(len(rooms), 6)
        rows = -(-len(rooms) // columns)
        height = rows * 46 + 14
        boxes.append(f'<rect x="10" y="{top}" width="{width - 20}" height="{height}" rx="6" fill="#eef3f8"/>')
        for k, room in enumerate(rooms):
            x, y = 20 + (k % columns) * ((width - 40) / columns), top + 10 + k // columns * 46
            places[room] = (x, y)
            boxes.append(
                f'<rect x="{x:.0f}" y="{y}" width="{(width - 60) / columns - 6:.0f}" height="38" rx="4" fill="#fff" '
                f'stroke="#567"/><text x="{x + 8:.0f}" y="{y + 16}">{room.removeprefix("readfirst.")}</text>'
                f'<text x="{x + 8:.0f}" y="{y + 31}" fill="#678">{count[room]} modules</text>'
            )
        top += rows * 46 + 40
    note = f"Imports go down or stay on their floor: {len(climbing(found))} run up, {len(circles(modules))} circles."
    boxes.append(f'<text x="14" y="{top}">{note}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top + 14}" font-family="sans-serif" '
        f'font-size="12" fill="#123">{"".join(boxes)}</svg>\n'
    )


if __name__ == "__main__":
    main()
