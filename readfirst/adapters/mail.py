"""E-mail through Communication Services. The operation id is kept before sending, so an alert is sent once."""

from __future__ import annotations

import json

from readfirst.adapters import blobs, clients
from readfirst.adapters.ledger import now
from readfirst.adapters.settings import settings
from readfirst.domain import letters, names


def send_once(token: str, clinic: str, handle: str, finding: str) -> str:
    """Hands the alert's e-mail over unless that is on record. Returns its operation id.

    A kill between handing over and the record repeats the call with the same operation id, which the service knows.
    """
    container = clients.container(names.STUDIES, names.ANALYSIS)
    path = f"{token}/alerts/{finding}.json"
    operation = letters.operation_id(token, finding)
    blobs.put_once(container, path, json.dumps({"operation": operation, "sent": ""}).encode())
    kept = json.loads(blobs.read(container, path) or b"{}")
    if kept.get("sent"):
        return operation
    letter = letters.urgent(handle, settings().portal_url)
    message = {
        "senderAddress": settings().email_sender,
        "recipients": {"to": [{"address": settings().clinic(clinic).radiologist}]},
        "content": {"subject": letter.subject, "plainText": letter.text, "html": letter.html},
        "userEngagementTrackingDisabled": True,
    }
    # Never wait for the poller: status reads are limited, and a bounce comes as an event of its own.
    clients.email().begin_send(message, operation_id=operation, polling=False)
    sent = {"operation": operation, "sent": now().isoformat(timespec="seconds")}
    blobs.put(container, path, json.dumps(sent).encode(), "application/json")
    return operation
