"""What the e-mails ask for is what the finding's category asks for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from readfirst.domain.reading import alert_email
from readfirst.domain.reading.alert_email import About

FORMAT = Path(__file__).resolve().parents[2] / "portal_static/src/format.ts"


@pytest.mark.parametrize("letter", [alert_email.urgent, alert_email.overdue])
@pytest.mark.parametrize("category", [1, 2, 3])
def test_a_letter_hurries_as_the_portal_does(letter, category: int) -> None:
    """The portal's words for the category are the letter's, and only minutes ask for now."""
    words = re.search(rf'CATEGORY\b.*\b{category}: "([^"]+)"', FORMAT.read_text())[1]
    made = letter("7ZZZZZZ7", "https://portal", About(category=category))
    for text in (made.text, made.html):
        assert f"to be communicated {words}." in text
    whole = made.subject + made.text
    assert (" now" in whole) == (category == 1)


@pytest.mark.parametrize("letter", [alert_email.urgent, alert_email.overdue])
def test_a_letter_says_which_kind_of_study_of_which_clinic_and_until_when(letter) -> None:
    """What a reader needs to decide on a telephone; nothing of it is the patient's."""
    about = About(modality="CT", clinic="Lakeside <Imaging>", due="2026-11-28T15:05:00+01:00")
    made = letter("7ZZZZZZ7", "https://portal", about)
    assert "CT, Lakeside <Imaging>, to be read by 28 Nov 2026, 14:05 UTC" in made.text
    assert "CT, Lakeside &lt;Imaging&gt;, to be read by 28 Nov 2026, 14:05 UTC" in made.html
    assert letter("7ZZZZZZ7", "https://portal").text.count("\n\n") == made.text.count("\n\n") - 1, "an empty line"
