"""The table's rows: what a peer was asked, what it made of it, and whether that is what we wrote."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "interop.md"
_BEGIN, _END = "<!-- made by `make interop` -->", "<!-- end -->"


@dataclass(frozen=True)
class Row:
    """One question to one peer. `differs`: how the answer differs from what we wrote; empty if it does not. `why`: what
    is known of the reason, where it is the peer's."""

    peer: str
    version: str
    asked: str
    made: str
    differs: str = ""
    why: str = ""

    @property
    def verdict(self) -> str:
        """The table's last cell."""
        return f"no: {self.differs}{f' ({self.why})' if self.why else ''}" if self.differs else "yes"


def table(rows: Iterable[Row]) -> str:
    """The rows in Markdown."""
    lines = ["| Peer | Version | Asked | What it makes of it | As we wrote it |", "|---|---|---|---|---|"]
    lines += [f"| {r.peer} | {r.version} | {r.asked} | {_cell(r.made)} | {_cell(r.verdict)} |" for r in rows]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "/").split())


def written(page: str, rows: Iterable[Row], head: str) -> str:
    """The page with a new table in the place of its old one."""
    block = f"{_BEGIN}\n\n{head}\n\n{table(rows)}\n\n{_END}"
    return re.sub(f"{re.escape(_BEGIN)}.*{re.escape(_END)}", lambda _: block, page, flags=re.DOTALL)


def on_the_page() -> list[list[str]]:
    """The cells of each row of the page's table."""
    block = PAGE.read_text("utf-8").partition(_BEGIN)[2].partition(_END)[0]
    rows = [line.strip("| ").split(" | ") for line in block.splitlines() if line.startswith("| ")]
    return rows[1:]


def apart(what: str, got: object, wrote: object) -> str:
    """Empty if both are the same, else what they are."""
    return "" if got == wrote else f"{what} {got}, not {wrote}"


def said(*differences: str) -> str:
    """All that differs, in one text."""
    return "; ".join(one for one in differences if one)


def attempted(peer: str, answers: Iterable[Row]) -> Iterator[Row]:
    """A peer's rows; where it cannot be asked, a row that says so, so that the others are asked all the same."""
    try:
        yield from answers
    except Exception as error:  # a peer may break in any way
        yield Row(peer, "?", "to run", f"{type(error).__name__}: {str(error)[:160]}", "it did not run to its end")
