"""Serves the portal's built files as Static Web Apps would.

`python -m readfirst.local.portal FOLDER PORT CONFIGURATION` follows staticwebapp.config.json, so that routes, headers
and the content security policy are tried here first. What that file may hold and this server does not know is refused
at the start. CONFIGURATION is JSON: `page` is what /config.json answers, `connect` the local addresses that the page
may call beside those of Azure.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from readfirst.local.ports import HOST

RULES = "staticwebapp.config.json"


class _Rules(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Route(_Rules):
    """What differs for the paths that match."""

    route: str
    headers: Mapping[str, str] = {}
    redirect: str = ""
    rewrite: str = ""
    status: int = Field(200, alias="statusCode")


class Fallback(_Rules):
    """The page that stands in for every path without a file, except where the exclusions match."""

    rewrite: str
    exclude: tuple[str, ...] = ()


class Override(_Rules):
    """The page that is shown with a status."""

    rewrite: str
    status: int | None = Field(None, alias="statusCode")


class SiteRules(_Rules):
    """The part of staticwebapp.config.json that is known here."""

    routes: tuple[Route, ...] = ()
    fallback: Fallback | None = Field(None, alias="navigationFallback")
    overrides: Mapping[str, Override] = Field({}, alias="responseOverrides")
    headers: Mapping[str, str] = Field({}, alias="globalHeaders")
    types: Mapping[str, str] = Field({}, alias="mimeTypes")


def matches(pattern: str, path: str) -> bool:
    """Whether a route pattern covers a path: `*` at its end or before extensions, `{a,b}` for one of several."""
    escaped = re.escape(pattern).replace(r"\*", ".*")
    alternatives = re.sub(r"\\{(.*?)\\}", lambda m: f"({m[1].replace(',', '|')})", escaped)
    return re.fullmatch(alternatives, path) is not None


class Site:
    """The portal's files under its rules."""

    def __init__(self, folder: Path, page: Mapping[str, Any], connect: tuple[str, ...]) -> None:
        self.folder = folder.resolve()
        self.rules = SiteRules.model_validate_json((self.folder / RULES).read_text())
        self.page = page
        self.headers = {name: _reaching(value, connect) for name, value in self.rules.headers.items()}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer GET and HEAD for any path."""
        route = next((route for route in self.rules.routes if matches(route.route, request.path)), None)
        headers = self.headers | dict(route.headers if route else {})
        kept = {name: value for name, value in headers.items() if value}  # an empty value takes a header away
        if route and route.redirect:
            status = route.status if route.status in (301, 302, 303, 307, 308) else 302
            return web.Response(status=status, headers={**kept, "Location": route.redirect})
        path = route.rewrite if route and route.rewrite else request.path
        if path == "/config.json":
            return web.json_response(self.page, headers=kept)
        if file := self._file(path) or self._fallback(path):
            return self._answer(file, 200, kept)
        missing = self.rules.overrides.get("404")
        page = self._file(missing.rewrite) if missing else None
        if missing and page:
            return self._answer(page, missing.status or 404, kept)
        return web.Response(status=404, text="Not found", headers=kept)

    def _file(self, path: str) -> Path | None:
        file = (self.folder / path.lstrip("/")).resolve()
        if file.is_dir():
            file /= "index.html"
        inside = file.is_relative_to(self.folder) and file.name != RULES
        return file if inside and file.is_file() else None

    def _fallback(self, path: str) -> Path | None:
        rule = self.rules.fallback
        if rule is None or any(matches(pattern, path) for pattern in rule.exclude):
            return None
        return self._file(rule.rewrite)

    def _answer(self, file: Path, status: int, headers: Mapping[str, str]) -> web.StreamResponse:
        kind = self.rules.types.get(file.suffix)
        return web.FileResponse(file, status=status, headers={**headers, **({"Content-Type": kind} if kind else {})})


def _reaching(value: str, connect: tuple[str, ...]) -> str:
    return value.replace("connect-src ", " ".join(["connect-src", *connect, ""]))


def main() -> None:
    """Serve until a signal ends the process."""
    folder, port, configuration = sys.argv[1:]
    given = json.loads(configuration)
    site = Site(Path(folder), given["page"], tuple(given["connect"]))
    application = web.Application()
    application.router.add_get("/{path:.*}", site.handle)
    web.run_app(application, host=HOST, port=int(port), print=None, access_log=None)


if __name__ == "__main__":
    main()
