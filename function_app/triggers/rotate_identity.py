"""Rotation in app `identity`: after a new version of `identity-kek` every identity is wrapped anew.

Event Grid's message starts a sweep; a timer starts one each day, in case the event was lost. A sweep that runs out
of time puts a message with its place onto the same queue, and goes on from there.
"""

from __future__ import annotations

import json
import logging
import time

import azure.functions as func

from readfirst.adapters import clients, clock
from readfirst.adapters.audit_log import AuditLog
from readfirst.adapters.studies.parked import park
from readfirst.domain import resource_names
from readfirst.domain.event_grid import Rotation
from readfirst.domain.event_grid import rotation as asked_for
from readfirst.services import rewrap_identities as rotation

blueprint = func.Blueprint()
_BUDGET_SECONDS = 240  # the platform gives an instance that it updates ten minutes; stay well below


@blueprint.queue_trigger(
    arg_name="message", queue_name=resource_names.IDENTITY_ROTATION, connection=resource_names.STUDIES
)
def rewrap_identities(message: func.QueueMessage) -> None:
    """One stretch of a sweep."""
    try:
        content = message.get_json()
    except ValueError:
        park(resource_names.IDENTITY_ROTATION, message.get_body().decode(errors="replace"))
        return
    if isinstance(content, dict) and "cursor" in content:
        sweep(str(content["cursor"]))
    elif asked_for(content) == Rotation("new-key", resource_names.IDENTITY_KEK):
        sweep("")
    elif asked_for(content) == Rotation(
        "key-expires", resource_names.IDENTITY_KEK
    ):  # the policy should have rotated it long ago
        logging.error("key near expiry: %s", resource_names.IDENTITY_KEK)


@blueprint.timer_trigger(arg_name="timer", schedule="0 0 4 * * *")
def rewrap_daily(timer: func.TimerRequest) -> None:
    """Finds what an event that was lost left behind. With nothing to do it costs a listing."""
    sweep("")


def sweep(cursor: str) -> None:
    """Sweeps until the time is up, then leaves a message for the rest. Counts are logged, names never."""
    until = time.monotonic() + _BUDGET_SECONDS
    swept = rotation.sweep(cursor, lambda: time.monotonic() > until)
    if swept.rewrapped:
        log = AuditLog(clients.container(resource_names.AUDIT, resource_names.audit("identity")), "identity")
        log.add(
            clock.now(),
            actor="rotation",
            role="system",
            act="rewrap",
            outcome="allowed",
            reason=f"{swept.rewrapped} records",
        )
    level = logging.WARNING if swept.missed else logging.INFO
    logging.log(level, "rewrap: looked %d, rewrapped %d, missed %d", swept.looked, swept.rewrapped, swept.missed)
    if not swept.finished:
        clients.queue(resource_names.IDENTITY_ROTATION).send_message(json.dumps({"cursor": swept.cursor}))
