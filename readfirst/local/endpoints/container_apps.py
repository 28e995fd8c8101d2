"""Azure Resource Manager's Container Apps jobs: start, list, look at and stop executions of the two jobs."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from readfirst.local import job_runner
from readfirst.local.certificates import write_private
from readfirst.local.endpoints.faults import Faults
from readfirst.local.endpoints.tokens import Refused, Tokens

_JOB = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.App/jobs/{job}"
_PUBLIC_RESOURCE = "https://management.azure.com"
_KEPT_EXECUTIONS = 100  # as many as Azure keeps
_NAME_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True)
class Jobs:
    """The executions on disk, and the runners that keep watch over them."""

    folder: Path  # one folder per execution
    definition: Path  # JSON: resource ids, command, environment, folder, log
    tokens: Tokens
    faults: Faults
    address: str
    watchers: set[asyncio.Task[int]] = field(default_factory=set)

    def routes(self) -> list[web.RouteDef]:
        """The calls that Readfirst makes."""
        return [
            web.post(f"{_JOB}/start", self.guarded(self.start)),
            web.get(f"{_JOB}/executions", self.guarded(self.list)),
            web.get(f"{_JOB}/executions/{{execution}}", self.guarded(self.show)),
            web.post(f"{_JOB}/executions/{{execution}}/stop", self.guarded(self.stop)),
        ]

    def guarded(self, handler: Any) -> Any:
        """`handler` behind the token check, for the jobs there are."""

        async def handle(request: web.Request) -> web.Response:
            try:
                self.tokens.check(request, self.address, _PUBLIC_RESOURCE)
            except Refused as error:
                return _error(401, "AuthenticationFailed", str(error))
            definition = json.loads(self.definition.read_text())
            path = _JOB.format(**request.match_info)
            known = {one.lower(): one for one in definition["ids"]}
            if path.lower() not in known:
                return _error(404, "ResourceNotFound", f"there is no job {request.match_info['job']}")
            answer: web.Response = await handler(request, {**definition, "id": known[path.lower()]})
            return answer

        return handle

    async def start(self, request: web.Request, definition: Mapping[str, Any]) -> web.Response:
        """Start an execution; the answer comes at once."""
        if request.can_read_body and await request.text() not in ("", "{}", "null"):
            return _error(400, "InvalidRequest", "the local job takes no template: it would replace the job's own")
        if self.faults.strikes("jobs", "quota"):
            message = "Maximum Allowed Cores exceeded for the Managed Environment."
            return _error(409, "MaximumAllowedCoresExceeded", message)
        self._forget_old()
        suffix = "".join(secrets.choice(_NAME_ALPHABET) for _ in range(7))
        name = f"{request.match_info['job']}-{suffix}"
        kinds: tuple[job_runner.Fault, ...] = ("image-pull", "oom", "hang")
        fault = next((kind for kind in kinds if self.faults.strikes("jobs", kind)), None)
        given = {**definition["environment"], "CONTAINER_APP_JOB_NAME": request.match_info["job"]}
        order = job_runner.Order(definition["command"], given, definition["folder"], definition["log"], fault)
        folder = self.folder / name
        folder.mkdir(mode=0o700, parents=True)
        write_private(folder / "order.json", json.dumps(asdict(order)).encode())
        if not await self._run(folder):
            return _error(500, "InternalServerError", "the job's runner did not start: see endpoints.log")
        identity = f"{definition['id']}/executions/{name}"
        return web.json_response({"name": name, "id": identity}, status=200)

    async def _run(self, folder: Path) -> bool:
        lifeline = os.environ.get(job_runner.LIFELINE)
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "readfirst.local.job_runner", str(folder)],
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # the runner outlives this endpoint
            pass_fds=[int(lifeline)] if lifeline else [],
        )
        watcher = asyncio.create_task(process.wait())
        self.watchers.add(watcher)
        watcher.add_done_callback(self.watchers.discard)
        while not (folder / "started").exists():  # whoever knows the execution's name can look at it and stop it
            if process.returncode is not None:
                return False
            await asyncio.sleep(0.01)
        return True

    async def list(self, request: web.Request, definition: Mapping[str, Any]) -> web.Response:
        """Every execution, newest first."""
        job = definition["id"].rsplit("/", 1)[1]
        files = (file for file in self.folder.glob("*/started") if file.parent.name.rpartition("-")[0] == job)
        folders = sorted(files, key=lambda file: file.read_text(), reverse=True)
        return web.json_response({"value": [_document(file.parent, definition["id"]) for file in folders]})

    async def show(self, request: web.Request, definition: Mapping[str, Any]) -> web.Response:
        """One execution."""
        folder = self.folder / Path(request.match_info["execution"]).name
        if not (folder / "started").exists():
            return _error(404, "JobExecutionNotFound", "there is no such execution")
        return web.json_response(_document(folder, definition["id"]))

    async def stop(self, request: web.Request, definition: Mapping[str, Any]) -> web.Response:
        """Ask an execution to end."""
        folder = self.folder / Path(request.match_info["execution"]).name
        if not (folder / "started").exists():
            return _error(404, "JobExecutionNotFound", "there is no such execution")
        end(folder)
        return web.Response(status=200)

    def _forget_old(self) -> None:
        folders = sorted(self.folder.glob("*/started"), key=lambda file: file.read_text())
        for file in folders[:-_KEPT_EXECUTIONS]:
            if job_runner.result(file.parent):
                shutil.rmtree(file.parent)


def end(folder: Path) -> None:
    """Tell an execution's runner to end its job, if it still runs."""
    if job_runner.running(folder):
        with suppress(ProcessLookupError, FileNotFoundError):
            os.kill(int((folder / "runner.pid").read_text()), signal.SIGTERM)


def _document(folder: Path, job: str) -> dict[str, Any]:
    ended = job_runner.result(folder)
    return {
        "id": f"{job}/executions/{folder.name}",
        "name": folder.name,
        "type": "Microsoft.App/jobs/executions",
        "properties": {
            "status": ended.status if ended else "Running",
            "startTime": (folder / "started").read_text(),
            **({"endTime": ended.ended} if ended and ended.ended else {}),
            **({"detailedStatus": {"replicas": [_replica(folder, ended)]}} if ended else {}),
        },
    }


def _replica(folder: Path, ended: job_runner.Result) -> dict[str, Any]:
    container = {"name": "analyse", "status": "Terminated", "code": ended.code, "additionalInformation": ended.detail}
    return {"name": folder.name, "containers": [container]}


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status)
