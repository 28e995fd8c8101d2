"""The Durable Task HTTP API: what the extension serves under /runtime/webhooks/durabletask, and to the SDK's client.

Status codes and bodies are those of the recordings in tests/conformance. There are no keys here: the host listens on
127.0.0.1 only, as `func start` does.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from aiohttp import web

from readfirst.local.host.durable import events
from readfirst.local.host.durable.engine import Engine, now
from readfirst.local.host.durable.history_view import shown_history
from readfirst.local.host.durable.replay import compact
from readfirst.local.host.durable.store import FINISHED, Instance, Store
from readfirst.local.host.settings import DurableOptions

WEBHOOK = "/runtime/webhooks/durabletask"
RPC = "/durabletask"

_log = logging.getLogger("readfirst.host.durable")
_CONNECTIONS = ("", "Storage", "AzureWebJobsStorage")
_WENT_WRONG = "Something went wrong while processing your request"


class DurableApi:
    def __init__(self, engine: Engine, store: Store, options: DurableOptions, port: int) -> None:
        self._engine = engine
        self._store = store
        self._options = options
        self._base = f"http://localhost:{port}{WEBHOOK}"
        self._rpc = f"http://127.0.0.1:{port}{RPC}/"
        self._query = f"taskHub={options.hub}&connection=Storage"

    # --- addresses

    def client_binding(self) -> str:
        """The JSON that a durableClient binding receives."""
        create = f"{self._base}/orchestrators/{{functionName}}[/{{instanceId}}]"
        return compact(
            {
                "taskHubName": self._options.hub,
                "connectionName": None,
                "creationUrls": {
                    "createNewInstancePostUri": create,
                    "createAndWaitOnNewInstancePostUri": f"{create}?timeout={{timeoutInSeconds}}"
                    "&pollingInterval={intervalInSeconds}",
                },
                "managementUrls": self._urls("INSTANCEID", rewind=True),
                "baseUrl": self._base,
                "requiredQueryStringParameters": "",
                "rpcBaseUrl": self._rpc,
                "httpBaseUrl": None,
                "maxGrpcMessageSizeInBytes": None,
                "grpcHttpClientTimeout": None,
            }
        )

    def _urls(self, instance_id: str, rewind: bool = False) -> dict[str, str]:
        one = f"{self._base}/instances/{quote(instance_id, safe='')}"
        urls = {
            "id": instance_id,
            "statusQueryGetUri": f"{one}?{self._query}",
            "sendEventPostUri": f"{one}/raiseEvent/{{eventName}}?{self._query}",
            "terminatePostUri": f"{one}/terminate?reason={{text}}&{self._query}",
            "rewindPostUri": f"{one}/rewind?reason={{text}}&{self._query}",
            "purgeHistoryDeleteUri": f"{one}?{self._query}",
            "restartPostUri": f"{one}/restart?{self._query}",
            "suspendPostUri": f"{one}/suspend?reason={{text}}&{self._query}",
            "resumePostUri": f"{one}/resume?reason={{text}}&{self._query}",
        }
        if not rewind:
            del urls["rewindPostUri"]  # the extension's own answers lack it, the SDK's have it
        return urls

    # --- dispatch

    async def handle(self, request: web.Request, path: list[str]) -> web.StreamResponse:
        """`path`: the decoded parts behind the prefix."""
        if request.query.get("connection", "") not in _CONNECTIONS:
            return _wrong(f"Unable to resolve the Azure Storage connection named '{request.query['connection']}'.")
        if request.query.get("taskHub", self._options.hub).lower() != self._options.hub.lower():
            return web.Response(status=404)
        while path and path[-1] == "":
            path = path[:-1]
        match (request.method, *path):
            case ("POST", "orchestrators", name):
                return await self._start(request, name, None)
            case ("POST", "orchestrators", name, instance_id):
                return await self._start(request, name, instance_id)
            case ("GET", "instances"):
                return self._list(request)
            case ("DELETE", "instances"):
                return self._purge_many(request)
            case ("GET", "instances", instance_id):
                return self._status(request, instance_id)
            case ("DELETE", "instances", instance_id):
                return self._purge(instance_id)
            case ("POST", "instances", instance_id, "raiseEvent", name):
                return await self._raise_event(request, instance_id, name)
            case ("POST", "instances", instance_id, "rewind"):
                return self._rewind(instance_id, request.query.get("reason"))
            case ("POST", "instances", instance_id, "restart"):
                return self._restart(request, instance_id)
            case ("POST", "instances", instance_id, "terminate" | "suspend" | "resume" as operation):
                return self._control(instance_id, operation, request.query.get("reason"))
            case ("GET", "entities", *rest) if len(rest) < 2:
                return _json([])
            case ("POST", "entities", name, _):
                return _json({"Message": f"The function '{name}' doesn't exist, is disabled, or is not an entity "
                              "function. Additional info: The embedded host does not run entities."}, 400)  # fmt: skip
        return web.Response(status=404)

    # --- starting

    async def _start(self, request: web.Request, name: str, instance_id: str | None) -> web.StreamResponse:
        body = (await request.text()).strip()
        try:
            input_text = compact(json.loads(body)) if body else None
        except RecursionError:
            return _too_deep()
        except ValueError as problem:
            if body[0] in "{[":
                return _error(500, _WENT_WRONG, str(problem), "Newtonsoft.Json.JsonSerializationException")
            return _error(400, "Invalid JSON content", str(problem), "Newtonsoft.Json.JsonReaderException")
        existing = self._engine.instance(instance_id) if instance_id else None
        if existing and not existing.finished and not self._options.replace_running:
            message = f"An Orchestration instance with the status {existing.status} already exists."
            return _json({"Message": message}, 409)
        started = self._engine.start_orchestration(name, instance_id, input_text, request.query.get("version"))
        timeout = request.query.get("timeout", "")
        if timeout.isdigit():
            finished = await self._wait(started, int(timeout))
            if finished is not None:
                return _json(status_body(finished))
        return self._started(started)

    def _started(self, instance_id: str) -> web.Response:
        urls = self._urls(instance_id)
        return _json(urls, 202, {"Location": urls["statusQueryGetUri"], "Retry-After": "10"})

    async def _wait(self, instance_id: str, seconds: float) -> Instance | None:
        deadline = time.monotonic() + seconds
        while True:
            changed = self._engine.changed(instance_id)
            instance = self._engine.instance(instance_id)
            if instance is None or instance.finished:
                changed.cancel()
                return instance
            try:
                await asyncio.wait_for(changed, max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                return None

    def _restart(self, request: web.Request, instance_id: str) -> web.Response:
        instance = self._engine.instance(instance_id)
        if instance is None:
            return _error(400, "InstanceId does not match a valid orchestration instance.",
                          f"No instance with ID '{instance_id}' was found. (Parameter 'instanceId')",
                          "System.ArgumentException")  # fmt: skip
        same = request.query.get("restartWithNewInstanceId", "true").lower() == "false"
        if same and not instance.finished:
            return _wrong(f"The instance {instance_id} has not finished.")
        target = instance_id if same else None
        return self._started(self._engine.start_orchestration(instance.name, target, instance.input, instance.version))

    # --- looking

    def _status(self, request: web.Request, instance_id: str) -> web.Response:
        instance = self._engine.instance(instance_id)
        if instance is None:
            return web.Response(status=404)
        query = request.query
        body = status_body(instance, show_input=_flag(query, "showInput", True))
        if _flag(query, "showHistory"):
            history = self._store.history(instance_id)
            body["historyEvents"] = shown_history(history, with_output=_flag(query, "showHistoryOutput"))
        if not instance.finished:
            return _json(body, 202, {"Location": f"http://{request.host}{request.path_qs}", "Retry-After": "5"})
        failed = instance.status == "Failed" and _flag(query, "returnInternalServerErrorOnFailure")
        return _json(body, 500 if failed else 200)

    def _list(self, request: web.Request) -> web.Response:
        token = request.headers.get("x-ms-continuation-token")
        start = base64.b64decode(token).decode() if token else ""
        top = int(request.query["top"]) if request.query.get("top", "").isdigit() else 0
        show_input = _flag(request.query, "showInput", True)
        page: list[dict[str, Any]] = []
        headers = {}
        for instance in self._matching(request.query, start):
            if top and len(page) == top:
                headers["x-ms-continuation-token"] = base64.b64encode(instance.id.encode()).decode()
                break
            page.append(status_body(instance, show_input=show_input))
        return _json(page, headers=headers)

    def _matching(self, query: Mapping[str, str], start: str = "") -> Iterator[Instance]:
        """Filters that make no sense are ignored, as the extension ignores them."""
        known = ("Running", "Pending", "Suspended", *FINISHED)
        statuses = {s.strip() for s in query.get("runtimeStatus", "").split(",")} & set(known)
        earliest, latest = _moment(query.get("createdTimeFrom")), _moment(query.get("createdTimeTo"))
        for instance in self._store.instances(start, query.get("instanceIdPrefix", "")):
            created = events.moment(instance.created)
            if statuses and instance.status not in statuses:
                continue
            if (earliest and created < earliest) or (latest and created > latest):
                continue
            yield instance

    # --- acting on one

    async def _raise_event(self, request: web.Request, instance_id: str, name: str) -> web.Response:
        if request.content_type != "application/json" or "Content-Type" not in request.headers:
            return _json({"Message": "Only application/json request content is supported"}, 400)
        instance = self._engine.instance(instance_id)
        if instance is None or instance.finished:
            return web.Response(status=404 if instance is None else 410)
        try:
            input_text = compact(json.loads(await request.text()))
        except RecursionError:
            return _too_deep()
        except ValueError as problem:
            return _error(400, "Invalid JSON content", str(problem), "Newtonsoft.Json.JsonReaderException")
        self._engine.send(instance_id, events.event_raised(now(), name, input_text))
        return web.Response(status=202)

    def _control(self, instance_id: str, operation: str, reason: str | None) -> web.Response:
        instance = self._engine.instance(instance_id)
        if instance is None or instance.finished:
            return web.Response(status=404 if instance is None else 410)
        suspended = instance.status == "Suspended"
        if (operation == "suspend" and suspended) or (operation == "resume" and not suspended):
            return _wrong(
                f"Cannot {operation} the orchestration instance {instance_id} because instance is in the "
                f"{instance.status} state."
            )
        make = {
            "terminate": events.execution_terminated,
            "suspend": events.execution_suspended,
            "resume": events.execution_resumed,
        }[operation]
        self._engine.send(instance_id, make(now(), reason))
        return web.Response(status=202)

    def _rewind(self, instance_id: str, reason: str | None) -> web.Response:
        instance = self._engine.instance(instance_id)
        if instance is None:
            return _json(f'No orchestration with instance ID "${instance_id}" found.', 404)
        if instance.status != "Failed":
            return _json(f'This orchestration has status {instance.status}, but only orchestrations in the "Failed" '
                         "state can be rewound.", 412)  # fmt: skip
        self._engine.rewind(instance_id, reason)
        return web.Response(status=202)

    def _purge(self, instance_id: str) -> web.Response:
        instance = self._engine.instance(instance_id)
        if instance is None:
            return web.Response(status=404)
        if not instance.finished:
            return _json("Only orchestrations in a terminal state can be purged, but the orchestration with instance "
                         f"ID {instance_id} has status {instance.status}", 412)  # fmt: skip
        self._engine.purge(instance_id)
        return _json({"instancesDeleted": 1})

    def _purge_many(self, request: web.Request) -> web.Response:
        if _moment(request.query.get("createdTimeFrom")) is None:
            return _json("Please provide value for 'createdTimeFrom' parameter.", 400)
        finished = [instance.id for instance in self._matching(request.query) if instance.finished]
        for instance_id in finished:
            self._engine.purge(instance_id)
        return _json({"instancesDeleted": len(finished)}) if finished else web.Response(status=404)


def status_body(instance: Instance, show_input: bool = True) -> dict[str, Any]:
    return {
        "name": instance.name,
        "instanceId": instance.id,
        "runtimeStatus": instance.status,
        "input": _value(instance.input) if show_input else None,
        "customStatus": _value(instance.custom_status),
        "output": _value(instance.output),
        "createdTime": _whole_seconds(instance.created),
        "lastUpdatedTime": _whole_seconds(instance.updated),
    }


def _value(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _whole_seconds(text: str) -> str:
    return text.removesuffix("Z").partition(".")[0] + "Z"


def _flag(query: Mapping[str, str], name: str, default: bool = False) -> bool:
    return {"true": True, "false": False}.get(query.get(name, "").lower(), default)


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        return events.moment(text)
    except ValueError:
        return None


def _json(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response(body, status=status, headers=headers, dumps=compact)


def _error(status: int, message: str, detail: str, kind: str) -> web.Response:
    body = {"Message": message, "ExceptionMessage": detail, "ExceptionType": kind, "StackTrace": None}
    return _json(body, status)


def _too_deep() -> web.Response:
    return _error(
        400, "Invalid JSON content", "The content is nested too deeply.", "Newtonsoft.Json.JsonReaderException"
    )


def _wrong(detail: str) -> web.Response:
    return _error(500, _WENT_WRONG, detail, "System.InvalidOperationException")
