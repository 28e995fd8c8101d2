"""One request and its answer, as the proxies see them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from multidict import CIMultiDict

from readfirst.local.weather.catalogue import Row, Service

_WRITES = {"PUT", "POST", "DELETE", "PATCH", "MERGE"}


@dataclass
class Request:
    """What a client asks of a service."""

    service: Service
    method: str
    target: str  # path and query, as they came
    headers: CIMultiDict[str]
    body: bytes

    @property
    def line(self) -> str:
        """Method and path: what a spell's `requests` looks at."""
        return f"{self.method} {self.target}"

    @property
    def path(self) -> str:
        """The path without its query, decoded."""
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> Mapping[str, str]:
        """The query's parameters; of one that comes twice the first."""
        return {name: values[0] for name, values in parse_qs(urlsplit(self.target).query, True).items()}

    @property
    def writes(self) -> bool:
        """Whether it changes something (a query of Cosmos DB is a POST, and does not)."""
        queries = self.service == "cosmos" and self.headers.get("x-ms-documentdb-isquery", "").lower() == "true"
        return self.method in _WRITES and not queries


@dataclass
class Answer:
    """What comes back."""

    status: int
    headers: CIMultiDict[str] = field(default_factory=CIMultiDict)
    body: bytes = b""
    length: int | None = None  # of the body that a HEAD tells of


class State(Protocol):
    """What one service does over several requests."""

    async def before(self, request: Request) -> Answer | None:
        """An answer in the place of the service's, or None: the request is passed on."""

    async def after(self, request: Request, answer: Answer) -> None:
        """Changes what the service has answered."""


def refusal(row: Row, wait: float, *, head: bool = False) -> Answer:
    """What the service answers in the words of its own errors."""
    headers: CIMultiDict[str] = CIMultiDict({"x-ms-request-id": "00000000-0000-0000-0000-000000000000"})
    if row.status == 429:
        headers["Retry-After"] = str(max(1, round(wait)))
    words = "The weather is bad."
    if row.service in ("blob", "queue"):
        headers.update({"x-ms-error-code": row.code, "Content-Type": "application/xml"})
        body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{row.code}</Code><Message>{words}</Message></Error>'
    elif row.service == "table":
        headers.update({"x-ms-error-code": row.code, "Content-Type": "application/json;odata=nometadata"})
        body = f'{{"odata.error": {{"code": "{row.code}", "message": {{"lang": "en-US", "value": "{words}"}}}}}}'
    else:
        headers["Content-Type"] = "application/json"
        body = f'{{"error": {{"code": "{row.code}", "message": "{words}"}}}}'
    if row.service == "cosmos":
        headers.pop("Retry-After", None)
        headers.update({"x-ms-retry-after-ms": str(round(wait * 1000))} if row.status == 429 else {})
        body = f'{{"code": "{row.code}", "message": "{words}"}}'
    return Answer(row.status, headers, b"" if head else body.encode())


def blob_of(request: Request) -> tuple[str, str, str] | None:
    """Account, container and name of the blob that a request is about; None where it is about something else."""
    found = re.fullmatch(r"/([^/]+)/([^/]+)/(.+)", request.path, re.DOTALL)
    return (found[1], found[2], found[3]) if found else None
