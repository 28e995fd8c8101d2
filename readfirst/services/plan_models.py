"""Planning: which models a run's study gets, which series each reads, and what of that is done already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from readfirst.adapters.studies import model_changes, receipts
from readfirst.adapters.studies.receipts import Receipted
from readfirst.adapters.uploads.ledger import ledger_of
from readfirst.domain.analysis.eligibility import Selection, is_unreadable
from readfirst.domain.analysis.models import Manifest, approved, approved_by_digest
from readfirst.domain.analysis.series_selection import Choice, choose, run_key
from readfirst.domain.routing.changes import as_deployed, in_order
from readfirst.domain.routing.routes import Routing, route, routes
from readfirst.domain.workflow_messages import Plan, Run

Order = Callable[[Manifest, Choice, Selection, str], None]
"""Writes the order of a model's work on a selection, under its run key."""

NO_MODEL = "no-model: No route leads this study to a model."
WITHDRAWN = "model-not-approved: The model was withdrawn while the study was analysed."


def routing_of(run: Run, receipted: Receipted) -> Routing:
    """Which models the run's study gets, by what two persons have activated, and by the table that is in force."""
    words = ledger_of(run.token).complete()
    purpose = words.purpose if words else "current"
    known = approved()
    history = model_changes.history(as_deployed(known, routes()))
    models, off = in_order(history.state, known)
    routing = route(receipted.instances, run.clinic, purpose, history.state.table, models, off)
    return replace(routing, change=history.number)


def plans_of(run: Run, routing: Routing, order: Order) -> Plan:
    """The plan for every model that the study gets; `order` is called for each whose work is not done yet."""
    each = tuple(plan_of(run.token, one.model, one.choice, order) for one in routing.asked)
    if len(each) > 1:
        return Plan(outcome="several", each=each)
    if each:
        return each[0]
    nearest = routing.nearest
    if nearest is None or nearest.choice is None or nearest.choice.refusal is None:
        return Plan(outcome="out-of-scope", reason=NO_MODEL)
    refusal = nearest.choice.refusal
    return Plan(outcome="out-of-scope", reason=f"{refusal.code}: {refusal.text}", model=nearest.model.digest)


def plan_again(run: Run, receipted: Receipted, digest: str, order: Order) -> Plan:
    """The plan for one model that was asked before, whatever the table says by now."""
    model = approved_by_digest(digest)
    if model is None:
        return Plan(outcome="out-of-scope", reason=WITHDRAWN, model=digest)
    return plan_of(run.token, model, choose(receipted.instances, model.gate), order)


def plan_of(token: str, model: Manifest, choice: Choice, order: Order) -> Plan:
    """The best selection that has no result yet is ordered; a series that the job could not decode has a result that
    says so, and the next best is taken."""
    said = f"{choice.refusal.code}: {choice.refusal.text}" if choice.refusal else ""
    plan = Plan(outcome="out-of-scope", reason=said, model=model.digest)
    for chosen in choice.selections:
        key = run_key(chosen, model.digest)
        found = receipts.result(token, key)
        if found is None:
            order(model, choice, chosen, key)
            return Plan(outcome="ordered", run_key=key, model=model.digest)
        if found.outcome == "analysed":
            return Plan(outcome="known", run_key=key, model=model.digest)
        # The job itself has found the study out of scope: its pictures are judged there.
        plan = Plan(outcome="out-of-scope", run_key=key, reason=found.reason, model=model.digest)
        if not is_unreadable(found.outcome, found.reason):
            break
    return plan
