"""Queue trigger `deliveries`: what became of an e-mail goes to the alert that waits for it."""

from __future__ import annotations

import asyncio

import azure.durable_functions as df
import azure.functions as func

from orchestrations.alert import REPORTED
from readfirst.adapters import mail
from readfirst.adapters.studies.parked import park
from readfirst.domain import resource_names
from readfirst.domain.event_grid import delivery
from readfirst.domain.reading.alert_email import finding_of
from readfirst.domain.workflow_messages import alert_instance
from readfirst.services import list_study

blueprint = df.Blueprint()


@blueprint.queue_trigger(arg_name="message", queue_name=resource_names.DELIVERIES, connection=resource_names.STUDIES)
@blueprint.durable_client_input(client_name="client")
async def take_delivery(message: func.QueueMessage, client: df.DurableOrchestrationClient) -> None:
    """Keeps the report and wakes the alert. One that comes twice, or late, changes nothing."""
    try:
        report = delivery(message.get_json())
    except ValueError:
        await asyncio.to_thread(park, resource_names.DELIVERIES, message.get_body().decode(errors="replace"))
        return
    letter = await asyncio.to_thread(mail.keep_report, report) if report else None
    if report is None or letter is None:
        return
    token, name = letter
    if report.arrived:
        await asyncio.to_thread(list_study.amend, token, lambda there: there.model_copy(update={"undelivered": ""}))
    instance = alert_instance(token, finding_of(name))
    status = await client.get_status(instance)
    if status and status.runtime_status is df.OrchestrationRuntimeStatus.Running:
        await client.raise_event(instance, REPORTED, {"status": report.status})
