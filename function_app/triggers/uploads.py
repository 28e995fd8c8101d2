"""Uploads: what wakes intake when a blob has arrived.

On a developer's machine one blob trigger per clinic's inbox, because a trigger's container name is fixed text. In
Azure one queue trigger, fed by Event Grid: it needs no webhook key, works behind private endpoints, and spares intake
the ownership of the whole account that an identity-based blob trigger needs.
"""

from __future__ import annotations

import asyncio
import logging
import time

import azure.durable_functions as df
import azure.functions as func
import azurefunctions.extensions.bindings.blob as bindings

from orchestrations.reconcile import overdue, retake
from orchestrations.report import alerts_not_sent
from orchestrations.runs import ensure, start_once
from readfirst.adapters import clients
from readfirst.adapters.settings import settings
from readfirst.domain import resource_names
from readfirst.domain.event_grid import uploaded
from readfirst.services.receive_upload import Received, receive

blueprint = df.Blueprint()

_LOOK_SECONDS = 240.0  # the platform ends a function after ten minutes


async def take(clinic: str, blob: bindings.BlobClient, client: df.DurableOrchestrationClient) -> None:
    """Receives one upload, makes sure that its study runs, then clears its place in the inbox."""
    await _finish(await asyncio.to_thread(receive, clinic, blob), client)


async def _finish(received: Received, client: df.DurableOrchestrationClient) -> None:
    for run in received.runs:
        await ensure(client, run)
    await asyncio.to_thread(received.clear)


def _register(clinic: str) -> None:
    @blueprint.function_name(f"receive_{clinic.replace('-', '_')}")
    @blueprint.blob_trigger(
        arg_name="blob", path=f"{resource_names.inbox(clinic)}/{{name}}", connection=resource_names.UPLOADS
    )
    @blueprint.durable_client_input(client_name="client")
    async def receive_upload(blob: bindings.BlobClient, client: df.DurableOrchestrationClient) -> None:
        await take(clinic, blob, client)


async def take_announced(message: func.QueueMessage, client: df.DurableOrchestrationClient) -> None:
    """Receives the blob that Event Grid tells of. One that is gone already was received by an earlier event."""
    event = uploaded(message.get_json())
    if event is None or event.clinic not in {clinic.id for clinic in settings().clinics}:
        return  # no inbox of ours: a clinic that left the list, or an event that the filter should have held back
    inbox = clients.container(resource_names.UPLOADS, resource_names.inbox(event.clinic))
    await take(event.clinic, inbox.get_blob_client(event.blob), client)


def _register_queue() -> None:
    @blueprint.function_name("receive_announced")
    @blueprint.queue_trigger(
        arg_name="message", queue_name=resource_names.UPLOAD_EVENTS, connection=resource_names.UPLOADS
    )
    @blueprint.durable_client_input(client_name="client")
    async def receive_announced(message: func.QueueMessage, client: df.DurableOrchestrationClient) -> None:
        await take_announced(message, client)


if settings().uploads:
    for _clinic in settings().clinics:
        _register(_clinic.id)
else:
    _register_queue()


@blueprint.timer_trigger(arg_name="timer", schedule=settings().reconcile_schedule, use_monitor=True)
@blueprint.durable_client_input(client_name="client")
async def reconcile(timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:
    """Takes what lies in an inbox although its event is overdue: events can be lost, files cannot. Nor can alerts.

    The inboxes are empty when all is well, so looking costs one listing each.
    """
    await raise_missing_alerts(client)
    await look_again(client)


async def raise_missing_alerts(client: df.DurableOrchestrationClient) -> None:
    """Starts the alerts whose orchestration is gone: only an index that answers says which."""
    try:
        for alert in await asyncio.to_thread(alerts_not_sent):
            await start_once(client, "alert", alert.instance, alert, over_is_done=True)
    except Exception as error:  # the index is away: nothing of the inboxes has to wait for it
        logging.warning("missing alerts are looked for at the next look: %s", type(error).__name__)


async def look_again(client: df.DurableOrchestrationClient) -> None:
    """One look of the reconciler at all inboxes, ended in time: the next one goes on."""
    began = time.monotonic()
    for one in await asyncio.to_thread(overdue):
        if time.monotonic() - began > _LOOK_SECONDS:
            return
        try:
            await _finish(await asyncio.to_thread(retake, one), client)
        except Exception as error:  # a service is away: the file lies where it lay, and the others have their turn
            logging.warning("an overdue upload waits for the next look: %s", type(error).__name__)
