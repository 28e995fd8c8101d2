"""Queue trigger `returns` (app `identity`): brings a study's results back to the clinic that sent it."""

from __future__ import annotations

import azure.durable_functions as df
import azure.functions as func

from readfirst.domain import resource_names
from readfirst.services.return_results import return_study

blueprint = df.Blueprint()


@blueprint.queue_trigger(arg_name="message", queue_name=resource_names.RETURNS, connection=resource_names.STUDIES)
def return_results(message: func.QueueMessage) -> None:
    """The message is the study's token. Doing it twice writes the same answers."""
    return_study(message.get_body().decode())
