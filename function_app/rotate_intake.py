"""Rotation in app `intake`, which alone has secrets: the root pseudonym secret and the receipt-signing key.

Event Grid's message tells of a new `pseudonym-kek` or of a secret that expires soon; a timer looks each day, in case
it was lost. Both do the same, and doing it twice changes nothing.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import azure.functions as func

from readfirst.adapters import rotation
from readfirst.domain import names
from readfirst.domain.events import Rotation
from readfirst.domain.events import rotation as asked_for

blueprint = func.Blueprint()


@blueprint.queue_trigger(arg_name="message", queue_name=names.INTAKE_ROTATION, connection=names.STUDIES)
def rotate_secrets(message: func.QueueMessage) -> None:
    """Something in Key Vault changed: see what is due."""
    if asked_for(message.get_json()) == Rotation("key-expires", names.PSEUDONYM_KEK):  # its policy did not rotate it
        logging.error("key near expiry: %s", names.PSEUDONYM_KEK)
    rotate()


@blueprint.timer_trigger(arg_name="timer", schedule="0 15 4 * * *")
def rotate_daily(timer: func.TimerRequest) -> None:
    """See each day what is due."""
    rotate()


def rotate() -> None:
    """Makes what is missing and renews what is due."""
    if not rotation.make_root():
        logging.info("rotation: root re-wrapped %s", rotation.rewrap_root())
    logging.info("rotation: receipt key renewed %s", rotation.renew_receipt_key(datetime.now(UTC)))
