"""Faults that tests inject: what the cloud does on a bad day, a given number of times."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from aiohttp import web

KINDS = {
    "jobs": {"quota", "image-pull", "oom", "hang"},
    "email": {"throttle", "unavailable", "bounce"},
    "vault": {"throttle", "unavailable"},
}


@dataclass
class Faults:
    """The faults still to happen, per service and kind."""

    waiting: Counter[tuple[str, str]] = field(default_factory=Counter)

    async def handle(self, request: web.Request) -> web.Response:
        """POST /faults {"service": "jobs", "kind": "quota", "times": 1}."""
        if request.content_type != "application/json":  # a form of any web page could send other types
            return web.json_response({"error": "send application/json"}, status=415)
        wish = await request.json()
        service, kind = wish.get("service"), wish.get("kind")
        if kind not in KINDS.get(service, ()):
            known = "; ".join(f"{name}: {', '.join(sorted(kinds))}" for name, kinds in KINDS.items())
            return web.json_response({"error": f"known faults: {known}"}, status=400)
        self.waiting[service, kind] += int(wish.get("times", 1))
        return web.json_response({"waiting": self.waiting[service, kind]})

    def strikes(self, service: str, kind: str) -> bool:
        """Whether this call shall fail in that way; each answer of True uses one up."""
        if self.waiting[service, kind] <= 0:
            return False
        self.waiting[service, kind] -= 1
        return True

    def http_error(self, service: str) -> web.Response | None:
        """The answer of a throttled or unavailable service, when that fault waits."""
        if self.strikes(service, "throttle"):
            body = {"error": {"code": "TooManyRequests", "message": "The request was throttled."}}
            return web.json_response(body, status=429, headers={"Retry-After": "1"})
        if self.strikes(service, "unavailable"):
            body = {"error": {"code": "ServiceUnavailable", "message": "Try again later."}}
            return web.json_response(body, status=503)
        return None
