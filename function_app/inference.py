"""Queue trigger: the job's answers become the external event that their orchestration waits for."""

from __future__ import annotations

import asyncio

import azure.durable_functions as df
import azure.functions as func

from orchestrations.analyse import ANSWER
from orchestrations.messages import Run, Verdict
from orchestrations.runs import replay
from readfirst.adapters import index
from readfirst.domain import names
from readfirst.domain.messages import InferenceAnswer

blueprint = df.Blueprint()


@blueprint.queue_trigger(arg_name="message", queue_name=names.INFERENCE_RESULTS, connection=names.STUDIES)
@blueprint.durable_client_input(client_name="client")
async def take_answer(message: func.QueueMessage, client: df.DurableOrchestrationClient) -> None:
    """Hands the answer over. One that comes after the deadline is still told: the failed run is replayed."""
    answer = InferenceAnswer.model_validate_json(message.get_body())
    status = await client.get_status(answer.instance)
    if status and status.runtime_status is df.OrchestrationRuntimeStatus.Running:
        verdict = Verdict(outcome=answer.outcome, reason=answer.detail)
        await client.raise_event(answer.instance, ANSWER, verdict.dump())
    elif answer.outcome != "failed":
        record = await asyncio.to_thread(index.read, answer.token)
        if record is not None and record.state == "failed":
            await replay(client, Run(token=record.id, clinic=record.clinic, n=record.run))
