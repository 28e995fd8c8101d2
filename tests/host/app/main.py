"""An app for the embedded host's tests: small functions of every kind that it runs."""

from __future__ import annotations

import json
import os
import threading
import time
from datetime import timedelta
from pathlib import Path

import azure.durable_functions as df
import azure.functions as func
import azurefunctions.extensions.bindings.blob as blobs

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
NOTES = Path(os.environ.get("TEST_NOTES", "."))
_lock = threading.Lock()


def note(kind: str, what: str) -> None:
    """One line per thing that happened, for the tests to count; survives a kill."""
    with _lock, (NOTES / kind).open("a") as file:
        file.write(what + "\n")
        file.flush()


# --- HTTP


@app.route(route="hello/{name?}", methods=["GET", "POST"])
def hello(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(f"Hello {req.route_params.get('name', 'nobody')}")


@app.route(route="echo/{*rest}")
async def echo(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    answer = {
        "method": req.method,
        "url": req.url,
        "headers": dict(req.headers),
        "params": dict(req.params),
        "route_params": dict(req.route_params),
        "body": req.get_body().decode(),
        "function": context.function_name,
    }
    return func.HttpResponse(json.dumps(answer), mimetype="application/json", headers={"X-Custom-Reply": "Yes"})


@app.route(route="items/{id:int}/{kind:alpha=book}", methods=["GET"])
def items(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(dict(req.route_params)), mimetype="application/json")


@app.route(route="status/{code:int}")
def status(req: func.HttpRequest) -> func.HttpResponse:
    code = int(req.route_params["code"])
    return func.HttpResponse(
        f"body of {code}", status_code=code, headers={"Location": "/api/hello"}, mimetype="text/x-thing"
    )


@app.route(route="boom")
def boom(req: func.HttpRequest) -> func.HttpResponse:
    raise RuntimeError("Doe^Jane must not be logged")


@app.route(route="none")
def none(req: func.HttpRequest) -> func.HttpResponse:
    return None  # type: ignore[return-value]


@app.route(route="exits")
def exits(req: func.HttpRequest) -> func.HttpResponse:
    raise SystemExit(3)


@app.route(route="spins/{seconds:int}")
def spins(req: func.HttpRequest) -> func.HttpResponse:
    time.sleep(int(req.route_params["seconds"]))
    return func.HttpResponse("at last")


@app.route(route="plainstr")
def plainstr(req: func.HttpRequest) -> str:
    return "just a string"


@app.route(route="enqueue", methods=["POST"])
@app.queue_output(arg_name="msg", queue_name="work", connection="AzureWebJobsStorage")
def enqueue(req: func.HttpRequest, msg: func.Out[str]) -> func.HttpResponse:
    msg.set(req.get_body().decode())
    return func.HttpResponse("queued", status_code=202)


@app.route(route="copy/{name}", methods=["POST"])
@app.blob_input(arg_name="src", path="inbox/{name}", connection="AzureWebJobsStorage")
@app.blob_output(arg_name="dst", path="copies/{name}", connection="AzureWebJobsStorage")
def copy(req: func.HttpRequest, src: func.InputStream, dst: func.Out[bytes]) -> func.HttpResponse:
    if src is None:
        return func.HttpResponse("absent", status_code=404)
    dst.set(src.read())
    return func.HttpResponse("copied")


# --- blobs, queues, timers


@app.blob_trigger(arg_name="client", path="inbox/{name}", connection="AzureWebJobsStorage")
def on_blob(client: blobs.BlobClient) -> None:
    note("blobs", client.blob_name)
    if client.blob_name.startswith("bad"):
        raise ValueError("no good")


@app.blob_trigger(arg_name="stream", path="texts/{dir}/{base}.{ext}", connection="AzureWebJobsStorage")
def on_text(stream: func.InputStream) -> None:
    note("texts", json.dumps([stream.name, stream.length, stream.read().decode(), stream.metadata]))


@app.queue_trigger(arg_name="msg", queue_name="work", connection="AzureWebJobsStorage")
def on_message(msg: func.QueueMessage) -> None:
    body = msg.get_body().decode()
    note("messages", json.dumps([body, msg.dequeue_count]))
    if body == "fail":
        raise ValueError("no good")
    if body.startswith("slow"):
        time.sleep(2)
        note("slow-done", body)


@app.queue_trigger(arg_name="msg", queue_name="answers", connection="AzureWebJobsStorage")
@app.durable_client_input(client_name="client")
async def on_answer(msg: func.QueueMessage, client: df.DurableOrchestrationClient) -> None:
    answer = msg.get_json()
    await client.raise_event(answer["instance"], "Answer", answer["value"])


@app.timer_trigger(arg_name="timer", schedule="0 0 3 * * *", run_on_startup=False)
def nightly(timer: func.TimerRequest) -> None:
    note("nightly", json.dumps([timer.past_due, timer.schedule_status]))


@app.timer_trigger(arg_name="timer", schedule="*/1 * * * * *")
def often(timer: func.TimerRequest) -> None:
    note("often", str(timer.past_due))


# --- durable: the client


@app.route(route="start/{name}/{id?}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    body = req.get_body()
    instance = await client.start_new(
        req.route_params["name"], req.route_params.get("id"), json.loads(body) if body else None
    )
    return client.create_check_status_response(req, instance)


@app.route(route="do/{op}/{id}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def do(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    op, instance = req.route_params["op"], req.route_params["id"]
    try:
        match op:
            case "raise":
                result = await client.raise_event(instance, "Answer", {"by": "client"})
            case "status":
                result = (await client.get_status(instance)).to_json()
            case "terminate" | "suspend" | "resume" | "rewind":
                result = await getattr(client, op)(instance, "because")
            case "purge":
                result = (await client.purge_instance_history(instance)).instances_deleted
            case "list":
                result = [item.instance_id for item in await client.get_status_all()]
            case _:
                result = None
        return func.HttpResponse(json.dumps({"r": result}), mimetype="application/json")
    except Exception as problem:
        return func.HttpResponse(json.dumps({"error": str(problem)}), status_code=500, mimetype="application/json")


# --- durable: activities


@app.activity_trigger(input_name="text")
def upper(text: str) -> str:
    note("upper", text)
    return text.upper()


@app.activity_trigger(input_name="n")
async def square(n: int) -> int:
    note("square", str(n))
    return n * n


@app.activity_trigger(input_name="what")
def flaky(what: dict) -> dict:
    note("flaky", what["id"])
    attempts = (NOTES / "flaky").read_text().splitlines().count(what["id"])
    if attempts <= what["fail"]:
        raise RuntimeError(f"attempt {attempts - 1} fails")
    return {"attempts": attempts}


@app.activity_trigger(input_name="x")
def fails(x: str) -> None:
    raise KeyError("never")


@app.activity_trigger(input_name="seconds")
def nap(seconds: float) -> float:
    note("nap", "began")
    time.sleep(seconds)
    note("nap", "ended")
    return seconds


@app.activity_trigger(input_name="name")
def mended(name: str) -> int:
    """Fails until a test has mended it."""
    if not (NOTES / f"{name}-mended").exists():
        raise RuntimeError("not yet")
    return 9


@app.activity_trigger(input_name="size")
def big(size: int) -> str:
    return "x" * size


@app.activity_trigger(input_name="instance")
@app.durable_client_input(client_name="client")
async def start_another(instance: str, client: df.DurableOrchestrationClient) -> str:
    return await client.start_new("hello_orchestrator", instance, "from an activity")


# --- durable: orchestrators


@app.orchestration_trigger(context_name="context")
def hello_orchestrator(context: df.DurableOrchestrationContext):
    result = yield context.call_activity("upper", context.get_input())
    return result


@app.orchestration_trigger(context_name="context")
def chain(context: df.DurableOrchestrationContext):
    total = 0
    for step in range(context.get_input() or 3):
        total += yield context.call_activity("square", step)
    return total


@app.orchestration_trigger(context_name="context")
def fan(context: df.DurableOrchestrationContext):
    results = yield context.task_all([context.call_activity("square", n) for n in range(context.get_input())])
    return sum(results)


@app.orchestration_trigger(context_name="context")
def retry(context: df.DurableOrchestrationContext):
    options = df.RetryOptions(100, 5)
    result = yield context.call_activity_with_retry("flaky", options, {"id": context.instance_id, "fail": 2})
    return result


@app.orchestration_trigger(context_name="context")
def exhausted(context: df.DurableOrchestrationContext):
    try:
        yield context.call_activity_with_retry("fails", df.RetryOptions(50, 3), "x")
    except Exception as problem:
        return str(problem).split("\n")[0].strip()


@app.orchestration_trigger(context_name="context")
def uncaught(context: df.DurableOrchestrationContext):
    yield context.call_activity("fails", "x")


@app.orchestration_trigger(context_name="context")
def once(context: df.DurableOrchestrationContext):
    yield context.call_activity("square", 2)
    result = yield context.call_activity("mended", "once")
    return result


@app.orchestration_trigger(context_name="context")
def race(context: df.DurableOrchestrationContext):
    seconds = context.get_input()
    timer = context.create_timer(context.current_utc_datetime + timedelta(seconds=seconds))
    event = context.wait_for_external_event("Answer")
    winner = yield context.task_any([timer, event])
    if winner is event:
        timer.cancel()
        result = yield context.call_activity("upper", json.dumps(event.result))
        return result
    return "too late"


@app.orchestration_trigger(context_name="context")
def parent(context: df.DurableOrchestrationContext):
    first = yield context.call_sub_orchestrator("chain", 3)
    second = yield context.call_sub_orchestrator("chain", 4, f"{context.instance_id}-child")
    return [first, second]


@app.orchestration_trigger(context_name="context")
def parent_of_failure(context: df.DurableOrchestrationContext):
    try:
        yield context.call_sub_orchestrator("uncaught")
    except Exception as problem:
        return str(problem).split("\n")[0].strip()


@app.orchestration_trigger(context_name="context")
def parent_forever(context: df.DurableOrchestrationContext):
    yield context.call_sub_orchestrator("forever", None, f"{context.instance_id}-child")


@app.orchestration_trigger(context_name="context")
def forever(context: df.DurableOrchestrationContext):
    result = yield context.wait_for_external_event("Answer")
    return result


@app.orchestration_trigger(context_name="context")
def rounds(context: df.DurableOrchestrationContext):
    left = context.get_input()
    yield context.call_activity("square", left)
    if left:
        context.continue_as_new(left - 1)
        return None
    return "done"


@app.orchestration_trigger(context_name="context")
def rounds_with_timer(context: df.DurableOrchestrationContext):
    left = context.get_input()
    yield context.create_timer(context.current_utc_datetime + timedelta(milliseconds=200))
    if left:
        context.continue_as_new(left - 1)
        return None
    answer = yield context.wait_for_external_event("Answer")
    return answer


@app.orchestration_trigger(context_name="context")
def versioned(context: df.DurableOrchestrationContext):
    context.set_custom_status({"version": context.version})
    child = yield context.call_sub_orchestrator("version_of_child")
    return [context.version, child]


@app.orchestration_trigger(context_name="context")
def version_of_child(context: df.DurableOrchestrationContext):
    return context.version
    yield


@app.orchestration_trigger(context_name="context")
def large(context: df.DurableOrchestrationContext):
    result = yield context.call_activity("big", context.get_input())
    return result


@app.orchestration_trigger(context_name="context")
def naps(context: df.DurableOrchestrationContext):
    result = yield context.call_activity("nap", context.get_input())
    return result


@app.orchestration_trigger(context_name="context")
def lost(context: df.DurableOrchestrationContext):
    yield context.call_activity("no_such_activity", 1)


_changed = {"runs": 0}


@app.orchestration_trigger(context_name="context")
def changeable(context: df.DurableOrchestrationContext):
    """Not deterministic on purpose: its second run asks for something else."""
    _changed["runs"] += 1
    yield context.call_activity("square" if _changed["runs"] == 1 else "upper", 1)


@app.orchestration_trigger(context_name="context")
def starter(context: df.DurableOrchestrationContext):
    result = yield context.call_activity("start_another", f"{context.instance_id}-other")
    return result


@app.orchestration_trigger(context_name="context")
def explodes(context: df.DurableOrchestrationContext):
    raise ValueError("orchestrator exploded")
