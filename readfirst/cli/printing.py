"""How the commands print: what a person may copy (an address, a path, a command, a process id, a handle) is never cut.

Rich breaks lines at the terminal's width, in the middle of a word where it has to. What is broken so cannot be
copied, searched for, or read by a script, and whether it breaks depends on the length of a folder's name. A `Terminal`
leaves lines of text to the terminal, which shows a long one as it can, and makes a table at least as wide as its
longest words, whatever the width.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

_WIDEST = 1_000_000  # columns: wider than any table


class Terminal(Console):
    """Standard output (or, by Rich's own options, another file)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(emoji=False, **options)  # `:x:` in a path is no picture

    def print(self, *objects: Any, **options: Any) -> None:
        """Prints as Rich does, except that nothing but the spaces between words gives way to the width."""
        if all(isinstance(one, (str, Text)) for one in objects):
            options = {"soft_wrap": True, **options}
        elif any(isinstance(one, Table) for one in objects):
            objects = tuple(_Wide(one) if isinstance(one, Table) else one for one in objects)
            options = {"crop": False, **options}
        super().print(*objects, **options)


class _Wide:
    """A table, as wide as its words need in a terminal that is narrower."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table, roomy = self._table, options.update(width=_WIDEST)
        for column in table.columns:
            cells = (column.header, column.footer, *column.cells)
            column.min_width = max(Measurement.get(console, roomy, cell).minimum for cell in cells)
        # Rich measures nothing but the cells.
        around = [
            word for text in (table.title, table.caption) if text for word in console.render_str(str(text)).split()
        ]
        table.min_width = max((word.cell_len for word in around), default=0)
        needed = Measurement.get(console, roomy, table).minimum
        yield from console.render(table, options.update(width=max(options.max_width, needed)))


class Whole:
    """Text that stays in one piece in a table, spaces and all, and has no markup: a path, a command, an address."""

    def __init__(self, text: object) -> None:
        self._text = Text(str(text), no_wrap=True, overflow="ignore")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(self._text.cell_len, self._text.cell_len)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        yield self._text
