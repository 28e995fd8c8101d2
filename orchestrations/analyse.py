"""Analyse: order the AI's work, start the GPU job, and wait for the answer with a watchdog beside."""

from __future__ import annotations

import logging
from collections.abc import Generator
from datetime import datetime, timedelta
from typing import Any

import azure.durable_functions as df

from orchestrations.blueprint import STEP, blueprint
from orchestrations.report import announce
from readfirst.adapters import jobs
from readfirst.adapters.clock import now
from readfirst.adapters.settings import settings
from readfirst.adapters.studies import receipts
from readfirst.adapters.studies.receipts import Receipted
from readfirst.adapters.uploads.ledger import ledger_of
from readfirst.domain import blob_paths
from readfirst.domain.analysis.eligibility import Selection, is_unreadable
from readfirst.domain.analysis.messages import AnalysisRequest, InferenceRequest
from readfirst.domain.analysis.models import default_model
from readfirst.domain.analysis.series_selection import Choice, choose, run_key
from readfirst.domain.analysis.turns import Queue
from readfirst.domain.analysis.watchdog import Trouble, decide
from readfirst.domain.workflow_messages import AnalysisOutcome, Plan, Run, Watch
from readfirst.services import close_books

ANSWER = "inference"  # the external event that brings the job's answer
_GIVE_UP = timedelta(days=1)


@blueprint.orchestration_trigger(context_name="context")
def analyse(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    """Orders the analysis once, then waits for its answer; looks after it whenever the answer keeps us waiting."""
    given = context.get_input()
    run = Run.model_validate(given["run"])
    if "watch" not in given:
        plan = Plan.model_validate((yield context.call_activity_with_retry(plan_analysis, STEP, run.dump())))
        if plan.outcome == "out-of-scope":
            return _over(plan, AnalysisOutcome(outcome="out-of-scope", reason=plan.reason))
        if plan.outcome == "known":
            return _over(plan, AnalysisOutcome(outcome="analysed"))
        watch = Watch(run=run, plan=plan, instance=context.instance_id)
        watch = Watch.model_validate((yield context.call_activity_with_retry(request_analysis, STEP, watch.dump())))
    else:
        watch = Watch.model_validate(given["watch"])
    answer = context.wait_for_external_event(ANSWER)
    patience = context.create_timer(context.current_utc_datetime + timedelta(seconds=watch.patience))
    winner = yield context.task_any([answer, patience])
    if winner == answer:
        patience.cancel()
        told = AnalysisOutcome.model_validate_json(answer.result) if isinstance(answer.result, str) else answer.result
        verdict = AnalysisOutcome.model_validate(told)
        if is_unreadable(verdict.outcome, verdict.reason):
            context.continue_as_new({"run": run.dump()})  # the next best series is planned
            return None
        return _over(watch.plan, verdict)
    looked = AnalysisOutcome.model_validate(
        (yield context.call_activity_with_retry(watch_analysis, STEP, watch.dump()))
    )
    if is_unreadable(looked.outcome, looked.reason):
        context.continue_as_new({"run": run.dump()})
        return None
    if looked.outcome != "waiting":
        return _over(watch.plan, looked)
    context.continue_as_new({"run": run.dump(), "watch": watch.later(looked.reason).dump()})
    return None


def _over(plan: Plan, verdict: AnalysisOutcome) -> dict[str, Any]:
    return {"plan": plan.dump(), "verdict": verdict.dump()}


@blueprint.activity_trigger(input_name="run")
def plan_analysis(run: dict[str, Any]) -> dict[str, Any]:
    """Chooses the series by the model's gate, writes the order, and lists the study. No receipt, no inference.

    A series that the job could not decode has a result that says so: the next best one is taken.
    """
    this = Run.model_validate(run)
    receipted = receipts.receipted(this.token, this.n)
    model = default_model()
    choice = choose(receipted.instances, model.gate)
    plan = Plan(
        outcome="out-of-scope", reason=f"{choice.refusal.code}: {choice.refusal.text}" if choice.refusal else ""
    )
    for chosen in choice.selections:
        key = run_key(chosen, model.digest)
        found = receipts.result(this.token, key)
        if found is None:
            _order(this, receipted, choice, chosen, key)
            return Plan(outcome="ordered", run_key=key).dump()
        if found.outcome == "analysed":
            return Plan(outcome="known", run_key=key).dump()
        # The job itself has found the study out of scope: its pictures are judged there.
        plan = Plan(outcome="out-of-scope", run_key=key, reason=found.reason)
        if not is_unreadable(found.outcome, found.reason):
            break
    return plan.dump()


def _order(run: Run, receipted: Receipted, choice: Choice, chosen: Selection, key: str) -> None:
    model, ledger = default_model(), ledger_of(run.token)
    receipts.order(
        AnalysisRequest(
            token=run.token,
            handle=ledger.handle(),
            run_key=key,
            model_name=model.name,
            model_digest=model.digest,
            series_uid=chosen.series_uid,
            instances=tuple(chosen.instances),
            receipts=receipted.receipts,
            missing=chosen.missing,
            accounting=close_books.close(ledger, run.n, receipted, choice, chosen, model.gate),
        )
    )
    announce(run, receipted, key)


@blueprint.activity_trigger(input_name="watch")
def request_analysis(watch: dict[str, Any]) -> dict[str, Any]:
    """Puts the request on the queue, starts the job, and sets the deadline after which nobody waits any more.

    It is a day later than the one after which the study's readers are told (`Look.deadline`): capacity that comes
    back, or a service, still brings the result.
    """
    this = Watch.model_validate(watch)
    jobs.request(_request(this), _queue(this))
    trouble = jobs.start()
    if trouble:
        receipts.note_trouble(this.run.token, this.run.n, trouble)
    requested = now()
    deadline = requested + timedelta(minutes=settings().inference_deadline_minutes) + _GIVE_UP
    return this.model_copy(
        update={
            "requested": requested.isoformat(),
            "deadline": deadline.isoformat(),
            "patience": settings().inference_look_seconds,
            "trouble": trouble or "",
        }
    ).dump()


@blueprint.activity_trigger(input_name="watch")
def watch_analysis(watch: dict[str, Any]) -> dict[str, Any]:
    """Looks whether the result is there, whether a job gets on with it, and whether the deadline has passed.

    The rule is `domain.analysis.watchdog.decide`; the study's record names what was wrong when the deadline passes.
    """
    this = Watch.model_validate(watch)
    found = receipts.result(this.run.token, this.plan.run_key)
    if found is not None:
        return AnalysisOutcome(outcome=found.outcome, reason=found.reason).dump()
    overdue = now() >= datetime.fromisoformat(this.deadline)
    trouble = _look_after(this, overdue)
    if overdue:
        why = trouble or this.trouble or "deadline"
        return AnalysisOutcome(outcome="failed", reason=f"{why}: the analysis did not end in time").dump()
    if trouble and trouble != this.trouble:
        receipts.note_trouble(this.run.token, this.run.n, trouble)
    return AnalysisOutcome(outcome="waiting", reason=trouble or "").dump()


def _look_after(watch: Watch, overdue: bool) -> Trouble | None:
    """Does what the watchdog decides. A service that does not answer is looked at again: it ends no analysis."""
    from azure.core.exceptions import AzureError

    try:
        steps = decide(
            jobs.executions(),
            queued=jobs.requests_waiting(),
            requested=datetime.fromisoformat(watch.requested),
            now=now(),
            policy=jobs.policy(),
        )
        for hung in steps.stop:
            jobs.stop(hung)
        if overdue:
            return steps.trouble
        if steps.ask_again:
            jobs.request(_request(watch), _queue(watch))
        return (jobs.start(steps.start) if steps.start else None) or steps.trouble
    except AzureError as error:
        logging.warning("the job cannot be looked at: %s", type(error).__name__)
        return Trouble.NOT_SEEN


def _queue(watch: Watch) -> Queue:
    complete = ledger_of(watch.run.token).complete()
    return complete.priority if complete else "routine"


def _request(watch: Watch) -> InferenceRequest:
    return InferenceRequest(
        token=watch.run.token,
        run_key=watch.plan.run_key,
        instance=watch.instance,
        order=blob_paths.order_path(watch.run.token, watch.plan.run_key),
    )
