"""The page about a study in its clinic's answers: what the AI made of it, every file, and what to do."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from readfirst.domain.intake.answer_page import study_page
from readfirst.domain.reading.accounting import Accounting
from readfirst.domain.reading.study_record import FLAGGED, NOT_ANALYSED, READ_IN_PART
from readfirst.domain.refusals import ADVICE, Reason

TOLD = {"handle": "7K3M92QX", "accessionNumber": "A-1", "studyInstanceUid": "1.2.3", "at": "2026-03-01T08:00:00+00:00"}


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self._style = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        self._style = tag == "style"

    def handle_data(self, data: str) -> None:
        if not self._style and data.strip():
            self.words.append(data.strip())


def text(told: dict[str, object]) -> str:
    """What a person reads on the page."""
    parsed = _Text()
    parsed.feed(study_page({**TOLD, **told}))
    assert not {"script", "link", "img", "a", "iframe"} & set(parsed.tags), "it opens without asking anybody"
    return " ".join(parsed.words)


def test_it_names_the_study_as_its_clinic_does_and_says_what_the_ai_made_of_it() -> None:
    shown = text({"state": "reported", "label": FLAGGED})
    assert "Study 7K3M92QX" in shown
    assert "A-1" in shown and "1.2.3" in shown
    assert "Flagged" in shown
    assert "NOT FOR DIAGNOSIS" in shown


def test_it_says_how_many_files_came_and_what_became_of_each() -> None:
    books = Accounting(received=9, read=5, refused={"truncated": 2}, left_out={"localizer": 2}, frames=5, analysed=5)
    shown = text(
        {
            "state": "reported", "label": READ_IN_PART, "readInPart": "5 slice(s); 2 file(s) could not be read",
            "accounting": books.model_dump(), "refused": {"truncated": 2},
        }
    )  # fmt: skip
    assert "READ IN PART" in shown
    for line in ("Files received 9", "Read by the AI 5", "Refused: truncated 2", "Left out: localizer 2"):
        assert line in shown
    assert ADVICE[Reason.TRUNCATED] in shown


@pytest.mark.parametrize("state", ["in progress", "failed", "quarantined"])
def test_whatever_has_no_result_is_read_as_usual(state: str) -> None:
    label = "" if state == "in progress" else NOT_ANALYSED
    assert re.search("read( it| the study)? as usual", text({"state": state, "label": label}), re.I)


def test_what_a_sender_wrote_is_shown_and_never_run() -> None:
    page = study_page({**TOLD, "accessionNumber": "<script>alert(1)</script>", "state": "reported", "label": FLAGGED})
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
