"""Queue trigger `commands`: the only way into orchestrations from outside the intake app."""

from __future__ import annotations

import asyncio

import azure.durable_functions as df
import azure.functions as func
from pydantic import ValidationError

from orchestrations.alert import ACKNOWLEDGED
from orchestrations.runs import ensure, replay, run_of, start_once
from readfirst.adapters.studies import receipts
from readfirst.adapters.studies.parked import park
from readfirst.adapters.uploads import persons
from readfirst.adapters.uploads.ledger import ledger_of
from readfirst.domain import resource_names
from readfirst.domain.analysis.messages import Command
from readfirst.domain.workflow_messages import Erasure, alert_instance
from readfirst.services import merge_patients
from readfirst.services.decide_quarantined import answer, reject, release
from readfirst.services.write_signed_report import follow_review

blueprint = df.Blueprint()


@blueprint.queue_trigger(arg_name="message", queue_name=resource_names.COMMANDS, connection=resource_names.STUDIES)
@blueprint.durable_client_input(client_name="client")
async def take_command(message: func.QueueMessage, client: df.DurableOrchestrationClient) -> None:
    """Carries a command out. One that comes twice, or too late, changes nothing."""
    try:
        command = Command.model_validate_json(message.get_body())
    except ValidationError:
        await asyncio.to_thread(park, resource_names.COMMANDS, message.get_body().decode(errors="replace"))
        return
    if command.kind == "acknowledge":
        await _acknowledge(command, client)
    elif command.kind == "replay":
        if (run := await asyncio.to_thread(run_of, command)) is not None:
            await asyncio.to_thread(ledger_of(run.token).resume)
            await replay(client, run)
    elif command.kind == "release":
        await _release(command, client)
    elif command.kind == "reject":
        await asyncio.to_thread(reject, command.token, command.detail["arrival"])
    elif command.kind == "cancel":
        if (run := await asyncio.to_thread(run_of, command)) is not None:
            await start_once(client, "cancel_study", run.cancellation, run, over_is_done=False)
    elif command.kind == "verify":
        await asyncio.to_thread(follow_review, command.token, command.detail.get("clinic", ""))
    elif command.kind == "merge":
        detail = command.detail
        await asyncio.to_thread(merge_patients.merge, detail["clinic"], detail["patient"], detail["into"])
    else:
        doomed = Erasure.model_validate({"token": command.token, "by": command.by, "at": command.at, **command.detail})
        await start_once(client, "erase_study", doomed.instance, doomed, over_is_done=False)


async def _release(command: Command, client: df.DurableOrchestrationClient) -> None:
    """A study that waited for a word about its persons is done again; a single file gets a run of its own."""
    arrival, keep = command.detail["arrival"], command.detail.get("person", "")
    if (run := await asyncio.to_thread(answer, command.token, arrival, int(keep) if keep else None)) is not None:
        await replay(client, run)
        await asyncio.to_thread(persons.close, command.token, arrival)  # last: killed before, the command comes again
    elif (run := await asyncio.to_thread(release, command.token, arrival)) is not None:
        await ensure(client, run)
        await asyncio.to_thread(reject, command.token, arrival)  # last, as above


async def _acknowledge(command: Command, client: df.DurableOrchestrationClient) -> None:
    """Tells every alert of the study that somebody has it in hand."""
    for finding in await asyncio.to_thread(receipts.alerted, command.token):
        instance = alert_instance(command.token, finding)
        status = await client.get_status(instance)
        if status and status.runtime_status is df.OrchestrationRuntimeStatus.Running:
            await client.raise_event(instance, ACKNOWLEDGED, {"at": command.at})
