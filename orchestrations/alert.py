"""Alert: one e-mail per study and kind of finding, without identifiers; the orchestration of its own ends the chase."""

from __future__ import annotations

import logging
from collections.abc import Generator
from datetime import timedelta
from typing import Any

import azure.durable_functions as df

from orchestrations.blueprint import MAIL, blueprint
from orchestrations.messages import Alert
from orchestrations.runs import start_once
from readfirst.adapters import index, mail
from readfirst.adapters.ledger import now
from readfirst.adapters.settings import settings
from readfirst.domain import letters

ACKNOWLEDGED = "acknowledged"  # the external event: somebody has the study in hand


@blueprint.orchestration_trigger(context_name="context")
def alert(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    """Tells the clinic's radiologist, then whoever the clinic names for the case that nobody answers in time.

    Started once per study and kind of finding, and never awaited.
    """
    given = context.get_input()
    patience = yield context.call_activity_with_retry(send_alert, MAIL, given)
    if not patience:
        return "sent"
    answer = context.wait_for_external_event(ACKNOWLEDGED)
    overdue = context.create_timer(context.current_utc_datetime + timedelta(seconds=patience))
    winner = yield context.task_any([answer, overdue])
    if winner == answer:
        overdue.cancel()
        return "acknowledged"
    yield context.call_activity_with_retry(escalate_alert, MAIL, given)
    return "escalated"


@blueprint.activity_trigger(input_name="alert")
@blueprint.durable_client_input(client_name="client")
async def raise_alert(alert: dict[str, Any], client: df.DurableOrchestrationClient) -> str:
    """Starts the alert's orchestration unless this finding of this study has had one."""
    this = Alert.model_validate(alert)
    await start_once(client, "alert", this.instance, this, over_is_done=True)
    return this.instance


@blueprint.activity_trigger(input_name="alert")
def send_alert(alert: dict[str, Any]) -> float:
    """Hands the e-mail over, once. Returns how many seconds to wait for an answer; 0: there is nobody to turn to."""
    this = Alert.model_validate(alert)
    clinic = settings().clinic(this.clinic)
    mail.send_once(this.token, this.finding, letters.urgent(this.handle, settings().portal_url), clinic.radiologist)
    _note(this.token)
    return settings().escalate_minutes * 60 if clinic.escalation else 0.0


def _note(token: str) -> None:
    """Notes in the record when the e-mail was handed over. The index may be away: it is no reason to wait here."""
    from azure.core.exceptions import AzureError

    at = now().isoformat(timespec="seconds")
    index.amend_blob(token, lambda there: there.model_copy(update={"alerted": there.alerted or at}))
    try:
        if (record := index.read(token)) is not None:
            index.index(record)
    except AzureError as error:
        logging.warning("an alert that was sent is not in the index yet: %s", type(error).__name__)


@blueprint.activity_trigger(input_name="alert")
def escalate_alert(alert: dict[str, Any]) -> None:
    """Hands a second e-mail over to the clinic's escalation address, once."""
    this = Alert.model_validate(alert)
    letter = letters.overdue(this.handle, settings().portal_url)
    mail.send_once(this.token, f"{this.finding}-overdue", letter, settings().clinic(this.clinic).escalation)
