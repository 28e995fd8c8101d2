"""The recorded app again, as far as the recordings in ../data need it."""

from __future__ import annotations

import json
import time
from typing import Any

import azure.durable_functions as df
import azure.functions as func

from tests.conformance import orchestrators

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

for name in ("chain", "forever", "boom_orch", "act_fail", "missing_activity"):
    app.orchestration_trigger(context_name="context")(getattr(orchestrators, name))


@app.activity_trigger(input_name="text")
def upper(text: str) -> str:
    return text.upper()


@app.activity_trigger(input_name="x")
def wrap(x: dict) -> dict:
    return {"wrapped": x}


@app.activity_trigger(input_name="k")
async def inc(k: int) -> int:
    return k + 1


@app.activity_trigger(input_name="k")
def square(k: int) -> int:
    return k * k


@app.activity_trigger(input_name="x")
def fails(x: Any) -> None:
    raise KeyError("never")


@app.activity_trigger(input_name="seconds")
def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@app.route(route="start/{name}/{id?}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    body = req.get_body()
    instance = await client.start_new(
        req.route_params["name"], req.route_params.get("id"), json.loads(body) if body else None
    )
    return client.create_check_status_response(req, instance)


@app.route(route="do/{op}/{id}", methods=["POST", "GET"])
@app.durable_client_input(client_name="client")
async def do(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    try:
        answer: Any = await _do(client, req.route_params["op"], req.route_params["id"], req.params.get("event", ""))
        status = 200
    except Exception as problem:
        answer, status = {"error": type(problem).__name__, "message": str(problem)}, 500
    return func.HttpResponse(json.dumps(answer), status_code=status, mimetype="application/json")


async def _do(client: df.DurableOrchestrationClient, op: str, instance: str, event: str) -> Any:
    match op:
        case "start":
            return {"r": await client.start_new(event, instance, None)}
        case "status":
            return {"r": (await client.get_status(instance)).to_json()}
        case "raise":
            return {"r": await client.raise_event(instance, event, 1)}
        case "purge":
            return {"r": (await client.purge_instance_history(instance)).instances_deleted}
        case "payload":
            return client.create_http_management_payload(instance)
        case "restart":
            return {"r": await client.restart(instance)}
        case _:
            return {"r": await getattr(client, op)(instance, "because")}
