"""What runs follows from a history that two persons write together and nobody can change."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from readfirst.domain.analysis.models import Manifest, default_model
from readfirst.domain.routing.changes import (
    PROPOSAL_LASTS,
    Entry,
    History,
    HistoryBroken,
    Proposal,
    State,
    Wish,
    Word,
    as_deployed,
    entry_of,
    history_of,
    in_order,
    may_say,
    proposal,
    why_not,
)
from readfirst.domain.routing.routes import Route, Routes, route
from tests.spec.test_series import slices

OLD = default_model()
NEW = OLD.model_copy(update={"version": "9.0"})
SPLEEN = OLD.model_copy(update={"name": "spleen"})
MODELS = (OLD, NEW, SPLEEN)
IMAGE = frozenset(m.digest for m in MODELS)
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
DEPLOYED = as_deployed(MODELS, Routes(default=(OLD.name,)))
BOTH = Routes(default=(OLD.name, "spleen"))
WHY = "it is better on thin slices"


def proposed(history: History, act: Any, **of: Any) -> Proposal:
    who = {"id": "0" * 32, "by": "oda", "by_name": "Oda", "at": NOW.isoformat()}
    return proposal(Wish(act=act, reason=WHY, **of), history, MODELS, **who)


def entry(history: History, act: Any, **of: Any) -> Entry:
    change = proposed(history, act, **of)
    assert why_not(change, history, MODELS, IMAGE) == ""
    return entry_of(change, history, by="rona", by_name="Rona", at=NOW.isoformat(), note="")


def changed(*acts: tuple[str, dict[str, Any]]) -> tuple[History, list[bytes]]:
    """The history after these changes, and its entries as they are kept."""
    kept: list[bytes] = []
    for act, of in acts:
        kept.append(entry(history_of(kept, DEPLOYED), act, **of).kept())
    return history_of(kept, DEPLOYED), kept


THREE = (
    ("activate", {"digest": NEW.digest}),
    ("routes", {"table": BOTH}),
    ("deactivate", {"digest": SPLEEN.digest}),
)


def test_where_nobody_changed_anything_the_first_version_of_each_model_runs() -> None:
    history, _ = changed()
    assert (history.number, history.state) == (0, DEPLOYED)
    assert history.state.active == {OLD.name: OLD.digest, "spleen": SPLEEN.digest}


def test_what_runs_follows_from_the_entries() -> None:
    history, _ = changed(*THREE)
    assert history.state == State(active={OLD.name: NEW.digest}, table=BOTH)
    assert [e.routing for e in history.entries] == [DEPLOYED.routing, history.state.routing, history.state.routing]
    assert DEPLOYED.routing != history.state.routing


def test_after_the_first_change_a_deployment_activates_nothing() -> None:
    _, kept = changed(THREE[0])
    other = SPLEEN.model_copy(update={"version": "7"})
    later = history_of(kept, as_deployed((other, OLD), BOTH))
    assert later.state == State(active={OLD.name: NEW.digest, "spleen": SPLEEN.digest}, table=DEPLOYED.table)


def test_going_back_brings_the_models_and_the_routes_of_an_earlier_entry() -> None:
    history, _ = changed(*THREE, ("rollback", {"to": 0}))
    assert history.state == DEPLOYED
    again, _ = changed(*THREE, ("rollback", {"to": 0}), ("rollback", {"to": 3}))
    assert again.state == again.states[3]


def test_what_ran_once_is_known_for_the_studies_that_were_planned_with_it() -> None:
    history, _ = changed(THREE[0])
    assert history.was_active(OLD.digest) and history.was_active(NEW.digest)
    assert not history.was_active("0" * 64)


def why(act: Any, history: History | None = None, image: frozenset[str] = IMAGE, **of: Any) -> str:
    history = history or changed()[0]
    return why_not(proposed(history, act, **of), history, MODELS, image)


def test_a_change_that_names_nothing_or_changes_nothing_is_refused_with_the_reason() -> None:
    assert "No approved model" in why("activate", digest="0" * 64)
    assert "runs already" in why("activate", digest=OLD.digest)
    assert "not active" in why("deactivate", digest=NEW.digest)
    assert "no earlier state" in why("rollback", to=0)
    assert "not approved: tumour" in why("routes", table=Routes(default=("tumour",)))
    assert "runs already" in why("routes", table=DEPLOYED.table)


def test_only_what_is_in_the_image_can_be_activated_or_gone_back_to() -> None:
    assert "not in the job's image: readfirst-chest" in why("activate", image=IMAGE - {NEW.digest}, digest=NEW.digest)
    history, _ = changed(THREE[0])
    assert "not in the job's image" in why("rollback", history, IMAGE - {OLD.digest}, to=0)
    assert why("rollback", history, to=0) == ""


def test_a_digest_may_be_shortened_as_long_as_it_names_one_model() -> None:
    history, _ = changed()
    made = proposed(history, "activate", digest=NEW.digest[:8])
    assert (made.digest, made.what) == (NEW.digest, "activate readfirst-chest 9.0")
    with pytest.raises(ValidationError):
        Wish(act="activate", digest=NEW.digest[:7], reason=WHY)


@pytest.mark.parametrize(
    "wish",
    [
        {"act": "activate"},
        {"act": "activate", "digest": NEW.digest, "to": 0},
        {"act": "routes"},
        {"act": "rollback", "table": {}},
        {"act": "rollback", "to": -1},
        {"act": "approve", "digest": NEW.digest},
        {"act": "activate", "digest": NEW.digest, "reason": "because"},
    ],
)
def test_a_wish_names_what_it_changes_and_why(wish: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Wish.model_validate({"reason": WHY, **wish})


def test_a_second_person_confirms_and_the_first_can_only_take_it_back() -> None:
    change = proposed(changed()[0], "activate", digest=NEW.digest)
    yes, no = Word(confirm=True), Word(confirm=False)
    assert "second person" in may_say(change, "oda", yes, NOW)
    assert may_say(change, "rona", yes, NOW) == may_say(change, "oda", no, NOW) == ""


def test_a_proposal_lapses() -> None:
    change = proposed(changed()[0], "activate", digest=NEW.digest)
    assert may_say(change, "rona", Word(confirm=True), NOW + PROPOSAL_LASTS) == ""
    assert "lapsed" in may_say(change, "rona", Word(confirm=True), NOW + PROPOSAL_LASTS + timedelta(seconds=1))


def test_a_proposal_can_only_become_the_entry_after_the_one_that_it_was_made_for() -> None:
    first = proposed(changed()[0], "activate", digest=NEW.digest)
    history, _ = changed(THREE[1])
    assert "changed since" in why_not(first, history, MODELS, IMAGE)


def tampered(kept: list[bytes], number: int, **fields: Any) -> list[bytes]:
    """The entries with one of them changed."""
    entry = json.loads(kept[number - 1])
    entry.update({k: v for k, v in fields.items() if k in entry})
    entry["proposal"].update({k: v for k, v in fields.items() if k in entry["proposal"] and k not in ("by",)})
    return [*kept[: number - 1], json.dumps(entry).encode(), *kept[number:]]


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("fields", [{"digest": "0" * 64}, {"note": "x"}, {"reason": "another reason"}, {"by": "oda"}])
def test_an_entry_that_was_changed_later_breaks_the_history(number: int, fields: dict[str, Any]) -> None:
    _, kept = changed(*THREE)
    with pytest.raises(HistoryBroken, match="entry"):
        history_of(tampered(kept, number, **fields), DEPLOYED)


def test_a_history_with_an_entry_left_out_or_by_one_person_or_of_no_sense_is_broken() -> None:
    history, kept = changed(*THREE)
    alone = entry(history, "rollback", to=0).model_copy(update={"by": "oda"}).kept()
    nowhere = entry(history, "rollback", to=0)
    nowhere = nowhere.model_copy(update={"proposal": nowhere.proposal.model_copy(update={"to": 9})})
    other = entry(history, "rollback", to=0).model_copy(update={"routing": "0" * 64}).kept()
    for broken in (kept[1:], [kept[0], kept[2]], [*kept, alone], [*kept, nowhere.kept()], [*kept, other], [b"{}"]):
        with pytest.raises(HistoryBroken):
            history_of(broken, DEPLOYED)


def asked(state: State, models: tuple[Manifest, ...] = MODELS) -> tuple[list[str], dict[str, str]]:
    ordered, off = in_order(state, models)
    found = route(slices(14, body_part="CHEST"), "north", "current", state.table, ordered, off)
    return [one.model.version for one in found.asked], {one.model.name: one.why for one in found.others}


def test_a_study_gets_the_active_version_and_hears_of_a_model_that_is_not_active() -> None:
    history, _ = changed(*THREE)
    assert asked(DEPLOYED)[0] == [OLD.version]
    assert asked(history.state) == (["9.0"], {"spleen": "it is not active"})


def test_a_model_whose_approval_was_withdrawn_is_not_asked_whatever_the_history_says() -> None:
    history, _ = changed(*THREE)
    assert asked(history.state, (OLD, SPLEEN))[0] == []
    table = Routes(routes=(Route(name="chests", models=("spleen",)),))
    assert asked(State(active=DEPLOYED.active, table=table), (OLD,))[0] == []
