"""Alert: one e-mail per study and kind of finding, without identifiers; the orchestration of its own ends the chase."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import azure.durable_functions as df

from orchestrations.blueprint import MAIL, blueprint
from orchestrations.messages import Alert
from orchestrations.runs import start_once
from readfirst.adapters import mail


@blueprint.orchestration_trigger(context_name="context")
def alert(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    """Tells the clinic's radiologist. Started once per study and kind of finding, and never awaited."""
    yield context.call_activity_with_retry(send_alert, MAIL, context.get_input())
    return "sent"


@blueprint.activity_trigger(input_name="alert")
@blueprint.durable_client_input(client_name="client")
async def raise_alert(alert: dict[str, Any], client: df.DurableOrchestrationClient) -> str:
    """Starts the alert's orchestration unless this finding of this study has had one."""
    this = Alert.model_validate(alert)
    await start_once(client, "alert", this.instance, this, over_is_done=True)
    return this.instance


@blueprint.activity_trigger(input_name="alert")
def send_alert(alert: dict[str, Any]) -> str:
    """Hands the e-mail over, once."""
    this = Alert.model_validate(alert)
    return mail.send_once(this.token, this.clinic, this.handle, this.finding)
