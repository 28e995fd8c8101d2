"""When a key is due for a new version, and when every record has been looked at."""

from __future__ import annotations

from datetime import timedelta

import pytest

from readfirst.domain.operations.key_rotation import LIFE, NOTICE, Swept, due
from tests.spec.records import NOW


def test_a_secret_is_due_a_month_before_it_expires_and_when_it_has_expired() -> None:
    assert timedelta(days=30) == NOTICE
    assert not due(NOW + NOTICE + timedelta(seconds=1), NOW)
    assert due(NOW + NOTICE, NOW)
    assert due(NOW - timedelta(days=1), NOW)


def test_a_secret_without_an_expiry_is_due() -> None:
    assert due(None, NOW)


def test_a_new_secret_is_not_due_for_eleven_months() -> None:
    """Otherwise each look at it would make another version."""
    assert not due(NOW + LIFE, NOW + timedelta(days=330))
    assert due(NOW + LIFE, NOW + timedelta(days=335))


@pytest.mark.parametrize(("cursor", "finished"), [("", True), ("t/0004", False)])
def test_a_pass_is_finished_when_there_is_no_place_to_go_on_from(cursor: str, finished: bool) -> None:
    assert Swept(looked=9, rewrapped=7, missed=2, cursor=cursor).finished is finished
