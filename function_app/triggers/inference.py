"""Queue trigger: the job's answers become the external event that their orchestration waits for."""

from __future__ import annotations

import asyncio

import azure.durable_functions as df
import azure.functions as func
from pydantic import ValidationError

from orchestrations.analyse import ANSWER
from orchestrations.runs import replay
from readfirst.adapters.studies.parked import park
from readfirst.adapters.uploads.ledger import ledger_of
from readfirst.domain import resource_names
from readfirst.domain.analysis.messages import InferenceAnswer
from readfirst.domain.reading.build_record import lacks_result
from readfirst.domain.workflow_messages import AnalysisOutcome, Run
from readfirst.services import list_study

blueprint = df.Blueprint()


@blueprint.queue_trigger(
    arg_name="message", queue_name=resource_names.INFERENCE_RESULTS, connection=resource_names.STUDIES
)
@blueprint.durable_client_input(client_name="client")
async def take_answer(message: func.QueueMessage, client: df.DurableOrchestrationClient) -> None:
    """Hands the answer over. One that comes too late is still told: the failed run is replayed, unless called off."""
    try:
        answer = InferenceAnswer.model_validate_json(message.get_body())
    except ValidationError:
        await asyncio.to_thread(park, resource_names.INFERENCE_RESULTS, message.get_body().decode(errors="replace"))
        return
    status = await client.get_status(answer.instance)
    if status and status.runtime_status is df.OrchestrationRuntimeStatus.Running:
        verdict = AnalysisOutcome(outcome=answer.outcome, reason=answer.detail)
        await client.raise_event(answer.instance, ANSWER, verdict.dump())
    elif answer.outcome != "failed" and (run := await asyncio.to_thread(_lacking, answer.token)) is not None:
        await replay(client, run)


def _lacking(token: str) -> Run | None:
    """The study's last run, if it failed and its result is still wanted."""
    record = list_study.read(token)
    if record is None or not lacks_result(record) or ledger_of(token).cancelled(record.run):
        return None
    return Run(token=record.id, clinic=record.clinic, n=record.run)
