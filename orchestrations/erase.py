"""Erase: a study that must be forgotten is stopped and swept away until nothing of it comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from datetime import timedelta
from typing import Any

import azure.durable_functions as df

from orchestrations.blueprint import SEALING, blueprint
from orchestrations.report import CANCELLED, tell
from orchestrations.settle import seal_rest
from readfirst.adapters import clients
from readfirst.adapters.studies import receipts
from readfirst.adapters.uploads.ledger import ledger_of
from readfirst.domain import resource_names
from readfirst.domain.analysis.messages import Command
from readfirst.domain.workflow_messages import AnalysisOutcome, Erasure, Report, Run, alert_instance
from readfirst.services import erase_study as erasure

_BETWEEN_SWEEPS = timedelta(minutes=10)  # longer than an activity or a job's analysis that was under way
_ALIVE = {"Running", "Pending", "ContinuedAsNew", "Suspended"}


@blueprint.orchestration_trigger(context_name="context")
def erase_study(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    """Sweeps until nothing is found: what was under way when the study was stopped may still have written something."""
    doomed = Erasure.model_validate(context.get_input())
    if not doomed.again:
        yield context.call_activity_with_retry(stop_runs, SEALING, doomed.token)
    found = yield context.call_activity_with_retry(sweep, SEALING, doomed.dump())
    if not found:
        return "erased"
    yield context.create_timer(context.current_utc_datetime + _BETWEEN_SWEEPS)
    context.continue_as_new(doomed.next.dump())
    return None


@blueprint.orchestration_trigger(context_name="context")
def cancel_study(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    """Calls off what a study is doing; its readers are told that it was not analysed.

    What was reported before stays, and so do its alerts: only a replay, or files that are sent later, begin again.
    """
    run = Run.model_validate(context.get_input())
    run = Run.model_validate((yield context.call_activity_with_retry(cancel_runs, SEALING, run.dump())))
    if not run.n:
        return "nothing to cancel"
    told = Report(run=run, verdict=AnalysisOutcome(outcome="failed", reason=CANCELLED))
    yield from tell(context, told)
    return "cancelled"


@blueprint.activity_trigger(input_name="token")
@blueprint.durable_client_input(client_name="client")
async def stop_runs(token: str, client: df.DurableOrchestrationClient) -> int:
    """Stops every orchestration of the study, the alerts' too. Returns how many were under way."""
    alerts = [alert_instance(token, finding) for finding in receipts.alerted(token)]
    return await _stop(client, [*_instances(token, ledger_of(token).runs() + 1), *alerts])


@blueprint.activity_trigger(input_name="run")
@blueprint.durable_client_input(client_name="client")
async def cancel_runs(run: dict[str, Any], client: df.DurableOrchestrationClient) -> dict[str, Any]:
    """Calls off every run of the study that has files, the one that still settles too. Returns the last one; 0: none.

    Sealing comes first: every file belongs to a run then, which a replay takes up again. Then the note in the ledger,
    which holds back what is started by somebody who has not seen it; then what is under way is stopped.
    """
    this = Run.model_validate(run)
    ledger = ledger_of(this.token)
    last = await asyncio.to_thread(seal_rest, ledger)
    await asyncio.to_thread(ledger.cancel, last)
    await _stop(client, _instances(this.token, last))
    return this.model_copy(update={"n": last}).dump()


def _instances(token: str, runs: int) -> list[str]:
    each = (Run(token=token, clinic="", n=n) for n in range(1, runs + 1))  # no id names the clinic
    return [instance for run in each for instance in run.instances()]


async def _stop(client: df.DurableOrchestrationClient, instances: list[str]) -> int:
    stopped = 0
    for instance in instances:
        status = await client.get_status(instance)
        if status and status.runtime_status and status.runtime_status.value in _ALIVE:
            await client.terminate(instance, "stopped on request")
            stopped += 1
    return stopped


@blueprint.activity_trigger(input_name="doomed")
def sweep(doomed: dict[str, Any]) -> int:
    """Erases what this app holds, then asks app `identity` for the rest. Returns how many things were found here.

    A study whose files have arrived since the first sweep was sent again: it is a new study, and stays.
    """
    this = Erasure.model_validate(doomed)
    if this.again and ledger_of(this.token).notes():
        return 0
    found = erasure.sweep_uploads_and_studies(this.token, this.clinic, this.handle)
    command = Command(kind="erase", token=this.token, by=this.by, at=this.at, detail={"clinic": this.clinic})
    clients.queue(resource_names.ERASURES).send_message(command.model_dump_json())
    return found
