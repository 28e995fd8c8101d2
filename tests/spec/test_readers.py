"""Who is reading a study: colleagues see it for two minutes after the last sign of life, and nobody is held up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from readfirst.domain.access.readers import LASTS, joined, others

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MOMENT = timedelta(seconds=1)


def test_a_reader_is_seen_by_others_and_not_by_themselves() -> None:
    claims = joined({}, "a", "Dr Ray", NOW)
    assert others(claims, "b", NOW) == ["Dr Ray"]
    assert others(claims, "a", NOW) == []


def test_a_second_reader_is_never_held_up_and_both_see_each_other() -> None:
    claims = joined(joined({}, "a", "Dr Ray", NOW), "b", "Dr Diaz", NOW + MOMENT)
    assert (others(claims, "a", NOW + MOMENT), others(claims, "b", NOW + MOMENT)) == (["Dr Diaz"], ["Dr Ray"])
    assert others(claims, "c", NOW + MOMENT) == ["Dr Diaz", "Dr Ray"]


def test_a_claim_ends_two_minutes_after_the_last_sign_of_its_holder() -> None:
    claims = joined({}, "a", "Dr Ray", NOW)
    assert timedelta(minutes=2) == LASTS
    assert others(claims, "b", NOW + LASTS - MOMENT) == ["Dr Ray"]
    assert others(claims, "b", NOW + LASTS) == []
    renewed = joined(claims, "a", "Dr Ray", NOW + LASTS - MOMENT)
    assert others(renewed, "b", NOW + LASTS) == ["Dr Ray"]


def test_claims_that_have_ended_are_not_kept() -> None:
    claims = joined(joined({}, "a", "Dr Ray", NOW), "b", "Dr Diaz", NOW + LASTS)
    assert set(claims) == {"b"}
