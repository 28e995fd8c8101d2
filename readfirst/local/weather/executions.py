"""Azure Resource Manager's list of a job's executions: what it shows late, and what it shows for ever."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from readfirst.local.weather.exchange import Answer, Request
from readfirst.local.weather.sky import Sky


class Executions:
    """The executions that the weather has touched."""

    def __init__(self, sky: Sky) -> None:
        self._sky = sky
        self._phantoms: set[str] = set()

    async def before(self, request: Request) -> Answer | None:
        """Nothing."""
        return None

    async def after(self, request: Request, answer: Answer) -> None:
        """Leaves young executions out of a list, and shows a phantom as running."""
        if request.method != "GET" or "/executions" not in request.path or answer.status != 200:
            return
        said = json.loads(answer.body)
        if "value" in said:
            said["value"] = self._listed(said["value"], request)
            for one in said["value"]:
                self._haunt(one, request)
        elif said.get("name") in self._phantoms:
            _still_runs(said)
        answer.body = json.dumps(said).encode()

    def _listed(self, executions: list[dict[str, Any]], request: Request) -> list[dict[str, Any]]:
        spell = self._sky.holds("arm", "list_lags", request.line)
        if spell is None:
            return executions
        since = datetime.now(UTC) - timedelta(seconds=spell.wait)
        old = [one for one in executions if datetime.fromisoformat(one["properties"]["startTime"]) < since]
        if len(old) < len(executions):
            self._sky.reached(spell)
        return old

    def _haunt(self, execution: dict[str, Any], request: Request) -> None:
        over = execution["properties"].get("status") != "Running"
        if over and execution["name"] not in self._phantoms and self._sky.strikes("arm", "phantom", request.line):
            self._phantoms.add(execution["name"])
        if execution["name"] in self._phantoms:
            _still_runs(execution)


def _still_runs(execution: dict[str, Any]) -> None:
    execution["properties"]["status"] = "Running"
    execution["properties"].pop("endTime", None)
    execution["properties"].pop("detailedStatus", None)
