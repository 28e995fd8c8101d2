"""App `identity`: the files kept back, for who answers for privacy. Everything is audited."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

import azure.functions as func
from pydantic import BaseModel, ConfigDict, Field

from function_app.http import guard
from function_app.http.guard import Call, Problem, answer, binary
from function_app.http.routes import PNG, Accepted, Routes
from readfirst.adapters.uploads import persons, quarantine
from readfirst.domain.access.text_fields import Why
from readfirst.domain.intake.person import Question, Stated

_ITEM = re.compile(r"([0-9a-f]{32}|[a-z0-9-]{1,40})~([0-9a-f]{32})")
_PICTURE_SIDE = 1024
_LATEST = 200

routes = Routes("identity")


class QuarantinedFile(BaseModel):
    """A file kept back. `item` names it in addresses; `study`: the token of its study, where it has one;
    `releasable`: whether taking it again could come to anything else."""

    item: str
    clinic: str
    study: str
    reason: str
    advice: str
    releasable: bool
    size: int
    at: str


class QuarantineList(BaseModel):
    """The latest files kept back; `more`: whether there are others."""

    items: list[QuarantinedFile]
    more: bool


@routes.answers(QuarantineList, rules=("quarantine",))
def quarantine_list(call: Call) -> func.HttpResponse:
    """GET quarantine: the files kept back of the person's clinics. What was skipped waits for nobody's decision."""
    every = [k for k in quarantine.every() if not k.clutter]
    owners = {owner: _owner(owner, call) for owner in {k.owner for k in every}}
    kept = [k for k in every if owners[k.owner]]
    kept.sort(key=lambda k: k.at, reverse=True)
    items = [
        QuarantinedFile(
            item=f"{k.owner}~{k.arrival}",
            clinic=str(owners[k.owner]["clinic"]),
            study=k.owner if len(k.owner) == 32 else "",
            reason=k.reason,
            advice=k.advice,
            releasable=k.releasable,
            size=k.size,
            at=k.at,
        )
        for k in kept[:_LATEST]
    ]
    return answer(QuarantineList(items=items, more=len(kept) > _LATEST))


def _owner(owner: str, call: Call) -> Mapping[str, Any]:
    """Whose a quarantined file is: a clinic's, or a study's; of unknown studies, and of other clinics, empty."""
    if owner in call.person.clinics:
        return {"clinic": owner}
    return guard.worklist().one(call.person.clinics, id=owner) or {}


def _item(call: Call) -> tuple[str, str, Mapping[str, Any]]:
    """Owner and arrival of the file that the path names, and its clinic or study."""
    match = _ITEM.fullmatch(call.path["item"])
    of = _owner(match[1], call) if match else {}
    if not match or not of:
        raise Problem(404, "no-such-item", "There is no such file in quarantine.")
    return match[1], match[2], of


@routes.answers(media=PNG)
def quarantine_picture(call: Call) -> func.HttpResponse:
    """GET quarantine/{item}/picture?frame=: one frame, from 1."""
    _, look = _looked(call)
    return binary(look.encoded(_PICTURE_SIDE), "image/png")


class TextPlace(BaseModel):
    """Where a picture shows text, as shares of its sides; `marker`: it reads as a side marker."""

    left: float
    top: float
    right: float
    bottom: float
    marker: bool


class FrameTexts(BaseModel):
    """A frame, counted from 1, of how many, and where it shows text."""

    frame: int
    frames: int
    texts: list[TextPlace]


@routes.answers(FrameTexts)
def quarantine_texts(call: Call) -> func.HttpResponse:
    """GET quarantine/{item}/texts?frame=: how many frames there are, and where this one shows text."""
    frame, look = _looked(call)
    return answer(FrameTexts(frame=frame, frames=look.frames, texts=[TextPlace(**text) for text in look.texts()]))


def _looked(call: Call) -> tuple[int, quarantine.Look]:
    owner, arrival, of = _item(call)
    call.audit("allowed", arrival, of)
    frame = guard.number(call.query("frame", "1"), 1, 100_000)
    look = quarantine.look(owner, arrival, frame - 1)
    if look is None:
        raise Problem(404, "no-picture", "The file shows no such picture.")
    return frame, look


class NamedPerson(Stated):
    """Somebody whom files of a study name: how many files, and whether the study can be given to this person alone."""

    files: int
    possible: bool


class PersonList(BaseModel):
    """Whom the files of a study name."""

    persons: list[NamedPerson]


@routes.answers(PersonList)
def quarantine_persons(call: Call) -> func.HttpResponse:
    """GET quarantine/{item}/persons: whom the files of a study name, by how many."""
    owner, arrival, of = _item(call)
    call.audit("allowed", arrival, of)
    question = _question(owner, arrival)
    if question is None:
        raise Problem(404, "no-question", "Nobody asks whose this file is.")
    shown = [
        NamedPerson(**stated.model_dump(), files=files, possible=question.pinned in (None, index))
        for index, (stated, files) in enumerate(zip(question.shown, question.files, strict=True))
    ]
    return answer(PersonList(persons=shown))


def _question(owner: str, arrival: str) -> Question | None:
    return persons.asked(owner, arrival) if len(owner) == 32 else None


class QuarantineRuling(BaseModel):
    """Of a study of several persons, `person` says whose alone it is (counted from 0); none: all are one person."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    release: bool
    reason: Why
    person: Annotated[int, Field(ge=0)] | None = None


@routes.answers(Accepted, takes=QuarantineRuling, status=202)
def quarantine_decision(call: Call) -> func.HttpResponse:
    """POST quarantine/{item}/decision: the intake app carries it out."""
    owner, arrival, of = _item(call)
    ruling = call.body(QuarantineRuling)
    question = _question(owner, arrival)
    if ruling.person is not None and (question is None or question.ruling(ruling.person) is None):
        raise Problem(422, "no-such-person", "The study cannot be given to that person.")
    if ruling.release and not quarantine.releasable(owner, arrival):
        raise Problem(409, "nothing-to-release", "The file has no bytes: taken again, it would be refused again.")
    outcome = "reject" if not ruling.release else "release" if question is None else _outcome(ruling.person, question)
    call.audit(outcome, f"{arrival} {ruling.reason}", of)
    detail = {"arrival": arrival} | ({} if ruling.person is None else {"person": str(ruling.person)})
    call.command("release" if ruling.release else "reject", owner, detail)
    return answer(Accepted(), status=202)


def _outcome(person: int | None, question: Question) -> str:
    """What the audit log says: no name, and yet who was which is in the question."""
    count = len(question.persons)
    return f"release: {count} are one person" if person is None else f"split: person {person + 1} of {count} alone"


blueprint = routes.blueprint()
