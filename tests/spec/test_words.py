"""The word list: what it finds, and that the documents which it keeps are free of it."""

from __future__ import annotations

import pytest

from tools import words


def test_the_documents_that_are_kept_hold_none_of_the_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert words.main() == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    "line", ["It is no quote.", "They are no clinics.", "It stands there.", "Told so", "the Whole study", "beside it"]
)
def test_a_word_of_the_list_is_found_with_its_line(line: str) -> None:
    ((number, _, instead),) = words.found(f"first\n{line}\n")
    assert number == 2 and instead


@pytest.mark.parametrize(
    "line", ["It is no longer there.", "besides, wholesale", "`whole()`", "[a page](told.md)", "There is nobody."]
)
def test_other_words_names_of_code_and_addresses_are_left_alone(line: str) -> None:
    assert list(words.found(line)) == []


def test_the_command_ends_with_1_where_a_document_holds_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "README.md").write_text("fine\nIt stands here.\n")
    monkeypatch.setattr(words, "ROOT", tmp_path)
    monkeypatch.setattr(words, "DOCUMENTS", ("README.md",))
    assert words.main() == 1
    assert capsys.readouterr().out.startswith("README.md:2: “stands”")
