"""What runs, and how that changes: by two persons, in a history that is only ever added to.

A person proposes a change, another one confirms it, and the confirmation is the history's next entry. The state in
force follows from the entries: which version of each model is asked, and by which table of routes. Until the first
entry it is what was deployed; the first entry keeps that, and from then on a deployment activates nothing.

An entry holds the digest of the one before it, so that none can be changed or left out unseen by whoever reads it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from readfirst.domain.access.text_fields import Note, Reason
from readfirst.domain.analysis.findings import Part
from readfirst.domain.analysis.models import Manifest, Sha256
from readfirst.domain.faults import Fault
from readfirst.domain.routing.routes import Name, Routes

ENTRIES = "entries/"  # where they are kept, in container `model-changes`
PROPOSAL_LASTS = timedelta(days=1)
ActName = Literal["activate", "deactivate", "routes", "rollback"]
_NEEDS = {"activate": "digest", "deactivate": "digest", "routes": "table", "rollback": "to"}


class HistoryBroken(Fault):
    """The history does not hold together: nothing is planned or run by it. The message names the entry."""


class State(Part):
    """What runs. A model that is not in `active` is not asked."""

    active: dict[Name, Sha256]  # model -> digest of the version that is asked
    table: Routes

    @property
    def routing(self) -> str:
        """The version of the table: sha256, hex, of its canonical form."""
        canonical = json.dumps(self.table.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


class Wish(Part):
    """The change that a person proposes. A digest may be shortened to its first 8 digits or more."""

    act: ActName
    digest: Annotated[str, Field(pattern=r"^([0-9a-f]{8,64})?$")] = ""
    table: Routes | None = None
    to: Annotated[int, Field(ge=0)] | None = None  # the number of the entry whose state comes back; 0: as deployed
    reason: Reason

    @model_validator(mode="after")
    def _names_what_it_changes(self) -> Wish:
        given = {name for name in ("digest", "table", "to") if getattr(self, name) not in ("", None)}
        if given != {_NEEDS[self.act]}:
            raise ValueError(f"{self.act} takes {_NEEDS[self.act]}, and nothing else")
        return self


class Proposal(Part):
    """A change that waits for its second person. Its id begins with the number of the entry that it follows."""

    id: Annotated[str, Field(pattern=r"^[0-9]{6}-[0-9a-f]{32}$")]
    act: ActName
    model: str = ""
    version: str = ""
    digest: str = ""
    table: Routes | None = None
    to: int | None = None
    reason: str
    by: str  # object id
    by_name: str
    at: str  # ISO 8601, UTC

    @property
    def after(self) -> int:
        """The number of the entry that it was proposed after: it can only become the next one."""
        return int(self.id[:6])

    @property
    def what(self) -> str:
        """For people."""
        if self.act == "routes":
            return "another table of routes"
        return f"rollback to {self.to}" if self.act == "rollback" else f"{self.act} {self.model} {self.version}"

    def lapsed(self, now: datetime) -> bool:
        """Whether it is too late to confirm it."""
        return now > datetime.fromisoformat(self.at) + PROPOSAL_LASTS


class Word(Part):
    """What the second person says of a proposal."""

    confirm: bool
    note: Note = ""


class Entry(Part):
    """A change that two persons have made."""

    number: Annotated[int, Field(ge=1)]
    proposal: Proposal
    by: str  # who confirmed it
    by_name: str
    at: str
    note: str = ""
    routing: Sha256  # the version of the table from now on
    previous: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]  # sha256 of the entry before, as it is kept
    base: State | None = None  # of the first entry: what ran until then

    def kept(self) -> bytes:
        """As it is kept."""
        return self.model_dump_json().encode()


@dataclass(frozen=True)
class History:
    """The entries, and what ran after each: `states[0]` is what ran before the first."""

    entries: tuple[Entry, ...]
    states: tuple[State, ...]
    head: str = ""  # sha256 of the last entry

    @property
    def state(self) -> State:
        """What runs now."""
        return self.states[-1]

    @property
    def number(self) -> int:
        """Of the last entry; 0 where there is none."""
        return len(self.entries)

    def was_active(self, digest: str) -> bool:
        """Whether the model runs, or ran: a study keeps the models that it was planned with."""
        return any(digest in state.active.values() for state in self.states)


def as_deployed(models: Sequence[Manifest], table: Routes) -> State:
    """What runs where nobody has changed anything: the first version of each approved model, by the deployed table."""
    return State(active={m.name: m.digest for m in reversed(models)}, table=table)


def history_of(kept: Sequence[bytes], deployed: State) -> History:
    """The history from its entries as they are kept, in order. Raises HistoryBroken where they do not hold together."""
    entries: list[Entry] = []
    states = [deployed]
    head = ""
    for number, content in enumerate(kept, start=1):
        try:
            entry = Entry.model_validate_json(content)
        except ValidationError as error:
            raise HistoryBroken(f"entry {number} of the models' history cannot be read") from error
        if number == 1 and entry.base:
            states = [entry.base]
        fits = (entry.number, entry.proposal.after, entry.previous) == (number, number - 1, head)
        if not fits or entry.by == entry.proposal.by or (entry.base is None) == (number == 1):
            raise HistoryBroken(f"entry {number} of the models' history does not follow from the one before it")
        states.append(following(states, entry.proposal))
        if states[-1].routing != entry.routing:
            raise HistoryBroken(f"entry {number} of the models' history names another table of routes")
        entries.append(entry)
        head = hashlib.sha256(content).hexdigest()
    return History(tuple(entries), tuple(states), head)


def following(states: Sequence[State], change: Proposal) -> State:
    """What runs after a change. Raises HistoryBroken for one that names nothing there is."""
    now = states[-1]
    if change.act == "activate":
        return now.model_copy(update={"active": {**now.active, change.model: change.digest}})
    if change.act == "deactivate":
        return now.model_copy(update={"active": {k: v for k, v in now.active.items() if v != change.digest}})
    if change.act == "routes" and change.table is not None:
        return now.model_copy(update={"table": change.table})
    if change.to is None or change.to >= len(states):
        raise HistoryBroken("a change of the models' history names a state that there never was")
    return states[change.to]


def proposal(wish: Wish, history: History, models: Sequence[Manifest], **who: str) -> Proposal:
    """The proposal of a wish; `who`: id (32 hex digits), by, by_name, at."""
    named = _meant(wish.digest, models)
    found = {"model": named.name, "version": named.version, "digest": named.digest} if named else {}
    return Proposal.model_validate(
        {**who, **found, "id": f"{history.number:06d}-{who['id']}", "act": wish.act, "table": wish.table,
         "to": wish.to, "reason": wish.reason}
    )  # fmt: skip


def _meant(digest: str, models: Sequence[Manifest]) -> Manifest | None:
    """The approved model of a digest that may be shortened, if it names just one."""
    found = [m for m in models if digest and m.digest.startswith(digest)]
    return found[0] if len(found) == 1 else None


def why_not(change: Proposal, history: History, models: Sequence[Manifest], in_image: frozenset[str]) -> str:
    """Why a change cannot be made, for people; empty: it can. `in_image`: digests of the models that the job holds."""
    state = history.state
    if change.after != history.number:
        return "What runs was changed since this was proposed. Look at what runs now, and propose it again."
    if change.act in ("activate", "deactivate") and not change.digest:
        return "No approved model has this digest, or several have it. `readfirst model approve` approves a model."
    if change.act == "deactivate":
        return "" if change.digest in state.active.values() else "This model is not active."
    if change.act == "rollback" and (change.to is None or change.to >= history.number):
        return "There is no earlier state of that number."
    after = following(history.states, change)
    if after == state:
        return "That is what runs already."
    if unknown := sorted(set(after.table.models) - {m.name for m in models}):
        return f"The routes name models that are not approved: {', '.join(unknown)}."
    added = {name: digest for name, digest in after.active.items() if digest not in state.active.values()}
    if unknown := sorted(name for name, digest in added.items() if digest not in {m.digest for m in models}):
        return f"Not approved any more: {', '.join(unknown)}."
    if missing := sorted(name for name, digest in added.items() if digest not in in_image):
        return f"Its files are not in the job's image: {', '.join(missing)}."
    return ""


def may_say(change: Proposal, person: str, word: Word, now: datetime) -> str:
    """Why a person may not say this of a proposal; empty: they may. Who proposed it can only take it back."""
    if change.lapsed(now):
        return "The proposal has lapsed. Propose it again."
    if word.confirm and change.by == person:
        return "Nobody confirms their own proposal: a second person must."
    return ""


def entry_of(change: Proposal, history: History, **who: str) -> Entry:
    """The entry that makes a proposal the state in force; `who`: by, by_name, at, note."""
    return Entry.model_validate(
        {**who, "number": history.number + 1, "proposal": change, "previous": history.head,
         "routing": following(history.states, change).routing, "base": None if history.number else history.state}
    )  # fmt: skip


def in_order(state: State, models: Sequence[Manifest]) -> tuple[tuple[Manifest, ...], frozenset[str]]:
    """The approved models with the active ones first, and the names of those of which no version is active."""
    active = [m for m in models if state.active.get(m.name) == m.digest]
    others = [m for m in models if m not in active]
    return (*active, *others), frozenset({m.name for m in models} - {m.name for m in active})
