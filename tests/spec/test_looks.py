"""One look at a study is one act of the audit log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from readfirst.domain.access.looks import LASTS, Looks, look_of
from readfirst.domain.access.rules import RULES

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
RULE = {rule.name: rule for rule in RULES}


def test_every_request_for_pixels_belongs_to_one_kind_of_look() -> None:
    pixels = [r for r in RULES if r.name.startswith("dicomweb_") and r.scope == "study"] + [RULE["study_images"]]
    assert len(pixels) > 10 and {look_of(rule) for rule in pixels} == {"images"}


@pytest.mark.parametrize("name", ["study_review", "study_told", "study_replay", "audit", "treatment", "break_glass"])
def test_what_changes_something_or_shows_an_identity_is_an_act_each_time(name: str) -> None:
    assert not look_of(RULE[name])


def test_nothing_of_app_identity_is_ever_left_out_as_part_of_a_look() -> None:
    assert not any(look_of(rule) for rule in RULES if rule.app == "identity")


def test_a_look_lasts_from_its_first_request_and_then_it_is_another() -> None:
    looks = Looks()
    key = ("person", "study", "images")
    assert not looks.audited(key, NOON)
    looks.begin(key, NOON)
    assert looks.audited(key, NOON + LASTS / 2) and not looks.audited(("other", "study", "images"), NOON)
    assert not looks.audited(key, NOON + LASTS) and not looks.audited(key, NOON - timedelta(seconds=1))
