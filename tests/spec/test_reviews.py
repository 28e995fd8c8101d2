"""A review: a list of events that only grows, and what it comes to for the analysis that is current."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from readfirst.domain.reading.reviews import (
    WHAT,
    Commented,
    Event,
    FindingAssessment,
    Measured,
    Missed,
    NotNow,
    Opened,
    Reopened,
    Review,
    Signed,
    Told,
    What,
    acknowledged,
    admit,
    fold,
    summary,
)
from tests.spec.records import said

ACCEPT = FindingAssessment(finding="1", verdict="accept")
REJECT = FindingAssessment(finding="1", verdict="reject", comment="a vessel")
MISSED = Missed(what="mass", category=1, series_uid="1.2.3", sop_uid="1.2.3.4", slice=3)
MEASURED = Measured(
    tool="length", series_uid="1.2.3", sop_uid="1.2.3.4", points=((0, 0, 0), (3, 4, 0)), value=5, unit="mm"
)
TOLD = Told(who="ward", how="telephone", when="2026-03-02T14:00:00Z", read_back=True)
REOPENED = Reopened(reason="one more series")


def reviewed(*what: What, run_key: str = "k") -> Review:
    """The review for analysis `k` after events on the analysis `run_key`."""
    return fold(said(*what, run_key=run_key), "k")


def test_without_events_nobody_has_read_the_study() -> None:
    assert reviewed() == Review() and Review().state == "unread"


def test_the_version_is_the_number_of_the_last_event() -> None:
    assert [reviewed(*[Commented(text="x")] * n).version for n in range(4)] == [0, 1, 2, 3]


@pytest.mark.parametrize("first", [Opened(), ACCEPT, MISSED, MEASURED, Commented(text="x")])
def test_whatever_a_reader_does_first_begins_the_review(first: What) -> None:
    review = reviewed(first)
    assert (review.state, review.reader, review.reader_name) == ("in progress", "r1", "Rona")
    assert review.opened == said(first)[0].at


def test_that_somebody_was_told_does_not_begin_the_review() -> None:
    review = reviewed(TOLD)
    assert (review.state, review.told, review.version) == ("unread", (TOLD,), 1)


def test_the_last_verdict_on_a_finding_counts() -> None:
    other = FindingAssessment(finding="2", verdict="accept")
    assert reviewed(ACCEPT, other, REJECT).verdicts == {"1": REJECT, "2": other}


def test_a_verdict_on_an_earlier_analysis_does_not_count_and_what_the_reader_saw_does() -> None:
    """The AI's findings are numbered anew by each analysis; what a reader added or measured is in the pictures."""
    review = reviewed(ACCEPT, MISSED, MEASURED, TOLD, run_key="earlier")
    assert review.verdicts == {}
    assert (review.missed, review.measurements, review.told) == ((MISSED,), (MEASURED,), (TOLD,))


def test_signing_ends_the_review_and_names_who_signed_and_when() -> None:
    events = said(Opened(), ACCEPT, Signed())
    events[2] = events[2].model_copy(update={"by": "r2", "by_name": "Sol"})
    review = fold(events, "k")
    assert (review.state, review.signed, review.superseded) == ("signed", events[2].at, False)
    assert (review.reader, review.reader_name) == ("r2", "Sol")


def test_a_signature_under_an_earlier_analysis_leaves_the_newer_result_to_be_looked_at() -> None:
    review = reviewed(ACCEPT, Signed(), run_key="earlier")
    assert (review.state, review.superseded) == ("in progress", True)


def test_a_signed_review_is_opened_again_and_signed_again() -> None:
    again = reviewed(ACCEPT, Signed(), REOPENED)
    assert (again.state, again.signed, again.verdicts) == ("in progress", "", {"1": ACCEPT})
    assert reviewed(ACCEPT, Signed(), REOPENED, REJECT, Signed()).state == "signed"


def test_a_signature_under_the_newer_analysis_is_no_longer_superseded() -> None:
    events = [*said(Signed(), run_key="earlier"), *said(Signed())]
    assert (fold(events, "k").state, fold(events, "k").superseded) == ("signed", False)


def test_a_study_is_acknowledged_by_a_signature_or_a_call_and_for_the_present_analysis_alone() -> None:
    assert acknowledged(said(Signed()), "k") and acknowledged(said(TOLD), "k")
    assert not acknowledged(said(Opened(), ACCEPT, MISSED, Commented(text="seen")), "k")
    assert not acknowledged(said(Signed(), TOLD, run_key="earlier"), "k")
    assert not acknowledged([], "k")


def test_the_record_says_how_a_review_stands_and_nothing_of_its_words() -> None:
    review = reviewed(REJECT, FindingAssessment(finding="2", verdict="accept"), MISSED, Signed())
    assert summary(review) == {
        "review": "signed", "verdicts": {"accept": 1, "reject": 1}, "missed": 1, "signed": review.signed,
    }  # fmt: skip
    assert summary(reviewed(Signed(), REOPENED))["signed"] == ""


FINDINGS = frozenset({"1", "2"})


@pytest.mark.parametrize("what", [Opened(), ACCEPT, MISSED, MEASURED, Commented(text="x"), TOLD])
def test_an_open_review_takes_what_a_reader_says(what: What) -> None:
    assert admit(Review(), what, FINDINGS) is None


def test_a_verdict_is_on_a_finding_that_there_is() -> None:
    refused = admit(Review(), FindingAssessment(finding="3", verdict="accept"), FINDINGS)
    assert isinstance(refused, NotNow) and "no such finding" in refused.reason


def test_a_review_is_signed_when_every_finding_has_its_verdict() -> None:
    one = reviewed(ACCEPT)
    refused = admit(one, Signed(), FINDINGS)
    assert isinstance(refused, NotNow) and refused.reason.startswith("1 finding(s)")
    assert admit(one, Signed(), frozenset({"1"})) is None
    assert admit(Review(), Signed(), frozenset()) is None


def test_nothing_is_signed_while_the_analysis_is_under_way() -> None:
    refused = admit(Review(), Signed(), frozenset(), analysing=True)
    assert isinstance(refused, NotNow) and "not over" in refused.reason
    assert admit(Review(), MISSED, frozenset(), analysing=True) is None


@pytest.mark.parametrize("what", [Opened(), ACCEPT, MISSED, MEASURED, Commented(text="x"), Signed()])
def test_a_signed_review_takes_nothing_until_it_is_opened_again(what: What) -> None:
    signed = reviewed(ACCEPT, Signed())
    assert isinstance(admit(signed, what, frozenset({"1"})), NotNow)
    assert admit(signed, REOPENED, FINDINGS) is None
    assert admit(signed, TOLD, FINDINGS) is None, "a call is recorded whenever it is made"


def test_only_a_signed_review_is_opened_again() -> None:
    assert isinstance(admit(reviewed(Opened()), REOPENED, FINDINGS), NotNow)


@pytest.mark.parametrize(
    "given",
    [
        {"kind": "measured", "value": math.nan},
        {"kind": "measured", "value": math.inf},
        {"kind": "measured", "value": -1},
        {"kind": "measured", "points": [[0, 0, 0]]},
        {"kind": "measured", "points": [[0, 0, 0]] * 9},
        {"kind": "measured", "unit": "inch"},
        {"kind": "measured", "series_uid": "1.2/../3"},
        {"kind": "missed", "category": 4},
        {"kind": "missed", "diameter_mm": 0},
        {"kind": "missed", "slice": -1},
        {"kind": "missed", "what": "   "},
        {"kind": "verdict", "verdict": "perhaps"},
        {"kind": "told", "when": "yesterday"},
        {"kind": "told", "when": "2026-03-02T14:00:00"},
        {"kind": "told", "how": "a letter"},
        {"kind": "reopened", "reason": "x"},
        {"kind": "unheard of"},
    ],
)
def test_what_a_client_may_not_say_is_refused(given: dict[str, object]) -> None:
    good = {one.kind: one.model_dump() for one in (MEASURED, MISSED, ACCEPT, TOLD, REOPENED)}
    WHAT.validate_python(good.get(str(given["kind"]), good["verdict"]))
    with pytest.raises(ValidationError):
        WHAT.validate_python({**good.get(str(given["kind"]), {}), **given})


@pytest.mark.parametrize("what", [Opened(), ACCEPT, MISSED, MEASURED, Commented(text="x"), TOLD, Signed(), REOPENED])
def test_an_event_is_read_back_as_what_it_was(what: What) -> None:
    (event,) = said(what)
    assert Event.model_validate_json(event.model_dump_json()) == event


@pytest.mark.parametrize(
    "more",
    [
        {"tool": "angle", "points": ((0, 0, 0), (1, 0, 0), (1, 1, 0)), "value": 90, "unit": "deg"},
        {"tool": "bidirectional", "points": ((0, 0, 0), (3, 4, 0), (1, 0, 0), (1, 2, 0)), "short": 2},
        {"tool": "ellipse", "unit": "mm2", "mean_hu": -500.0, "sd_hu": 12.5},
        {"tool": "arrow", "value": 0, "unit": "none"},
    ],
)
def test_a_measurement_of_every_tool_is_kept_as_it_was_said(more: dict[str, object]) -> None:
    measured = Measured.model_validate({**MEASURED.model_dump(), **more})
    assert reviewed(measured).measurements == (Measured.model_validate_json(measured.model_dump_json()),)


def test_a_measurement_that_was_kept_before_there_were_more_tools_is_read() -> None:
    older = MEASURED.model_dump(exclude={"short", "mean_hu", "sd_hu"})
    assert Measured.model_validate(older) == MEASURED
