"""What the bench runs: the shapes of the real host's recorded figures, and listeners that have nothing to do."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import azure.durable_functions as df
import azure.functions as func
import azurefunctions.extensions.bindings.blob as blobs

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
SEEN = Path(os.environ["BENCH_SEEN"])


@app.activity_trigger(input_name="n")
def square(n: int) -> int:
    return n * n


@app.orchestration_trigger(context_name="context")
def chain(context: df.DurableOrchestrationContext) -> Generator[Any, Any, int]:
    total = 0
    for step in range(context.get_input()):
        total += yield context.call_activity("square", step)
    return total


@app.orchestration_trigger(context_name="context")
def fan(context: df.DurableOrchestrationContext) -> Generator[Any, Any, int]:
    results = yield context.task_all([context.call_activity("square", n) for n in range(context.get_input())])
    return sum(results)


@app.blob_trigger(arg_name="client", path="bench-inbox-a/{name}", connection="AzureWebJobsStorage")
def on_blob(client: blobs.BlobClient) -> None:
    with SEEN.open("a") as file:
        file.write(f"{client.blob_name}\n")


@app.blob_trigger(arg_name="client", path="bench-inbox-b/{name}", connection="AzureWebJobsStorage")
def on_blob_of_another(client: blobs.BlobClient) -> None:
    raise AssertionError("nobody writes here")


@app.queue_trigger(arg_name="msg", queue_name="bench-answers", connection="AzureWebJobsStorage")
def on_answer(msg: func.QueueMessage) -> None:
    raise AssertionError("nobody writes here")


@app.queue_trigger(arg_name="msg", queue_name="bench-commands", connection="AzureWebJobsStorage")
def on_command(msg: func.QueueMessage) -> None:
    raise AssertionError("nobody writes here")


@app.timer_trigger(arg_name="timer", schedule="0 */15 * * * *")
def reconcile(timer: func.TimerRequest) -> None:
    pass
