"""Timers and health: what keeps the app small and tells whether it is there."""

from __future__ import annotations

from datetime import timedelta

import azure.durable_functions as df
import azure.functions as func

from readfirst import __version__
from readfirst.adapters.clock import now
from readfirst.adapters.settings import settings

blueprint = df.Blueprint()

_OVER = [
    df.OrchestrationRuntimeStatus.Completed,
    df.OrchestrationRuntimeStatus.Failed,
    df.OrchestrationRuntimeStatus.Terminated,
]


@blueprint.timer_trigger(arg_name="timer", schedule="0 30 3 * * *")
@blueprint.durable_client_input(client_name="client")
async def purge_history(timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:
    """Finished runs stay in the task hub until somebody removes them: the blobs tell their story better."""
    oldest = now() - timedelta(days=settings().history_days)
    await client.purge_instance_history_by(oldest - timedelta(days=365), oldest, _OVER)


@blueprint.route(route="health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def health(req: func.HttpRequest) -> func.HttpResponse:
    """Says that the app has loaded, and its version."""
    return func.HttpResponse(f'{{"readfirst": "{__version__}"}}', mimetype="application/json")
