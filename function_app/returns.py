"""Queue trigger `returns` (app `identity`): brings a study's results back to the clinic that sent it."""

from __future__ import annotations

import azure.durable_functions as df
import azure.functions as func

from readfirst.adapters.returns import return_study
from readfirst.domain import names

blueprint = df.Blueprint()


@blueprint.queue_trigger(arg_name="message", queue_name=names.RETURNS, connection=names.STUDIES)
def return_results(message: func.QueueMessage) -> None:
    """The message is the study's token. Doing it twice writes the same answers."""
    return_study(message.get_body().decode())
