"""Tokens that end before their time, while they are in use: the services refuse them from then on."""

from __future__ import annotations

import json
import time

from readfirst.local.weather.exchange import Answer, Request
from readfirst.local.weather.sky import Sky


class Tokens:
    """The tokens whose life the weather has shortened."""

    def __init__(self, sky: Sky) -> None:
        self._sky = sky
        self._ends: dict[str, float] = {}

    async def before(self, request: Request) -> Answer | None:
        """Takes an ended token off a request: the service itself says what it answers to that."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme == "Bearer" and time.time() > self._ends.get(token, float("inf")):
            del request.headers["Authorization"]
        return None

    async def after(self, request: Request, answer: Answer) -> None:
        """Shortens the life of a token that was just issued, and says so in its answer, as the service would."""
        if request.service != "tokens" or answer.status != 200:
            return
        if spell := self._sky.strikes("tokens", "token_expires", request.line):
            said = json.loads(answer.body)
            ends = int(time.time() + spell.wait)
            self._ends[said["access_token"]] = ends
            answer.body = json.dumps({**said, "expires_on": str(ends)}).encode()
