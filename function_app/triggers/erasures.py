"""Queue trigger `erasures` (app `identity`): the part of an erasure that only this app can do, and its audit entry."""

from __future__ import annotations

import azure.durable_functions as df
import azure.functions as func
from pydantic import ValidationError

from function_app.http.guard import audit_log
from readfirst.adapters import clock
from readfirst.adapters.studies.parked import park
from readfirst.domain import resource_names
from readfirst.domain.analysis.messages import Command
from readfirst.services.erase_study import identities_and_reviews, sweep_vault_and_reviews

blueprint = df.Blueprint()


@blueprint.queue_trigger(arg_name="message", queue_name=resource_names.ERASURES, connection=resource_names.STUDIES)
def erase_identity(message: func.QueueMessage) -> None:
    """Erases identities and reviews. Audited before, and only where there are some: the sweeps come more than once."""
    try:
        command = Command.model_validate_json(message.get_body())
    except ValidationError:
        park(resource_names.ERASURES, message.get_body().decode(errors="replace"))
        return
    if found := identities_and_reviews(command.token):
        audit_log("identity").add(
            clock.now(),
            actor=command.by,
            role="",
            act="erased",
            outcome=f"{found} records",
            token=command.token,
            handle=command.detail.get("handle", ""),
            clinic=command.detail["clinic"],
        )
        sweep_vault_and_reviews(command.token)
