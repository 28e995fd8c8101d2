"""Analyse: order the AI's work, start the GPU job, and wait for the answer with a watchdog beside."""

from __future__ import annotations

import logging
from collections.abc import Generator
from datetime import datetime, timedelta
from typing import Any

import azure.durable_functions as df

from orchestrations.blueprint import STEP, blueprint, kind_of
from orchestrations.report import announce, tell
from readfirst.adapters import jobs
from readfirst.adapters.clock import now
from readfirst.adapters.settings import settings
from readfirst.adapters.studies import receipts
from readfirst.adapters.studies.receipts import Receipted
from readfirst.adapters.uploads.ledger import ledger_of
from readfirst.domain import blob_paths
from readfirst.domain.analysis.eligibility import Selection, is_unreadable
from readfirst.domain.analysis.messages import AnalysisRequest, InferenceRequest
from readfirst.domain.analysis.models import Manifest
from readfirst.domain.analysis.series_selection import Choice
from readfirst.domain.analysis.turns import Queue
from readfirst.domain.analysis.watchdog import Trouble, decide
from readfirst.domain.workflow_messages import (
    AnalysisOutcome,
    Answer,
    Plan,
    Report,
    Run,
    Watch,
    model_of,
    verdict_of,
)
from readfirst.services import close_books, plan_models

ANSWER = "inference"  # the external event that brings the job's answer
WAITING = "waiting: The model has not answered yet."
_GIVE_UP = timedelta(days=1)


@blueprint.orchestration_trigger(context_name="context")
def analyse(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    """Orders the analysis and waits for its answer; where the study gets several models, each has an orchestration."""
    given = context.get_input()
    if "watch" in given:
        return (yield from _answer_of(context, given, None))
    plan = Plan.model_validate((yield context.call_activity_with_retry(plan_analysis, STEP, given["run"])))
    if plan.outcome == "several":
        return (yield from _answers_of(context, Run.model_validate(given["run"]), plan))
    return (yield from _answer_of(context, given, plan))


@blueprint.orchestration_trigger(context_name="context")
def ask_model(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    """Asks one of several models, and waits for its answer."""
    given = context.get_input()
    if "plan" in given:
        plan = Plan.model_validate(given["plan"])
        return (yield from _answer_of(context, {"run": given["run"], "model": plan.model}, plan))
    if "watch" in given:
        return (yield from _answer_of(context, given, None))
    plan = Plan.model_validate((yield context.call_activity_with_retry(plan_model, STEP, given)))
    return (yield from _answer_of(context, given, plan))


def _answers_of(context: df.DurableOrchestrationContext, run: Run, plan: Plan) -> Generator[Any, Any, dict[str, Any]]:
    """Asks every model at once. One that fails takes nothing from the others, and none waits for a slower one: what
    one has said is told while the others work."""
    asked = [
        context.call_sub_orchestrator(
            ask_model, {"run": run.dump(), "plan": one.dump()}, model_of(context.instance_id, k)
        )
        for k, one in enumerate(plan.each, start=1)
    ]
    answers = [Answer(plan=one, verdict=AnalysisOutcome(outcome="waiting", reason=WAITING)) for one in plan.each]
    left = list(asked)
    while left:
        ended = yield context.task_any(left)
        left.remove(ended)
        k = asked.index(ended)
        try:
            answers[k] = Answer.model_validate((yield ended))
        except Exception as fault:
            failed = AnalysisOutcome(outcome="failed", reason=f"stage-fault: {kind_of(fault)}")
            answers[k] = Answer(plan=plan.each[k], verdict=failed)
        verdict = verdict_of(answers)
        if left and verdict.outcome == "analysed":
            yield from tell(context, Report(run=run, verdict=verdict, each=tuple(answers)))
    return {**_over(plan, verdict_of(answers)), "each": [one.dump() for one in answers]}


def _answer_of(
    context: df.DurableOrchestrationContext, given: dict[str, Any], plan: Plan | None
) -> Generator[Any, Any, Any]:
    """Requests what was planned, once, then waits for the answer; looks after it whenever that keeps us waiting."""
    anew: dict[str, Any] = {name: given[name] for name in ("run", "model") if name in given}
    if plan is not None:
        if plan.outcome == "out-of-scope":
            return _over(plan, AnalysisOutcome(outcome="out-of-scope", reason=plan.reason))
        if plan.outcome == "known":
            return _over(plan, AnalysisOutcome(outcome="analysed"))
        watch = Watch(run=Run.model_validate(given["run"]), plan=plan, instance=context.instance_id)
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
            context.continue_as_new(anew)  # the next best series is planned
            return None
        return _over(watch.plan, verdict)
    looked = AnalysisOutcome.model_validate(
        (yield context.call_activity_with_retry(watch_analysis, STEP, watch.dump()))
    )
    if is_unreadable(looked.outcome, looked.reason):
        context.continue_as_new(anew)
        return None
    if looked.outcome != "waiting":
        return _over(watch.plan, looked)
    context.continue_as_new(anew | {"watch": watch.later(looked.reason).dump()})
    return None


def _over(plan: Plan, verdict: AnalysisOutcome) -> dict[str, Any]:
    return {"plan": plan.dump(), "verdict": verdict.dump()}


@blueprint.activity_trigger(input_name="run")
def plan_analysis(run: dict[str, Any]) -> dict[str, Any]:
    """Routes the study to its models, chooses the series of each by its gate, writes the orders, and lists the study.
    No receipt, no inference."""
    this = Run.model_validate(run)
    receipted = receipts.receipted(this.token, this.n)
    routing = plan_models.routing_of(this, receipted)
    receipts.note_routing(this.token, this.n, routing.kept)
    plan = plan_models.plans_of(this, routing, _ordering(this, receipted))
    ordered = [one.run_key for one in (plan, *plan.each) if one.outcome == "ordered"]
    if ordered:
        announce(this, receipted, ordered[0])
    return plan.dump()


@blueprint.activity_trigger(input_name="asked")
def plan_model(asked: dict[str, Any]) -> dict[str, Any]:
    """Plans one of several models again, after a series that could not be decoded."""
    this = Run.model_validate(asked["run"])
    receipted = receipts.receipted(this.token, this.n)
    return plan_models.plan_again(this, receipted, asked["model"], _ordering(this, receipted)).dump()


def _ordering(run: Run, receipted: Receipted) -> plan_models.Order:
    """What writes the order of a model's work for the job."""
    ledger = ledger_of(run.token)

    def order(model: Manifest, choice: Choice, chosen: Selection, key: str) -> None:
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

    return order


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
