"""The word list: what it finds in documents, in what programs say and in what the portal shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import words


def test_documents_messages_and_pages_hold_none_of_the_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert words.main() == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    "line", ["It is no quote.", "They are no clinics.", "It stands there.", "Told so", "the Whole study", "beside it"]
)
def test_a_word_of_the_list_is_found_with_its_line(line: str) -> None:
    ((number, _, instead),) = words.found(f"first\n{line}\n")
    assert number == 2 and instead


@pytest.mark.parametrize(
    "line",
    [
        "It is no longer there.",
        "besides, wholesale",
        "`whole()`",
        "[a page](told.md)",
        "There is nobody.",
        "There is no such study.",
        "a whole number",
        "They cannot be told apart.",
        "a stand-in",
        "It stands for another.",
    ],
)
def test_other_words_names_of_code_and_addresses_are_left_alone(line: str) -> None:
    assert list(words.found(line)) == []


def test_what_a_program_says_is_looked_at_and_its_names_comments_and_patterns_are_not() -> None:
    source = '''"""A module of the whole."""
told = {"told": 1, "whole": x}  # beside it
class A:
    """It stands."""
    field: int
    """Told so."""
PATTERN = re.compile(r"whole body|beside it")
raise ValueError(f"{path!r} is no file")
say(
    "fine "
    "and told so")
'''
    assert sorted((line, word) for line, word, _ in words.said(source)) == [(8, "is no"), (10, "told")]


def test_what_the_portal_shows_is_looked_at_and_its_code_is_not() -> None:
    source = """// Told, whole: `beside it`
/** It stands. */
const told = what === "told" ? 'whole' : "it is told";
const page = html`<p class="told beside" title="the whole list">
  ${items.map((whole) => html`<td @click=${() => this.beside(whole, { told })}>${whole.told} stands</td>`)}
  beside</p>`;
const url = `https://x.example/${told}`;
"""
    found = sorted((line, word) for line, word, _ in words.shown(source))
    assert found == [(3, "told"), (4, "whole"), (5, "stands"), (6, "beside")]


def test_each_kind_of_source_is_reached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A document in a folder, an error text, a page, a string of the portal. No dependency, no changelog."""
    for name, text in {
        "docs/a/b.md": "It stands here.",
        "readfirst/x/y.py": 'E = "It stands here."',
        "portal_static/public/404.html": "<p class='x'>It stands here.</p>",
        "portal_static/src/p.ts": 'const E = "It stands here.";',
        "readfirst/node_modules/z.py": 'E = "It stands here."',
        "CHANGELOG.md": "It stands here.",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(words, "ROOT", tmp_path)
    assert sorted(name for name, _ in words.places()) == [
        "docs/a/b.md", "portal_static/public/404.html", "portal_static/src/p.ts", "readfirst/x/y.py",
    ]  # fmt: skip


def test_the_command_ends_with_1_where_a_document_holds_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "README.md").write_text("fine\nIt stands here.\n")
    monkeypatch.setattr(words, "ROOT", tmp_path)
    monkeypatch.setattr(words, "DOCUMENTS", ("README.md",))
    assert words.main() == 1
    assert capsys.readouterr().out.startswith("README.md:2: “stands”")
