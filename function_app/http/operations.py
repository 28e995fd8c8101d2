"""App `api`: what operators and privacy officers look at: figures, models, the audit log."""

from __future__ import annotations

from datetime import timedelta

import azure.functions as func

from function_app.http import guard
from function_app.http.guard import Call, Problem, answer, answer_if_changed
from readfirst.adapters import audit_log as audit_blobs
from readfirst.adapters import clients
from readfirst.adapters.settings import settings
from readfirst.adapters.studies.study_index import iso
from readfirst.domain import resource_names
from readfirst.domain.access.audit_chain import Entry
from readfirst.domain.operations import statistics

_AUDIT_PAGE = 500
_AUDIT_DAYS = 7  # `readfirst audit verify` looks at all


def models(call: Call) -> func.HttpResponse:
    """GET models: the models that spoke in the last year, and how often."""
    records = guard.worklist().since(call.person.clinics, iso(call.now - timedelta(days=365)))
    return answer_if_changed(call.request, {"models": statistics.models(records)})


def audit(call: Call) -> func.HttpResponse:
    """GET audit?app=&day=: a day's entries on the person's clinics, newest first, and whether the chain is whole."""
    app = call.query("app", "identity")
    if app not in ("intake", "api", "identity"):
        raise Problem(400, "no-such-app", "`app` is intake, api or identity.")
    container = clients.container(resource_names.AUDIT, resource_names.audit(app))
    checks = [{"day": d, "entries": n, "broken_at": b} for d, n, b in audit_blobs.verify(container, app, _AUDIT_DAYS)]
    day = call.query("day") or (checks[-1]["day"] if checks else "")
    lines = audit_blobs.lines(container, str(day)) if day in {c["day"] for c in checks} else []
    call.audit("allowed")
    entries = [Entry.model_validate_json(line) for line in lines]
    own = [e.model_dump() for e in entries if not e.clinic or e.clinic in call.person.clinics]
    return answer({"app": app, "day": day, "days": checks, "entries": own[-_AUDIT_PAGE:][::-1]})


def ops_view(call: Call) -> func.HttpResponse:
    """GET ops?days=: the figures of the person's clinics."""
    days = guard.number(call.query("days", "30"), 1, 366)
    since = iso(call.now - timedelta(days=days))
    records = guard.worklist().since(call.person.clinics, since)
    return answer_if_changed(call.request, statistics.figures(records, iso(call.now), settings().cost_profile))


HANDLERS = {"models": models, "audit": audit, "ops": ops_view}

blueprint = guard.blueprint("api", HANDLERS)
