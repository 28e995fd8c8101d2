"""App `api`: what operators and privacy officers look at: figures, models, the audit log."""

from __future__ import annotations

from datetime import timedelta

import azure.functions as func
from pydantic import BaseModel, ConfigDict

from function_app.http import guard
from function_app.http.guard import Call, Problem, answer, answer_if_changed
from function_app.http.routes import Routes, Tagged
from readfirst.adapters import audit_log as audit_blobs
from readfirst.adapters import clients
from readfirst.adapters.settings import settings
from readfirst.adapters.studies import parked
from readfirst.adapters.studies.study_index import iso
from readfirst.domain import resource_names
from readfirst.domain.access.audit_chain import Entry
from readfirst.domain.analysis.findings import ModelIdentity
from readfirst.domain.operations import statistics
from readfirst.domain.operations.failures import failures as listed
from readfirst.domain.pseudonyms import handle_of

_AUDIT_PAGE = 500
_AUDIT_DAYS = 7  # `readfirst audit verify` looks at all


routes = Routes("api")


class UsedModel(ModelIdentity):
    """A model, and how many studies it spoke of."""

    model_config = ConfigDict(extra="ignore")  # records are of many versions

    studies: int


class ModelList(Tagged):
    """The models that spoke, the most used first."""

    models: list[UsedModel]


@routes.answers(ModelList)
def models(call: Call) -> func.HttpResponse:
    """GET models: the models that spoke in the last year, and how often."""
    records = guard.worklist().since(call.person.clinics, iso(call.now - timedelta(days=365)))
    return answer_if_changed(call.request, ModelList.model_validate({"models": statistics.models(records)}))


class AuditDay(BaseModel):
    """A day of an audit log; `broken_at`: the entry where its chain does not hold."""

    day: str
    entries: int
    broken_at: int | None


class AuditLog(BaseModel):
    """A day's entries on the person's clinics, newest first, and the days that can be asked for."""

    app: str
    day: str
    days: list[AuditDay]
    entries: list[Entry]


@routes.answers(AuditLog)
def audit(call: Call) -> func.HttpResponse:
    """GET audit?app=&day=: a day's entries on the person's clinics, newest first, and whether the chain is whole."""
    app = call.query("app", "identity")
    if app not in ("intake", "api", "identity"):
        raise Problem(400, "no-such-app", "`app` is intake, api or identity.")
    container = clients.container(resource_names.AUDIT, resource_names.audit(app))
    checks = [AuditDay(day=d, entries=n, broken_at=b) for d, n, b in audit_blobs.verify(container, app, _AUDIT_DAYS)]
    day = call.query("day") or (checks[-1].day if checks else "")
    lines = audit_blobs.lines(container, day) if day in {c.day for c in checks} else []
    call.audit("allowed")
    entries = [Entry.model_validate_json(line) for line in lines]
    own = [_shown(e) for e in entries if not e.clinic or e.clinic in call.person.clinics]
    return answer(AuditLog(app=app, day=day, days=checks, entries=own[-_AUDIT_PAGE:][::-1]))


def _shown(entry: Entry) -> Entry:
    """An entry with the handle of its study, which older entries do not name."""
    handle = entry.handle or (handle_of(entry.token) if entry.token else "")
    return entry.model_copy(update={"handle": handle})


class PerDay(BaseModel):
    """Studies received on a day."""

    day: str
    high_risk: int
    other: int


class StageTime(BaseModel):
    """How long a stage took, in seconds."""

    stage: str
    median: float
    p95: float
    count: int


class SpentOn(BaseModel):
    """What the studies of a day cost."""

    day: str
    usd: float


class Spend(BaseModel):
    """What the studies cost at list prices, and what a month costs without any (USD)."""

    per_day: list[SpentOn]
    studies: float
    fixed_a_month: float
    profile: str
    prices: str


class ModelRecord(BaseModel):
    """What signed reviews of a month say of a model."""

    model: str
    month: str
    signed: int
    confirmed: int
    rejected: int
    positive_predictive_value: float | None
    missed: int
    minutes_to_review: float


class Figures(Tagged):
    """The figures of a period. Counts are by code."""

    spend: Spend
    studies: int
    per_day: list[PerDay]
    states: dict[str, int]
    labels: dict[str, int]
    stages: list[StageTime]
    not_analysed: dict[str, int]
    refused: dict[str, int]
    alerts_not_sent: int
    past_due: int
    models: list[ModelRecord]


@routes.answers(Figures, rules=("ops",))
def ops_view(call: Call) -> func.HttpResponse:
    """GET ops?days=: the figures of the person's clinics."""
    days = guard.number(call.query("days", "30"), 1, 366)
    since = iso(call.now - timedelta(days=days))
    records = guard.worklist().since(call.person.clinics, since)
    figures = statistics.figures(records, iso(call.now), settings().cost_profile)
    return answer_if_changed(call.request, Figures.model_validate(figures))


class FailedStudy(BaseModel):
    """A study that is not as it should be, and what to do; `replay`: a second run can help once the cause is gone."""

    token: str
    handle: str
    clinic: str
    since: str
    stage: str
    cause: str
    remedy: str
    replay: bool


class FailureList(Tagged):
    """Studies by the time of their last change, and how many messages are parked, by queue."""

    studies: list[FailedStudy]
    parked: dict[str, int]


@routes.answers(FailureList)
def failures(call: Call) -> func.HttpResponse:
    """GET failures: what went wrong in the person's clinics and is not over."""
    found = listed(guard.worklist().unsettled(call.person.clinics))
    studies = [FailedStudy.model_validate(one._asdict()) for one in found]
    return answer_if_changed(call.request, FailureList(studies=studies, parked=parked.counts()))


blueprint = routes.blueprint()
