"""App `identity`: which models run, and changing that by two persons. Everything is audited."""

from __future__ import annotations

import re
import uuid
from datetime import datetime
from typing import Literal

import azure.functions as func
from pydantic import BaseModel, ConfigDict

from function_app.http import guard
from function_app.http.guard import Call, Problem, answer
from function_app.http.routes import Routes
from readfirst.adapters.studies import model_changes as kept
from readfirst.adapters.studies.study_index import iso
from readfirst.domain.analysis.models import approved, in_image
from readfirst.domain.routing.changes import (
    PROPOSAL_LASTS,
    Entry,
    History,
    Proposal,
    State,
    Wish,
    Word,
    as_deployed,
    entry_of,
    may_say,
    proposal,
    why_not,
)
from readfirst.domain.routing.routes import Routes as Table
from readfirst.domain.routing.routes import routes as deployed_table

routes = Routes("identity")


class ModelState(BaseModel):
    """A version of a model. It runs if it is active, approved, and `in_image`: the job's image holds its files."""

    name: str
    version: str
    digest: str
    active: bool
    approved: bool
    in_image: bool


class Change(BaseModel):
    """A change that two persons made; `routing`: the version of the table of routes since then (sha256)."""

    model_config = ConfigDict(protected_namespaces=())

    number: int
    what: str
    act: str
    digest: str
    to: int | None
    routing: str
    reason: str
    proposed_by: str
    proposed_at: str
    confirmed_by: str
    confirmed_at: str
    note: str


class OpenProposal(BaseModel):
    """A change that waits for its second person; `why_not`: why it cannot be confirmed as things are."""

    id: str
    what: str
    act: str
    digest: str
    table: Table | None
    to: int | None
    reason: str
    by: str
    at: str
    lapses: str
    mine: bool
    why_not: str


class ModelChanges(BaseModel):
    """What runs since entry `number` (0: as deployed), the proposals that are open, and the history, newest first."""

    number: int
    routing: str
    table: Table
    models: list[ModelState]
    proposals: list[OpenProposal]
    changes: list[Change]


@routes.answers(ModelChanges)
def model_changes(call: Call) -> func.HttpResponse:
    """GET identity/model-changes: what runs, what is proposed, and what was changed."""
    history = _history()
    state = history.state
    waiting = [p for p in kept.proposals(history.number) if not p.lapsed(call.now)]
    return answer(
        ModelChanges(
            number=history.number,
            routing=state.routing,
            table=state.table,
            models=_models(state),
            proposals=[_open(one, history, call) for one in waiting],
            changes=[_change(one) for one in reversed(history.entries)],
        )
    )


def _models(state: State) -> list[ModelState]:
    """The approved models, and what is active although a deployment approves it no more: nothing is asked of that."""
    known = [
        ModelState(
            name=m.name,
            version=m.version,
            digest=m.digest,
            active=state.active.get(m.name) == m.digest,
            approved=True,
            in_image=m.digest in in_image(),
        )
        for m in approved()
    ]
    gone = {name: digest for name, digest in state.active.items() if digest not in {m.digest for m in known}}
    return known + [
        ModelState(name=name, version="", digest=digest, active=True, approved=False, in_image=False)
        for name, digest in gone.items()
    ]


def _open(one: Proposal, history: History, call: Call) -> OpenProposal:
    return OpenProposal(
        **one.model_dump(include={"id", "act", "digest", "to", "reason", "at"}),
        what=one.what,
        table=one.table,
        by=one.by_name,
        lapses=iso(datetime.fromisoformat(one.at) + PROPOSAL_LASTS),
        mine=one.by == call.person.id,
        why_not=why_not(one, history, approved(), in_image()),
    )


def _change(entry: Entry) -> Change:
    said = entry.proposal
    return Change(
        **said.model_dump(include={"act", "digest", "to", "reason"}),
        number=entry.number,
        what=said.what,
        routing=entry.routing,
        proposed_by=said.by_name,
        proposed_at=said.at,
        confirmed_by=entry.by_name,
        confirmed_at=entry.at,
        note=entry.note,
    )


class Proposed(BaseModel):
    """The proposal that was made, and until when it can be confirmed."""

    id: str
    what: str
    lapses: str


@routes.answers(Proposed, takes=Wish, status=201)
def model_change_propose(call: Call) -> func.HttpResponse:
    """POST identity/model-changes: the first person's part."""
    wish, history = call.body(Wish), _history()
    _reaches_all(call)
    person = {"by": call.person.id, "by_name": call.person.name, "at": call.now.isoformat()}
    made = proposal(wish, history, approved(), id=uuid.uuid4().hex, **person)
    if why := why_not(made, history, approved(), in_image()):
        raise Problem(409, "not-now", why)
    call.audit("asked", f"{made.id} {_named(made)}: {made.reason}")
    kept.propose(made)
    return answer(Proposed(id=made.id, what=made.what, lapses=iso(call.now + PROPOSAL_LASTS)), status=201)


class Decided(BaseModel):
    """What became of a proposal. `number`: the entry that is in force now."""

    state: Literal["confirmed", "declined"]
    number: int
    what: str


@routes.answers(Decided, takes=Word)
def model_change_decide(call: Call) -> func.HttpResponse:
    """POST identity/model-changes/{change}/decision: the second person's part; who proposed it may take it back."""
    word, history = call.body(Word), _history()
    _reaches_all(call)
    change_id = call.path["change"]
    change = kept.proposal(change_id) if re.fullmatch(r"[0-9]{6}-[0-9a-f]{32}", change_id) else None
    if change is None:
        raise Problem(404, "no-such-proposal", "There is no such proposal, or it was declined.")
    if _made(history, change, call) and word.confirm:  # sent again: the same answer
        return answer(Decided(state="confirmed", number=change.after + 1, what=change.what))
    why = may_say(change, call.person.id, word, call.now)
    if change.after != history.number or (word.confirm and not why):
        why = why or why_not(change, history, approved(), in_image())
    if why:
        raise Problem(409, "not-now", why)
    call.audit("yes" if word.confirm else "no", f"{change.id} {_named(change)}: {word.note or change.reason}")
    if not word.confirm:
        kept.decline(change, word.model_dump_json().encode())
        return answer(Decided(state="declined", number=history.number, what=change.what))
    person = {"by": call.person.id, "by_name": call.person.name, "at": call.now.isoformat(), "note": word.note}
    if not kept.add(entry_of(change, history, **person)) and not _made(_history(), change, call):
        raise Problem(409, "not-now", "Another change was confirmed at the same time. Look at what runs now.")
    return answer(Decided(state="confirmed", number=change.after + 1, what=change.what))


def _made(history: History, change: Proposal, call: Call) -> bool:
    """Whether this person has confirmed this proposal."""
    there = history.entries[change.after : change.after + 1]
    return any((one.proposal.id, one.by) == (change.id, call.person.id) for one in there)


def _named(change: Proposal) -> str:
    return f"{change.what} {change.digest}".strip()


def _reaches_all(call: Call) -> None:
    """A change reaches the studies of every clinic, so it takes persons who answer for all of them."""
    if not call.person.clinics >= guard.all_clinics():
        raise Problem(403, "not-every-clinic", "A change of the models reaches every clinic, and not all are yours.")


def _history() -> History:
    return kept.history(_deployed())


def _deployed() -> State:
    """What runs where nobody has changed anything."""
    return as_deployed(approved(), deployed_table())


blueprint = routes.blueprint()
