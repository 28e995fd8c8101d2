"""What the e-mails ask for is what the finding's category asks for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from readfirst.domain.reading import alert_email

FORMAT = Path(__file__).resolve().parents[2] / "portal_static/src/format.ts"


@pytest.mark.parametrize("letter", [alert_email.urgent, alert_email.overdue])
@pytest.mark.parametrize("category", [1, 2, 3])
def test_a_letter_hurries_as_the_portal_does(letter, category: int) -> None:
    """The portal's words for the category are the letter's, and only minutes ask for now."""
    words = re.search(rf'CATEGORY\b.*\b{category}: "([^"]+)"', FORMAT.read_text())[1]
    made = letter("7ZZZZZZ7", "https://portal", category=category)
    for text in (made.text, made.html):
        assert f"to be communicated {words}." in text
    whole = made.subject + made.text
    assert (" now" in whole) == (category == 1)
