"""The judge of a chaotic day finds what was done to it; a day's draw is the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from readfirst.domain.reading.study_record import FLAGGED, NOT_ANALYSED, NOT_FLAGGED
from tests.spec.records import finding, studied
from tools.chaos import skies
from tools.chaos.judge import INVARIANTS, Due, Found, judge

STUDIES = (
    Due("bad", "north", "a" * 32, 14, FLAGGED, 1, frozenset({"f1", "f2", "letter"}), bad=frozenset({"letter"})),
    Due("healthy", "north", "b" * 32, 14, NOT_FLAGGED, 0, frozenset({"f3", "f4"})),
)


def good_day() -> Found:
    """One flagged study with a letter among its files, and one that is not flagged, both as they have to be."""
    flagged = studied("a" * 32, findings=(finding(),), high_risk=True)
    flagged = flagged.model_copy(update={"handle": "AAAA1111", "alerted": "2026-03-02T13:01:00+00:00"})
    healthy = studied("b" * 32).model_copy(update={"handle": "BBBB2222"})
    documents = [record.model_dump(mode="json") for record in (flagged, healthy)]
    return Found(
        records={one.id: one for one in (flagged, healthy)},
        subjects=["Urgent: study AAAA1111"],
        held=frozenset({"f1", "f2", "f3", "f4", "letter"}),
        set_aside={"north": {"letter": "not-dicom"}},
        inbox={"north": 0},
        answers={one.id: {"label": one.label, "state": one.state} for one in (flagged, healthy)},
        index=documents,
        rebuilt=[dict(document) for document in documents],
        queues={"inference-requests": 0, "commands-poison": 0},
        listed={},
        places=500,
    )


def broken(found: Found) -> set[str]:
    return {name for name, why in judge(STUDIES, found).items() if why}


def changed(day: Found, place: int, **fields: Any) -> dict[str, Any]:
    """The day's records with some fields of one changed."""
    records = list(day.records.values())
    records[place] = records[place].model_copy(update=fields)
    return {one.id: one for one in records}


def test_a_day_on_which_all_is_right_holds_every_invariant() -> None:
    assert broken(good_day()) == set()
    assert set(judge(STUDIES, good_day())) == set(INVARIANTS)


STATE, FILES, BAD, ALERTS, ANSWERS, LEAKS, INDEX, MESSAGES, FAILURES = INVARIANTS
DOCTORED: dict[str, tuple[str, Callable[[Found], dict[str, Any]]]] = {
    "a result that was taken back": (STATE, lambda d: {"records": changed(d, 0, label=NOT_ANALYSED)}),
    "a study that failed": (STATE, lambda d: {"records": changed(d, 0, state="failed")}),
    "a study without its late files": (STATE, lambda d: {"records": changed(d, 1, instances=11)}),
    "an alert that the record does not know": (STATE, lambda d: {"records": changed(d, 0, alerted="")}),
    "a study under two tokens": (STATE, lambda d: {"records": {**d.records, "c" * 32: studied("c" * 32)}}),
    "a lost file": (FILES, lambda d: {"held": d.held - {"f3"}}),
    "an upload nobody took": (FILES, lambda d: {"inbox": {"north": 1}}),
    "a bad file that vanished": (FILES, lambda d: {"held": d.held - {"letter"}}),
    "a bad file nobody is told of": (BAD, lambda d: {"set_aside": {}}),
    "a bad file without a reason": (BAD, lambda d: {"set_aside": {"north": {"letter": ""}}}),
    "an image that was set aside": (BAD, lambda d: {"set_aside": {"north": {"letter": "not-dicom", "f1": "damaged"}}}),
    "a doubled alert": (ALERTS, lambda d: {"subjects": [*d.subjects, *d.subjects]}),
    "a missing alert": (ALERTS, lambda d: {"subjects": []}),
    "an alert for a study without a finding": (ALERTS, lambda d: {"subjects": [*d.subjects, "Urgent: study BBBB2222"]}),
    "an e-mail about nothing that was sent": (ALERTS, lambda d: {"subjects": [*d.subjects, "Urgent: study ZZZZ9999"]}),
    "a clinic that reads an older answer": (ANSWERS, lambda d: {"answers": {k: {"images": 11} for k in d.answers}}),
    "a clinic without an answer": (ANSWERS, lambda d: {"answers": {}}),
    "a leaked name": (LEAKS, lambda d: {"leaks": [("logs/host.log", "surname")]}),
    "a scan that looked at nothing": (LEAKS, lambda d: {"places": 3}),
    "a missing row of the index": (INDEX, lambda d: {"index": d.index[1:]}),
    "a row of the index that is behind": (INDEX, lambda d: {"index": [{**d.index[0], "review": "signed"}, d.index[1]]}),
    "a row of the index for an erased study": (INDEX, lambda d: {"rebuilt": d.rebuilt[1:]}),
    "a message that goes round for ever": (MESSAGES, lambda d: {"queues": {"inference-requests": 1}}),
    "an orchestration that never ends": (MESSAGES, lambda d: {"running": {"read_study": 1}}),
    "a message that is parked and not listed": (MESSAGES, lambda d: {"queues": {"inference-requests-poison": 1}}),
    "a parked message": (FAILURES, lambda d: {"queues": {"commands-poison": 1}, "listed": {"commands": 1}}),
    "a study on the list of failures": (FAILURES, lambda d: {"failures": ["AAAA1111: analyse, gave-up"]}),
}  # fmt: skip


@pytest.mark.parametrize("what", DOCTORED)
def test_what_was_doctored_is_found(what: str) -> None:
    invariant, doctor = DOCTORED[what]
    day = good_day()
    assert invariant in broken(replace(day, **doctor(day)))


def test_a_lost_file_of_one_study_is_said_of_that_study() -> None:
    day = replace(good_day(), held=good_day().held - {"f3"})
    assert judge(STUDIES, day)[FILES] == ["healthy BBBB2222 of north: 1 of 2 files are gone"]


def test_the_weather_of_a_seed_is_the_same_every_time_and_another_one_s_is_not() -> None:
    assert skies.forecast(1, 60) == skies.forecast(1, 60) != skies.forecast(2, 60)


def test_every_service_is_away_once_for_longer_than_the_sdks_try() -> None:
    away = [s for s in skies.forecast(3, 120).spell if s.behaviour == "unavailable" and s.chance == 1]
    assert {s.service for s in away} == {"blob", "queue", "cosmos", "vault", "arm", "email"}
    assert min(s.lasts or 0 for s in away) >= 10
