"""Documented limits of requests: how large one may be, and how many there may be in a while."""

from __future__ import annotations

from readfirst.local.weather.exchange import Answer, Request, refusal
from readfirst.local.weather.sky import Sky

# Which requests a limit counts, where it is not every one.
_COUNTED = {("email", "too_many"): "POST", ("email", "too_many_an_hour"): "POST", ("arm", "too_many"): "GET"}


class Limits:
    """The limits of every service."""

    def __init__(self, sky: Sky) -> None:
        self._sky = sky

    async def before(self, request: Request) -> Answer | None:
        """Refuses what is too large, or one too many."""
        spell = self._sky.holds(request.service, "too_large", request.line)
        if spell and request.writes and len(request.body) > spell.most:
            self._sky.reached(spell)
            return refusal(spell.row, 0)
        for behaviour in ("too_many", "too_many_an_hour"):
            if request.method != _COUNTED.get((request.service, behaviour), request.method):
                continue
            if spell := self._sky.over(request.service, behaviour, request.line):
                return refusal(spell.row, spell.wait)
        return None

    async def after(self, request: Request, answer: Answer) -> None:
        """Nothing."""
