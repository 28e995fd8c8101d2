"""The way of a study: settle, de-identify, analyse, report, alert. Decisions and yields, nothing else."""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime, timedelta
from typing import Any

import azure.durable_functions as df

from orchestrations.analyse import analyse
from orchestrations.blueprint import SEALING, STEP, blueprint, kind_of
from orchestrations.deidentify import WORKERS, deidentify_batches, hold_study, workers_for
from orchestrations.report import LATE, tell
from orchestrations.settle import look_and_seal, start_next
from readfirst.domain.workflow_messages import (
    AnalysisOutcome,
    Batches,
    Look,
    Plan,
    Report,
    Run,
    analysis_of,
    reading_of,
)

_BATCH_ROUNDS = 50  # rounds of at most four minutes: a run of 20,000 files needs a few


@blueprint.orchestration_trigger(context_name="context")
def run_study(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    """One run: waits until the study is quiet, takes its files, and sees that they are read or told as not read."""
    run = Run.model_validate(context.get_input())
    look = Look.model_validate((yield context.call_activity_with_retry(look_and_seal, SEALING, run.dump())))
    if look.wait is not None:
        yield context.create_timer(context.current_utc_datetime + timedelta(seconds=look.wait))
        context.continue_as_new(run.dump())
        return None
    yield context.call_activity_with_retry(start_next, SEALING, run.dump())
    if look.files == 0:
        return "no files left to take"
    return (yield from _read_or_tell(context, run, look.deadline))


@blueprint.orchestration_trigger(context_name="context")
def replay_study(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    """Does what a sealed run did, once more: what is done already is found and costs nothing."""
    return (yield from _read_or_tell(context, Run.model_validate(context.get_input())))


def _read_or_tell(context: df.DurableOrchestrationContext, run: Run, deadline: str = "") -> Generator[Any, Any, Any]:
    """Reads the study; where that fails for good, its readers are told that it was not analysed.

    Where it takes longer than the deadline, they are told to read it as usual meanwhile, and the work goes on. A run
    that sealed under version 1.0 has no deadline here.
    """
    reading = context.call_sub_orchestrator(read_study, run.dump(), reading_of(context.instance_id))
    if deadline:
        overdue = context.create_timer(datetime.fromisoformat(deadline))  # one that is past fires at once
        winner = yield context.task_any([reading, overdue])
        if winner == overdue:
            yield from tell(context, _failed(run, LATE))
        else:
            overdue.cancel()
    try:
        return (yield reading)
    except Exception as fault:
        yield from tell(context, _failed(run, f"stage-fault: {kind_of(fault)}"))
        return "failed"


def _failed(run: Run, reason: str) -> Report:
    return Report(run=run, verdict=AnalysisOutcome(outcome="failed", reason=reason))


@blueprint.orchestration_trigger(context_name="context")
def read_study(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    """What happens to the files of one run, from the first clean copy to the alert."""
    run = Run.model_validate(context.get_input())
    began = context.current_utc_datetime
    workers = yield context.call_activity_with_retry(workers_for, STEP, run.dump())
    if not workers:  # never in a history from before persons were decided
        held = yield context.call_activity_with_retry(hold_study, STEP, run.dump())
        if held:
            kept_back = Report(run=run, verdict=AnalysisOutcome(outcome="quarantined", reason=held))
            yield from tell(context, kept_back)
            return kept_back.verdict.outcome
        workers = WORKERS
    for _ in range(_BATCH_ROUNDS):
        shares = [Batches(run=run, worker=w, of=workers).dump() for w in range(min(workers, WORKERS))]
        left = yield context.task_all([context.call_activity_with_retry(deidentify_batches, STEP, s) for s in shares])
        if not any(left):
            break
    deidentified = context.current_utc_datetime
    analysis = yield context.call_sub_orchestrator(analyse, {"run": run.dump()}, analysis_of(context.instance_id))
    analysed = context.current_utc_datetime
    told = Report(
        run=run,
        plan=Plan.model_validate(analysis["plan"]),
        verdict=AnalysisOutcome.model_validate(analysis["verdict"]),
        each=analysis.get("each", ()),
        seconds={
            "deidentify": (deidentified - began).total_seconds(),
            "analyse": (analysed - deidentified).total_seconds(),
        },
        analysed=analysed.isoformat(),
    )
    yield from tell(context, told)
    return told.verdict.outcome
