"""The doors to an identity: who may answer, who may look, and until when."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from pydantic import ValidationError

from readfirst.domain.access.identity_requests import (
    APPROVAL_LASTS,
    REVIEW_WITHIN,
    SHOWN_FOR,
    Act,
    Answer,
    Asked,
    BreakGlassReview,
    Case,
    Decision,
    may_decide,
    may_open,
)
from tests.spec.records import NOW

MOMENT = timedelta(seconds=1)


def act(by: str = "asks") -> Act:
    """Somebody's request, made now."""
    return Act(id="1", token="t", clinic="north", handle="ABCD1234", by=by, by_name="Ana", at=NOW.isoformat(),
               reason="a recall of implants")  # fmt: skip


def case(*, yes: bool | None = None, at: datetime = NOW, opened: datetime | None = None) -> Case:
    """A request; `yes`: what the second person said of it, if anything, at `at`."""
    answer = None if yes is None else Answer(by="decides", by_name="Bo", at=at.isoformat(), yes=yes)
    return Case(act=act(), answer=answer, opened=opened.isoformat() if opened else "")


def test_a_case_is_open_until_the_second_person_has_answered() -> None:
    assert [case(yes=yes).state() for yes in (None, True, False)] == ["open", "approved", "declined"]


def test_the_privacy_officer_has_three_days_for_a_use_of_break_glass() -> None:
    assert timedelta(days=3) == REVIEW_WITHIN
    assert not case().overdue(NOW + REVIEW_WITHIN)
    assert case().overdue(NOW + REVIEW_WITHIN + MOMENT)


@pytest.mark.parametrize("yes", [True, False])
def test_what_has_been_looked_at_is_never_overdue(yes: bool) -> None:
    assert not case(yes=yes).overdue(NOW + timedelta(days=300))


def test_a_second_person_decides_once() -> None:
    assert may_decide(case(), "decides") == ""
    assert "decided already" in may_decide(case(yes=True), "a third person")
    assert "decided already" in may_decide(case(yes=False), "decides")


def test_nobody_decides_on_their_own_request() -> None:
    assert "own request" in may_decide(case(), "asks")


def test_an_approved_request_is_opened_by_who_asked_and_by_nobody_else() -> None:
    assert may_open(case(yes=True), "asks", NOW) == ""
    assert "Only who asked" in may_open(case(yes=True), "decides", NOW)
    assert "Only who asked" in may_open(case(yes=True), "", NOW)


@pytest.mark.parametrize("yes", [None, False])
def test_what_is_not_approved_is_not_opened(yes: bool | None) -> None:
    assert "not approved" in may_open(case(yes=yes), "asks", NOW)


def test_an_approval_lasts_a_day_from_the_answer() -> None:
    answered = NOW + timedelta(days=9)  # the request's age does not matter
    approved = case(yes=True, at=answered)
    assert timedelta(days=1) == APPROVAL_LASTS
    assert may_open(approved, "asks", answered + APPROVAL_LASTS) == ""
    assert "lapsed" in may_open(approved, "asks", answered + APPROVAL_LASTS + MOMENT)


def test_one_approval_is_for_one_look_of_five_minutes() -> None:
    shown = case(yes=True, opened=NOW)
    assert timedelta(minutes=5) == SHOWN_FOR
    assert may_open(shown, "asks", NOW + SHOWN_FOR) == ""
    assert "has been shown" in may_open(shown, "asks", NOW + SHOWN_FOR + MOMENT)


def test_a_door_opens_for_a_reason_of_ten_characters_at_least() -> None:
    assert Asked(reason="  a recall of implants ").reason == "a recall of implants"
    for reason in ("", "because", "         x         ", None):
        with pytest.raises(ValidationError):
            Asked.model_validate({"reason": reason})


@pytest.mark.parametrize("shape", [Asked, BreakGlassReview, Decision])
def test_an_answer_with_a_field_that_nobody_asked_for_is_refused(shape: type[Asked]) -> None:
    """A client cannot slip in who approved, or when."""
    with pytest.raises(ValidationError, match="at"):
        shape.model_validate(
            {"reason": "a recall of implants", "justified": True, "approve": True, "at": NOW.isoformat()}
        )


def test_a_case_is_read_back_as_it_was_kept() -> None:
    kept = case(yes=True, opened=NOW)
    assert Case.model_validate_json(kept.model_dump_json()) == kept
