"""The promise behind the reading order, over many simulated days, and the page that shows one of them."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pytest

from tools.reading_order import arrivals, figures, first_in_first_out, in_our_order, late, plot, read, table

DAYS = range(8)
DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("seed", DAYS)
def test_no_unflagged_study_is_late_that_first_in_first_out_would_have_read_in_time(seed: int) -> None:
    day = arrivals(seed)
    ours, fifo = read(day, in_our_order), read(day, first_in_first_out)
    made_late = [a.id for a, b in zip(ours, fifo, strict=True) if not a.flagged and late(a) and not late(b)]
    assert made_late == []


@pytest.mark.parametrize("seed", DAYS)
def test_no_unflagged_study_is_due_later_than_without_the_ai(seed: int) -> None:
    assert all(s.due == s.due_without_ai for s in arrivals(seed) if not s.flagged)
    assert all(s.due <= s.due_without_ai for s in arrivals(seed))


@pytest.mark.parametrize("seed", DAYS)
def test_high_risk_is_read_far_earlier(seed: int) -> None:
    day = arrivals(seed)
    ours = [s.wait for s in read(day, in_our_order) if s.flagged]
    fifo = [s.wait for s in read(day, first_in_first_out) if s.flagged]
    assert median(ours) < median(fifo) / 3 and max(ours) < max(fifo)


def test_the_page_shows_what_the_simulation_gives() -> None:
    day = arrivals(1)
    ours, fifo = read(day, in_our_order), read(day, first_in_first_out)
    assert table(figures(ours, fifo)) in (DOCS / "reading-order.md").read_text()
    assert plot(ours, fifo) == (DOCS / "reading-order.svg").read_text()
