"""The reading order, as a specification."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from readfirst.domain.reading.reading_order import RESERVE, Band, Waiting, band, reading_key, shown

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
_DUE = st.integers(-3000, 3000).map(lambda minutes: NOW + timedelta(minutes=minutes))
_STUDIES = st.lists(st.builds(Waiting, id=st.text("abc", min_size=1, max_size=3), due=_DUE, high_risk=st.booleans()))


def test_high_risk_is_read_before_what_is_not() -> None:
    soon = Waiting("a", NOW + timedelta(hours=1), high_risk=False)
    later = Waiting("b", NOW + timedelta(hours=2), high_risk=True)
    assert sorted([soon, later], key=lambda s: reading_key(s, NOW)) == [later, soon]


def test_a_study_past_its_maximum_wait_goes_to_the_top_whatever_its_label() -> None:
    waited = Waiting("a", NOW + RESERVE, high_risk=False)
    flagged = Waiting("b", NOW + timedelta(hours=2), high_risk=True)
    assert band(waited, NOW) is Band.TOP
    assert sorted([flagged, waited], key=lambda s: reading_key(s, NOW)) == [waited, flagged]


@given(_STUDIES)
def test_inside_a_band_the_study_that_is_due_first_is_first(studies: list[Waiting]) -> None:
    ordered = sorted(studies, key=lambda s: reading_key(s, NOW))
    for one, other in pairwise(ordered):
        same = band(one, NOW) is band(other, NOW)
        assert one.due <= other.due if same else band(one, NOW) < band(other, NOW)


def test_what_is_signed_is_past_no_maximum_wait() -> None:
    assert [shown(Band.TOP, review) for review in ("unread", "in progress", "signed")] == [Band.TOP] * 2 + [Band.REST]
