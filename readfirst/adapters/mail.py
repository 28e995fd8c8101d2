"""E-mail through Communication Services, and the second channel, a clinic's webhook, for what e-mail does not bring.

The operation id is kept before sending, so an alert is sent once.
"""

from __future__ import annotations

import json
import logging
import re
from datetime import datetime
from typing import TYPE_CHECKING

from readfirst.adapters import blobs, clients
from readfirst.adapters.clock import now
from readfirst.adapters.retries import AT_ONCE
from readfirst.adapters.settings import settings
from readfirst.domain import resource_names
from readfirst.domain.event_grid import Delivery
from readfirst.domain.reading.alert_email import Letter, operation_id

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

# Mail programs mark such a letter, and may let it through where others are held back (RFC 2156, 5.3.4).
_IMPORTANT = {"Importance": "high", "X-Priority": "1"}
_SAFE = re.compile(r"https://|http://127\.0\.0\.1[:/]")  # a developer's own machine needs no TLS
_SECONDS = 10.0  # for a webhook to answer


def send_once(token: str, alert: str, letter: Letter, to: str) -> None:
    """Hands a letter over unless that is on record under the alert's name.

    A kill between handing over and the record repeats the call with the same operation id, which the service knows.
    """
    container = _container()
    path = _path(token, alert)
    operation = operation_id(token, alert)
    blobs.put_once(container, path, json.dumps({"operation": operation, "sent": ""}).encode())
    if json.loads(blobs.read(container, path) or b"{}").get("sent"):
        return
    # The report of its delivery names the operation only.
    blobs.put_once(container, letter_path(operation), json.dumps({"token": token, "alert": alert}).encode())
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
    at = json.loads(blobs.read(_container(), _path(token, alert)) or b"{}").get("sent")
    return datetime.fromisoformat(at) if at else None


def keep_report(report: Delivery) -> tuple[str, str] | None:
    """Keeps what became of a letter. Returns study token and alert's name; None: the letter is not one of ours, or its
    study was erased.

    That one has arrived outweighs all other reports, in whichever order they come.
    """
    container = _container()
    known = blobs.read(container, letter_path(report.operation))
    if known is None:
        return None
    letter = json.loads(known)
    token, alert = letter["token"], letter["alert"]

    def outcome() -> bytes | None:
        if not report.arrived and arrived(token, alert):
            return None
        kept = {"status": report.status, "arrived": report.arrived, "at": now().isoformat(timespec="seconds")}
        return json.dumps(kept).encode()

    # Two reports may be taken at a time: the slower one sees what the other has said.
    blobs.follow(container, _report_path(token, alert), outcome, "application/json")
    return token, alert


def arrived(token: str, alert: str) -> bool | None:
    """Whether a letter has arrived; None where nothing was reported of it yet."""
    kept = blobs.read(_container(), _report_path(token, alert))
    return None if kept is None else bool(json.loads(kept)["arrived"])


def post_once(token: str, alert: str, letter: Letter, secret: str) -> None:
    """Posts a letter to the address that a secret of Key Vault holds, unless that is on record under the alert's name.

    Raises nothing: e-mail is the first channel and goes on. Whoever calls again tries again. The body is JSON whose
    `text` Slack, Mattermost and a Teams workflow show.
    """
    from azure.core.exceptions import AzureError
    from requests import RequestException, post

    if not secret or posted(token, alert):
        return
    try:
        address = clients.secrets().get_secret(secret).value or ""
        if not _SAFE.match(address):
            raise ValueError("not an https address")
        told = post(
            address, json={"text": letter.text, "subject": letter.subject}, timeout=_SECONDS, allow_redirects=False
        )
        if not told.ok or told.is_redirect:
            raise ValueError(f"status {told.status_code}")
    except (AzureError, RequestException, ValueError) as error:
        # Its kind only: the address is a secret, and errors quote it.
        logging.warning("the second channel of a clinic was not reached: %s", type(error).__name__)
        return
    kept = {"status": "posted", "at": now().isoformat(timespec="seconds")}
    blobs.put(_container(), _post_path(token, alert), json.dumps(kept).encode(), "application/json")


def posted(token: str, alert: str) -> bool:
    """Whether the second channel has taken a letter."""
    return blobs.exists(_container(), _post_path(token, alert))


def letter_path(operation: str) -> str:
    """Where it is kept which alert of which study a letter was for."""
    return f"{resource_names.LETTERS}{operation}.json"


def _container() -> ContainerClient:
    return clients.container(resource_names.STUDIES, resource_names.ANALYSIS)


def _path(token: str, alert: str) -> str:
    return f"{token}/alerts/{alert}.json"


def _post_path(token: str, alert: str) -> str:
    return f"{token}/deliveries/{alert}.webhook.json"


def _report_path(token: str, alert: str) -> str:
    return f"{token}/deliveries/{alert}.json"
