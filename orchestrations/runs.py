"""Making sure that a study's run exists: started once, whoever asks and how often."""

from __future__ import annotations

import azure.durable_functions as df

from readfirst.domain.analysis.messages import Command
from readfirst.domain.workflow_messages import Handed, Run
from readfirst.services import list_study

_OVER = {"Completed", "Failed", "Terminated", "Canceled"}


def run_of(command: Command) -> Run | None:
    """The run that a command is for: the one that has reported, else the one that the worklist shows as analysed."""
    record = list_study.read(command.token)
    if record is not None:
        return Run(token=record.id, clinic=record.clinic, n=record.run)
    if not command.detail:  # erased meanwhile
        return None
    return Run(token=command.token, clinic=command.detail["clinic"], n=int(command.detail["run"]))


async def ensure(client: df.DurableOrchestrationClient, run: Run) -> None:
    """Starts the run unless it is under way.

    Whoever calls has just seen that run n has not sealed: an instance of it that is over can only have given up
    before it sealed, so starting it anew loses nothing.
    """
    await start_once(client, "run_study", run.instance, run, over_is_done=False)


async def replay(client: df.DurableOrchestrationClient, run: Run) -> None:
    """Starts the replay of a run that has sealed, unless one is under way."""
    await start_once(client, "replay_study", run.replay, run, over_is_done=False)


async def start_once(
    client: df.DurableOrchestrationClient, orchestrator: str, instance: str, given: Handed, *, over_is_done: bool
) -> None:
    """Starts an orchestration under a fixed id; the host would silently replace a finished one, so we look first.

    `over_is_done`: one that has ended well is not started again. One that failed or was stopped has done nothing.
    """
    if await _there(client, instance, over_is_done):
        return
    try:
        await client.start_new(orchestrator, instance_id=instance, client_input=given.dump())
    except Exception:
        # Somebody started it between our look and our start (the host answers 409): that is what we wanted.
        if not await _there(client, instance, over_is_done):
            raise


async def _there(client: df.DurableOrchestrationClient, instance: str, over_is_done: bool) -> bool:
    status = await client.get_status(instance)
    if not status or status.runtime_status is None:
        return False
    state = status.runtime_status.value
    return state not in _OVER or (over_is_done and state == "Completed")
