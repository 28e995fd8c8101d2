"""What holds for every study, however it is mixed: nothing is left out in silence, no volume is a mixture, and the
books are closed. `READFIRST_DRAWN` sets how many are drawn; the long form is 2,000 (`make drawn`)."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from readfirst.domain.analysis.series_selection import LEFT_OUT, Choice, Ineligible, Selection, choose, select_series
from readfirst.domain.instance_facts import InstanceFacts
from readfirst.domain.reading.books import account
from tests.drawn.studies import GATE, Drawn, Maker

COUNT = int(os.environ.get("READFIRST_DRAWN", "240"))
_BLOCK = 40
_REACH = GATE.max_spacing / 2 + 0.1


def silent_losses(study: Drawn, read: Selection) -> list[float]:
    """Places of admitted originals that were not read, of a study that is not told as read in part."""
    if read.missing:
        return []
    heights = sorted(one.position[2] for one in read.instances if one.position)
    there = {one.sop_uid for one in study.instances}
    return [
        height for (uid, _), height in study.counts.items()
        if uid in there and min(abs(height - h) for h in heights) > _REACH
    ]  # fmt: skip


def pictures_of(study: Drawn, slices: Sequence[InstanceFacts]) -> set[int]:
    """Which pictures the slices show, in truth."""
    return {study.picture[one.sop_uid, one.frame] for one in slices}


def books_of(study: Drawn, choice: Choice, read: Selection | None):
    """The study's books, and whether every reason in them is one that people can be told."""
    books = account(study.received, study.instances, study.refused, choice, read, GATE)
    reasons = {*books.left_out, *books.frames_left_out}
    return books, reasons <= {*LEFT_OUT, *map(str, Ineligible)}


@pytest.mark.parametrize("first", range(0, COUNT, _BLOCK))
def test_drawn_studies_are_read_whole_or_told_as_what_they_are(first):
    for seed in range(first, min(first + _BLOCK, COUNT)):
        study = Maker(seed).make()
        choice = choose(study.instances, GATE)
        for read in choice.selections:
            assert len(pictures_of(study, read.instances)) == 1, f"seed {seed}: a mixture"
            assert not silent_losses(study, read), f"seed {seed}: left out in silence"
            assert read.missing or not study.lost, f"seed {seed}: a part never came"
        best = choice.selections[0] if choice.selections else None
        books, known = books_of(study, choice, best)
        assert books.holds and known, f"seed {seed}: {books}"
        sent = len(study.instances) + len(study.refused) + study.copies + study.skipped
        assert books.received == sent and books.analysed == (len(best.instances) if best else 0)
        assert best or choice.refusal, f"seed {seed}: neither read nor told why not"


def test_what_was_drawn_does_not_depend_on_the_order_of_the_files():
    for seed in range(0, 40):
        study = Maker(seed).make()
        answers = {
            str(select_series(sorted(study.instances, key=key), GATE))
            for key in (lambda i: i.sop_uid, lambda i: i.sop_uid[::-1], lambda i: i.digest)
        }
        assert len(answers) == 1, f"seed {seed}"


def test_the_draw_reaches_every_kind_of_answer():
    """A test over studies that are all read, or all refused, would show nothing."""
    answers = [select_series(Maker(seed).make().instances, GATE) for seed in range(160)]
    read = [a for a in answers if isinstance(a, Selection)]
    codes = {a.code for a in answers if not isinstance(a, Selection)}
    assert len(read) > 60 and any(a.missing for a in read) and not all(a.missing for a in read)
    assert {Ineligible.MIXED, Ineligible.MISSING, Ineligible.SHIFTED} <= codes
