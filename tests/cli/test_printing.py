"""What a person copies from the terminal comes in one piece, however narrow it is and however long a name."""

from __future__ import annotations

import ast
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.markup import escape
from rich.table import Table

from readfirst.cli.printing import Terminal, Whole
from tests.waiting import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
FOLDER = f"/srv/{'a-long-name-' * 12}/Röntgen [bold] :x: of today"
COPIED = (
    "process 2147483, since 10:11:12",
    FOLDER,
    f"cp '{FOLDER}/s.json' local.settings.json && func start",
    "7Q0KXW2M",
)
WIDTHS = (1, 20, 40, 80, 200)


def printed(width: int, *objects: object, **options: object) -> str:
    out = io.StringIO()
    Terminal(file=out, width=width).print(*objects, **options)
    return out.getvalue()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("text", COPIED)
def test_a_line_is_printed_whole_at_any_width(width: int, text: str) -> None:
    """It has one line's end, its own."""
    assert printed(width, f"[red]✗[/] {escape(text)}") == f"✗ {text}\n"
    assert printed(width, text, markup=False) == f"{text}\n"


@pytest.mark.parametrize("width", WIDTHS)
def test_a_table_keeps_every_word_and_what_is_marked_as_whole(width: int) -> None:
    """Words of prose may go to the next line; nothing is cut inside a word, and a path not even at its spaces."""
    table = Table(
        "study", "where", "why", title="De-identified with a-profile-of-a-long-name", caption="extraordinarily"
    )
    table.add_row("7Q0KXW2M", Whole(FOLDER), "NOT ANALYSED: read as usual (pixels-unreadable)")
    said = printed(width, table)
    words = "7Q0KXW2M NOT ANALYSED: read as usual (pixels-unreadable) a-profile-of-a-long-name extraordinarily"
    for piece in (FOLDER, *words.split()):
        assert piece in said, piece
    assert len({len(line) for line in said.splitlines() if "│" in line}) == 1, "its rows are as wide as one another"


def test_prose_in_a_table_still_gives_way_to_the_width() -> None:
    """A table is no wider than it must be."""
    table = Table("why")
    table.add_row("many short words that may go to the next line as they do in any text")
    assert max(map(len, printed(30, table).splitlines())) <= 30


@pytest.mark.parametrize("columns", ["20", "200"])
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("status", "--state", FOLDER), f"No stack runs on {FOLDER}. Start one with `readfirst up`"),
        (("analyse", FOLDER, "out"), FOLDER),
        (("deidentify", "pyproject.toml", "clean", "--profile", FOLDER), FOLDER),
        (("nonsense-command",), "nonsense-command"),
    ],
)
def test_a_refused_command_names_what_it_was_given_in_one_piece(
    columns: str, arguments: tuple[str, ...], told: str
) -> None:
    """Our own messages and those of the library that parses the command line."""
    command = [sys.executable, "-m", "readfirst.cli", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "CLINICS"} | {"COLUMNS": columns}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 2
    assert told in done.stdout + done.stderr


def test_every_command_prints_by_that_one_way() -> None:
    """A console of Rich's own would break lines again."""
    made = [
        f"{file.name}:{node.lineno}"
        for file in (ROOT / "readfirst" / "cli").glob("*.py")
        if file.name != "printing.py"
        for node in ast.walk(ast.parse(file.read_text()))
        if (isinstance(node, ast.ImportFrom) and node.module == "rich.console")
        or (isinstance(node, ast.ImportFrom) and node.module == "rich" and node.names[0].name == "print")
    ]
    assert made == []
