"""Rotation in app `intake`, which alone has secrets: the root pseudonym secret and the receipt-signing key.

Event Grid's message tells of a new `pseudonym-kek` or of a secret that expires soon; a timer looks each day, in case
it was lost. Both do the same, and doing it twice changes nothing.
"""

from __future__ import annotations

import logging

import azure.functions as func

from readfirst.adapters import clients, clock, secret_versions
from readfirst.adapters.audit_log import AuditLog
from readfirst.adapters.studies.parked import park
from readfirst.domain import resource_names
from readfirst.domain.event_grid import Rotation
from readfirst.domain.event_grid import rotation as asked_for

blueprint = func.Blueprint()


@blueprint.queue_trigger(
    arg_name="message", queue_name=resource_names.INTAKE_ROTATION, connection=resource_names.STUDIES
)
def rotate_secrets(message: func.QueueMessage) -> None:
    """Something in Key Vault changed: see what is due."""
    try:
        content = message.get_json()
    except ValueError:
        park(resource_names.INTAKE_ROTATION, message.get_body().decode(errors="replace"))
        return
    if asked_for(content) == Rotation("key-expires", resource_names.PSEUDONYM_KEK):  # its policy did not rotate it
        logging.error("key near expiry: %s", resource_names.PSEUDONYM_KEK)
    rotate()


@blueprint.timer_trigger(arg_name="timer", schedule="0 15 4 * * *")
def rotate_daily(timer: func.TimerRequest) -> None:
    """See each day what is due."""
    rotate()


def rotate() -> None:
    """Makes what is missing and renews what is due; what was done stands in the audit log."""
    now = clock.now()
    done = {"make-root": secret_versions.make_root()}
    done["rewrap-root"] = not done["make-root"] and secret_versions.rewrap_root()
    done["renew-receipt-key"] = secret_versions.renew_receipt_key(now)
    for act in (act for act, was_due in done.items() if was_due):
        logging.info("rotation: %s", act)
        log = AuditLog(clients.container(resource_names.AUDIT, resource_names.audit("intake")), "intake")
        log.add(now, actor="rotation", role="system", act=act, outcome="allowed")
