"""What the worklist asks of Cosmos DB: one partition a question, each served from an index in its own order.

The local server heeds no partition and has no index, so that time says nothing here: the questions themselves are
looked at, against the indexing policy that Bicep and the local stack make the container with.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from readfirst.adapters import clients
from readfirst.adapters.studies import reviews, study_index
from readfirst.adapters.studies.study_index import INDEXING, Contended, Cursor, Filter, Worklist, iso
from readfirst.domain import resource_names
from readfirst.domain.reading.reviews import Event, Reopened, Signed, What
from readfirst.domain.reading.study_record import StudyRecord
from readfirst.services import list_study as copies
from tests.portal.studies import analysed_now, index, record

CLINICS = ("north", "south")
INDEXED = {path["path"].removesuffix("/?").removeprefix("/") for path in INDEXING["includedPaths"]}
COMPOSITE = [tuple(part["path"].removeprefix("/") for part in parts) for parts in INDEXING["compositeIndexes"]]
NOW = "2026-01-05T12:00:00+00:00"


class Overheard:
    """The real container; what it is asked is remembered."""

    def __init__(self) -> None:
        self.container, self.asked = clients.cosmos_container(), []

    def query_items(self, query: str, **options: Any) -> Any:
        self.asked.append((query, options))
        return self.container.query_items(query, **options)


@pytest.fixture
def overheard(storage: None) -> Overheard:
    return Overheard()


def _asked(heard: Overheard) -> list[tuple[str, dict[str, Any]]]:
    assert heard.asked, "nothing was asked"
    return heard.asked


FILTERS = [
    Filter(),
    Filter(label="flagged", modality="CT"),
    Filter(review="signed"),
    Filter(review="unread", label="flagged"),
    Filter(handle="ABC"),
    Filter(purpose="prior", patient="f" * 32),
    Filter(purpose=""),
]


@pytest.mark.parametrize("wanted", FILTERS, ids=lambda f: f.model_dump_json(exclude_defaults=True))
def test_every_question_of_the_worklist_is_answered_by_one_partition_and_an_index(
    overheard: Overheard, wanted: Filter
) -> None:
    for cursor in (Cursor(now=NOW), Cursor(now=NOW, band=2, rank="2026-01-05T12:00:00+00:00|a")):
        Worklist(overheard).page(CLINICS, wanted, cursor, 20)
    for query, options in _asked(overheard):
        assert options["partition_key"] in CLINICS and "enable_cross_partition_query" not in options
        where, order = re.fullmatch(r".* WHERE (.*) ORDER BY (.*)", query).groups()
        assert set(re.findall(r"c\.(\w+)", where)) <= INDEXED
        fields = tuple(re.findall(r"c\.(\w+) ASC", order))
        assert fields == ("rank",) or fields in COMPOSITE, order
        # What stands before the rank in the order is equal for all that match: the order of the list stays.
        assert all(re.search(rf"c\.{field} = ", where) for field in fields[:-1])


def test_the_list_that_everybody_polls_never_looks_at_what_is_signed(overheard: Overheard) -> None:
    Worklist(overheard).page(("north",), Filter(), Cursor(now=NOW), 20)
    for query, _ in _asked(overheard):
        assert "c.waiting = true" in query and "!=" not in query
    assert len(overheard.asked) <= 3


def test_the_other_questions_are_of_one_partition_too_and_use_what_is_indexed(overheard: Overheard) -> None:
    ask = Worklist(overheard)
    list(ask.newest(CLINICS, {"study_uid": "1.2", "handle": "A", "patient": "b"}))
    ask.of_patient("north", "f" * 32)
    ask.since(CLINICS, NOW)
    ask.one(CLINICS, study_uid="1.2.3")
    ask.one(CLINICS, id="0" * 32)
    for query, options in _asked(overheard):
        assert options["partition_key"] in CLINICS
        assert set(re.findall(r"c\.(\w+)", query.split(" WHERE ")[1])) <= INDEXED | {"id"}  # always indexed


def _say(study: StudyRecord, *events: What) -> None:
    """Appends events to a study's review, as the API does, and leaves the index alone."""
    container = clients.container(resource_names.STUDIES, resource_names.REVIEWS)
    first = len(reviews.events(container, study.id)) + 1
    for number, what in enumerate(events, first):
        event = Event(number=number, at=NOW, by="r", by_name="R", run_key=reviews.run_key(study), what=what)
        assert reviews.append(container, study.id, event)


def _told(study: StudyRecord) -> dict[str, Any]:
    return dict(clients.cosmos_container().read_item(study.id, partition_key=study.clinic))


def test_a_review_that_is_signed_leaves_what_waits_and_comes_back_when_it_is_reopened(storage: None) -> None:
    study, ask = record(901), Worklist(clients.cosmos_container())
    index(study)
    for event, waits in ((Signed(), False), (Reopened(reason="A prior has come to light"), True)):
        _say(study, event)
        copies.index_review("north", study.id)
        assert _told(study)["waiting"] is waits
        page = ask.page(("north",), Filter(), Cursor(now=iso(datetime.fromisoformat(study.received))), 200)
        assert (study.id in {s["id"] for s in page.items}) is waits


class Throttled:
    """The real container; its first write waits until somebody else has done `meanwhile`."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self.container, self.meanwhile = clients.cosmos_container(), [meanwhile]

    def _late(self) -> None:
        while self.meanwhile:
            self.meanwhile.pop()()

    def query_items(self, *given: Any, **options: Any) -> Any:
        return self.container.query_items(*given, **options)

    def replace_item(self, *given: Any, **options: Any) -> Any:
        self._late()
        return self.container.replace_item(*given, **options)

    def create_item(self, *given: Any, **options: Any) -> Any:
        self._late()
        return self.container.create_item(*given, **options)

    def upsert_item(self, *given: Any, **options: Any) -> Any:
        self._late()
        return self.container.upsert_item(*given, **options)


@pytest.mark.parametrize("listed", [True, False], ids=["listed", "new"])
def test_a_write_to_the_index_that_lands_late_takes_back_neither_a_signature_nor_a_newer_record(
    storage: None, monkeypatch: pytest.MonkeyPatch, listed: bool
) -> None:
    """A throttled write sleeps inside the SDK for seconds, while others write."""
    study, real = record(910 + listed), clients.cosmos_container()
    copies.keep(study)
    if listed:
        copies.index(study.clinic, study.id)

    def meanwhile() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(clients, "cosmos_container", lambda: real)
            copies.amend(study.id, lambda there: there.model_copy(update={"reason": "newer"}))
            _say(study, Signed())
            copies.index_review(study.clinic, study.id)
            assert _told(study)["review"] == "signed"

    late = Throttled(meanwhile)
    with monkeypatch.context() as patch:
        patch.setattr(clients, "cosmos_container", lambda: late)
        copies.amend(study.id, lambda there: there.model_copy(update={"alerted": NOW}))
    assert not late.meanwhile, "nothing was written"
    found = _told(study)
    assert (found["review"], found["waiting"], found["reason"], found["alerted"]) == ("signed", False, "newer", NOW)


def test_a_mark_of_analysis_that_lands_after_its_result_is_too_late(storage: None) -> None:
    study, ask = record(913), Worklist(clients.cosmos_container())
    index(study)
    ask.begun(analysed_now(study, reviews.run_key(study)))
    assert not _told(study)["analysing"]
    index(study.model_copy(update={"state": "failed"}))
    ask.begun(analysed_now(study, reviews.run_key(study)))
    assert _told(study)["analysing"], "a failed study is analysed again under the same key"


def test_an_erased_study_does_not_come_back_to_the_index(storage: None) -> None:
    study = record(914)
    copies.index(study.clinic, study.id)
    copies.index_review(study.clinic, study.id)
    assert Worklist(clients.cosmos_container()).one(CLINICS, id=study.id) is None


def test_a_write_that_others_always_overtake_ends(storage: None, monkeypatch: pytest.MonkeyPatch) -> None:
    study = record(915)
    index(study)
    late = Throttled(lambda: None)

    def always() -> None:
        index(study)
        late.meanwhile.append(lambda: None)

    monkeypatch.setattr(Throttled, "_late", lambda self: always())
    monkeypatch.setattr(study_index.time, "sleep", lambda seconds: None)
    with pytest.raises(Contended):
        Worklist(late).follow(study.clinic, study.id, lambda there: there)


def test_a_study_whose_analysis_begins_is_listed_and_one_that_has_a_result_keeps_it(storage: None) -> None:
    ask, listed = Worklist(clients.cosmos_container()), clients.cosmos_container()
    new, known = analysed_now(record(903)), record(904, high_risk=True)
    index(known)
    for study in (new, new, analysed_now(known)):  # an activity may run twice
        ask.begun(study)
    assert listed.read_item(new.id, "north")["state"] == "analysing"
    kept = listed.read_item(known.id, "north")
    assert kept["analysing"] and kept["state"] == "reported" and kept["findings"] and kept["label"] == known.label


def test_a_prior_study_does_not_wait_for_a_reader() -> None:
    assert record(902).waiting and not record(902, purpose="prior").waiting and not record(902, review="signed").waiting


def test_the_deployment_makes_the_index_that_the_questions_need() -> None:
    names = json.loads((Path(__file__).parents[2] / "bicep/names.json").read_text())
    assert names["cosmos"]["indexing"] == INDEXING
    assert "indexingPolicy: indexing" in (Path(__file__).parents[2] / "bicep/modules/cosmos.bicep").read_text()
