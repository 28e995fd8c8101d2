"""E-mail through Communication Services. The operation id is kept before sending, so an alert is sent once."""

from __future__ import annotations

import json
from datetime import datetime

from readfirst.adapters import blobs, clients
from readfirst.adapters.clock import now
from readfirst.adapters.retries import AT_ONCE
from readfirst.adapters.settings import settings
from readfirst.domain import resource_names
from readfirst.domain.reading.alert_email import Letter, operation_id

# Mail programs mark such a letter, and may let it through where others are held back (RFC 2156, 5.3.4).
_IMPORTANT = {"Importance": "high", "X-Priority": "1"}


def send_once(token: str, alert: str, letter: Letter, to: str) -> None:
    """Hands a letter over unless that is on record under the alert's name.

    A kill between handing over and the record repeats the call with the same operation id, which the service knows.
    """
    container = clients.container(resource_names.STUDIES, resource_names.ANALYSIS)
    path = _path(token, alert)
    operation = operation_id(token, alert)
    blobs.put_once(container, path, json.dumps({"operation": operation, "sent": ""}).encode())
    if json.loads(blobs.read(container, path) or b"{}").get("sent"):
        return
    message = {
        "senderAddress": settings().email_sender,
        "recipients": {"to": [{"address": to}]},
        "content": {"subject": letter.subject, "plainText": letter.text, "html": letter.html},
        "userEngagementTrackingDisabled": True,
        "headers": _IMPORTANT,
    }
    # Never wait for the poller: status reads are limited, and a bounce comes as an event of its own.
    # Nor for a limit, which may be an hour away: the retry policy MAIL waits, and holds no worker while it does.
    clients.email().begin_send(message, operation_id=operation, polling=False, **AT_ONCE)
    handed_over = {"operation": operation, "sent": now().isoformat(timespec="seconds")}
    blobs.put(container, path, json.dumps(handed_over).encode(), "application/json")


def sent(token: str, alert: str) -> datetime | None:
    """When a letter was handed over under the alert's name; None where none was."""
    kept = blobs.read(clients.container(resource_names.STUDIES, resource_names.ANALYSIS), _path(token, alert))
    at = json.loads(kept or b"{}").get("sent")
    return datetime.fromisoformat(at) if at else None


def _path(token: str, alert: str) -> str:
    return f"{token}/alerts/{alert}.json"
