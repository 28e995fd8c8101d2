"""What people may write: bounded, without control characters, and not empty where something is asked for."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from readfirst.domain.access.text_fields import FullText, Maybe, Note, Reason, Short, Text, Why

LIMITS: dict[str, tuple[Any, int, int]] = {  # field -> type, least and most characters
    "Text": (Text, 0, 2000), "FullText": (FullText, 1, 2000), "Short": (Short, 1, 200), "Maybe": (Maybe, 0, 200),
    "Note": (Note, 0, 500), "Why": (Why, 3, 500), "Reason": (Reason, 10, 500),
}  # fmt: skip


def accepts(field: Any, text: object) -> bool:
    """Whether a field takes a text."""
    try:
        TypeAdapter(field).validate_python(text)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("name", LIMITS)
def test_a_text_has_at_least_what_is_asked_for_and_at_most_what_a_page_can_show(name: str) -> None:
    field, least, most = LIMITS[name]
    assert accepts(field, "x" * least) and accepts(field, "x" * most)
    assert not accepts(field, "x" * (most + 1))
    assert not least or not accepts(field, "x" * (least - 1))


@pytest.mark.parametrize("name", [name for name, (_, least, _) in LIMITS.items() if least])
def test_blanks_are_no_answer_to_a_question(name: str) -> None:
    assert not accepts(LIMITS[name][0], " \t\n" * 30)
    assert TypeAdapter(LIMITS[name][0]).validate_python("  enough said here  ") == "enough said here"


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("code", [0, 8, 11, 12, 14, 27, 31, 127])
def test_control_characters_are_refused(name: str, code: int) -> None:
    assert not accepts(LIMITS[name][0], f"enough {chr(code)} said here")


@pytest.mark.parametrize("name", LIMITS)
def test_lines_tabs_and_every_script_are_welcome(name: str) -> None:
    assert accepts(LIMITS[name][0], "größer\tals früher\r\n山田太郎 <b>")


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("value", [None, 7, ["text"], b"\xff"])
def test_what_is_not_a_text_is_refused(name: str, value: object) -> None:
    assert not accepts(LIMITS[name][0], value)
