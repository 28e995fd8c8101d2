"""App `api`: worklist, study, review. Reads the studies account and the index, appends reviews and commands."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Any, Literal

import azure.functions as func
from pydantic import BaseModel

from function_app.http import guard, openapi
from function_app.http.guard import Call, Problem, answer, answer_if_changed
from function_app.http.reviews import etag_of, review_of
from function_app.http.routes import JSON, Accepted, Routes, Tagged
from readfirst.adapters.settings import settings
from readfirst.adapters.studies import receipts as papers
from readfirst.adapters.studies import study_images as images
from readfirst.adapters.studies.study_index import Contended, Cursor, Filter, iso
from readfirst.domain.access import readers
from readfirst.domain.analysis.findings import first_to_read
from readfirst.domain.analysis.progress import ProgressView, progress_view
from readfirst.domain.deid import Profile, Receipt, load_profile
from readfirst.domain.deid.reports.study_report import report_html, report_of
from readfirst.domain.deid.rules.profile import READY
from readfirst.domain.operations import statistics
from readfirst.domain.reading.reviews import Event, Review
from readfirst.domain.reading.reviews import State as ReviewState
from readfirst.domain.reading.study_record import Label, State, StudyRecord
from readfirst.domain.routing.readings import Says

_PAGE = 50
_PAGE_LIMIT = 200
_PARALLEL = 8

routes = Routes("api")


class ApiDescription(BaseModel):
    """An OpenAPI document."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]
    components: dict[str, Any]


@routes.answers(ApiDescription)
def api_description(call: Call) -> func.HttpResponse:
    """GET openapi.json."""
    return answer(openapi.document())


class NamedClinic(BaseModel):
    """A clinic, and what people call it."""

    id: str
    name: str


class Me(BaseModel):
    """Who calls. `may`: the names of the rules that the person's roles are in."""

    id: str
    name: str
    roles: list[str]
    clinics: list[NamedClinic]
    may: list[str]


@routes.answers(Me)
def me(call: Call) -> func.HttpResponse:
    """GET me."""
    person = call.person
    known = {clinic.id: clinic.name for clinic in settings().clinics}
    return answer(
        Me(
            id=person.id,
            name=person.name,
            roles=sorted(person.roles),
            clinics=[NamedClinic(id=c, name=known[c]) for c in sorted(person.clinics)],
            may=sorted(rule.name for rule in guard.RULE.values() if person.may(rule)),
        )
    )


class StudyLine(BaseModel):
    """A line of the worklist: what the index holds of a study without its findings. Times are ISO 8601 UTC."""

    id: str
    clinic: str
    handle: str
    patient: str
    run: int
    state: State
    label: Label
    reason: str = ""
    partial: bool = False
    part: str = ""
    instances: int = 0
    modality: str = ""
    body_part: str = ""
    priority: Literal["stat", "routine"] = "routine"
    purpose: Literal["current", "prior"] = "current"
    received: str
    due: str
    rank: str
    updated: str
    risk: float = 0.0
    high_risk: bool = False
    why: str = ""
    review: ReviewState = "unread"
    alerted: str = ""
    moved_days: int = 0
    analysing: str = ""
    readers: list[str] = []  # everybody else who is reading it now, by name
    by_model: dict[str, Says] = {}
    band: Literal[0, 1, 2]
    progress: ProgressView | None


class StudyList(Tagged):
    """A page of the worklist. `next`: the cursor of the page after it, if there is one."""

    items: list[StudyLine]
    next: str | None


@routes.answers(StudyList)
def studies(call: Call) -> func.HttpResponse:
    """GET studies: a page of the worklist in reading order; 304 where nothing changed."""
    size = guard.number(call.query("limit", str(_PAGE)), 1, _PAGE_LIMIT)
    wanted = Filter(
        **{name: call.query(name) for name in Filter.model_fields if name in call.request.params},
    )
    clinics = call.person.clinics
    if asked := call.query("clinic"):
        clinics &= {asked}
    try:
        cursor = Cursor.parse(call.query("after")) if call.query("after") else Cursor(now=iso(call.now))
    except (ValueError, RecursionError):
        raise Problem(400, "bad-cursor", "`after` is not a cursor of this list.") from None
    page = guard.worklist().page(clinics, wanted, cursor, size)
    progress = _progress(page.items, call.now)
    # As stored, without a look at each value: a document of another version hides no other one.
    lines = [
        StudyLine.model_construct(**{**line, "readers": _others(call, line)}, progress=one)
        for line, one in zip(page.items, progress, strict=True)
    ]
    body = StudyList.model_construct(items=lines, next=page.next.text() if page.next else None)
    charge = {"Server-Timing": f"index;desc=queries-{page.queries}", "X-Request-Charge": f"{page.charge:.2f}"}
    # The cursor names the moment of the list: with it in the ETag, every poll would look new.
    essence = [body.model_dump(include={"items"}, warnings=False), page.next is not None]
    return answer_if_changed(call.request, body, essence, **charge)


def _others(call: Call, study: Mapping[str, Any]) -> list[str]:
    return readers.others(study.get("readers") or {}, call.person.id, call.now)


class OtherReaders(BaseModel):
    """Everybody else who is reading the study now, by name."""

    readers: list[str]


@routes.answers(OtherReaders)
def study_reading(call: Call) -> func.HttpResponse:
    """POST studies/{token}/reading: renews the caller's claim. It is a courtesy, no act: opening the study was one."""
    person = call.person
    with suppress(Contended):  # the next minute's claim comes soon
        guard.worklist().claim(
            str(call.study["clinic"]),
            str(call.study["id"]),
            lambda claims: readers.joined(claims, person.id, person.name, call.now),
        )
    return answer(OtherReaders(readers=_others(call, call.study)))


def _progress(studies: Sequence[Mapping[str, Any]], now: datetime) -> list[ProgressView | None]:
    """How far the analysis of each is; None, and nothing is read, where none is under way."""

    def look(study: Mapping[str, Any]) -> ProgressView | None:
        key = str(study.get("analysing") or "")  # a document of an earlier version has none
        return progress_view(papers.progress(str(study["id"]), key), now) if key else None

    if not any(study.get("analysing") for study in studies):
        return [None] * len(studies)
    with ThreadPoolExecutor(_PARALLEL) as pool:
        return list(pool.map(look, studies))


class Step(BaseModel):
    """Something that happened to the study. `at` is empty, and `seconds` is not, where only how long is known."""

    at: str
    what: str
    by: str
    seconds: float | None


class PriorLine(BaseModel):
    """Another study of the same person; `days`: how long after (or, negative, before) this one it was made."""

    id: str
    handle: str
    modality: str
    body_part: str
    label: Label
    review: ReviewState
    instances: int
    days: int | None


class CostLine(BaseModel):
    """What a study used of one thing, and what that costs at list prices."""

    what: str
    quantity: float
    per: str
    usd: float


class Cost(BaseModel):
    """What a study cost, at list prices."""

    usd: float
    job_seconds: float
    profile: str
    prices: str
    lines: list[CostLine]


class StudyDetail(Tagged):
    """What a study's page shows. `first`: key of the finding to look at first; empty where there is none."""

    study: StudyRecord
    first: str
    review: Review
    events: list[Event]
    timeline: list[Step]
    priors: list[PriorLine]
    cost: Cost
    progress: ProgressView | None


@routes.answers(StudyDetail)
def study(call: Call) -> func.HttpResponse:
    """GET studies/{token}."""
    record = StudyRecord.model_validate(call.study)
    events, review = review_of(record)
    first = first_to_read(record.findings)
    call.audit("allowed")
    cost = statistics.cost(record.model_dump(), settings().cost_profile)
    body = StudyDetail(
        study=record,
        first=first.key if first else "",
        review=review,
        events=events,
        timeline=[Step.model_validate(step) for step in statistics.timeline(record, events)],
        priors=_priors(call, record),
        cost=Cost.model_validate(cost),
        progress=_progress([call.study], call.now)[0],
    )
    return answer(body, etag=etag_of(record, review))


def _priors(call: Call, record: StudyRecord) -> list[PriorLine]:
    """Other studies of the same person at the same clinic, the latest first, each with how long before this one."""
    found = [s for s in guard.worklist().of_patient(record.clinic, record.patient) if s["id"] != record.id]
    if not found:
        return []
    with ThreadPoolExecutor(_PARALLEL) as pool:
        this, *others = pool.map(_day, [call.study, *found])
    priors = [PriorLine.model_construct(**statistics.prior(s, this, d)) for s, d in zip(found, others, strict=True)]
    return sorted(priors, key=lambda p: math.inf if p.days is None else -p.days)


def _day(study: Mapping[str, Any]) -> date | None:
    """The study's shifted day, moved beside those of the person that a merge has joined it to."""
    day = images.study_day(str(study["id"]))
    return day + timedelta(days=int(study.get("moved_days") or 0)) if day else None


class DeidReport(BaseModel):
    """The de-identification report. `harbor`: letter, identifier, what happened to it; `rules`: attribute, action,
    why, how often."""

    handle: str
    title: str
    legal: str
    facts: list[tuple[str, str]]
    harbor: list[tuple[str, str, str]]
    rules: list[tuple[str, str, str, int]]


@routes.answers(DeidReport, media=(*JSON, "text/html"))
def study_privacy(call: Call) -> func.HttpResponse:
    """GET studies/{token}/privacy: what de-identification did to this study; a printable page for who wants HTML."""
    record = StudyRecord.model_validate(call.study)
    receipts = papers.receipts(record.id)
    report = report_of(record.handle, _profile_of(receipts), receipts, record.refused)
    call.audit("allowed")
    if "text/html" in call.request.headers.get("Accept", ""):
        return guard.page(report_html(report))
    return answer(DeidReport.model_validate(asdict(report)))


def _profile_of(receipts: Iterable[Receipt]) -> Profile | None:
    """The profile that the receipts name, if it is one and still says what it said then."""
    named = {(r.profile, r.profile_digest) for r in receipts}
    for known in {settings().profile, *READY} if len(named) == 1 else ():
        profile = load_profile(known)
        if (profile.name, profile.digest) in named:
            return profile
    return None


@routes.answers(Accepted, status=202)
def study_replay(call: Call) -> func.HttpResponse:
    """POST studies/{token}/replay."""
    call.audit("allowed")
    call.command("replay", call.study["id"], _run_of(call))
    return answer(Accepted(), status=202)


@routes.answers(Accepted, status=202)
def study_cancel(call: Call) -> func.HttpResponse:
    """POST studies/{token}/cancel."""
    call.audit("allowed")
    call.command("cancel", call.study["id"], _run_of(call))
    return answer(Accepted(), status=202)


def _run_of(call: Call) -> dict[str, str]:
    """The run, for who finds no report of it yet: a study is listed while it is analysed."""
    return {"clinic": str(call.study["clinic"]), "run": str(call.study["run"])}


blueprint = routes.blueprint()
