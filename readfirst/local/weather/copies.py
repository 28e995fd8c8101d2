"""Copies of blobs that take their time, and append blobs that are full.

From its 202 on the target of Copy Blob exists and is empty, with another ETag, until the copy has ended; a copy that
fails or is aborted leaves it empty. Azurite copies at once: it holds the end, and the proxy shows what was before it.
https://learn.microsoft.com/rest/api/storageservices/copy-blob, …/abort-copy-blob, …/append-block
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from xml.etree import ElementTree

from multidict import CIMultiDict

from readfirst.local.weather.catalogue import row
from readfirst.local.weather.exchange import Answer, Request, blob_of, refusal
from readfirst.local.weather.sky import Sky

Blob = tuple[str, str, str]
Empty = Callable[[Blob, dict[str, str]], None]  # makes a blob of the server empty, with this metadata


@dataclass
class _Copy:
    ends: float
    ending: str  # success, failed or aborted
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    etag: str = field(default_factory=lambda: f'"0x{uuid.uuid4().hex[:15].upper()}"')

    @property
    def status(self) -> str:
        return "pending" if time.monotonic() < self.ends else self.ending


class Copies:
    """The copies that the weather has touched."""

    def __init__(self, sky: Sky, empty: Empty) -> None:
        self._sky, self._empty = sky, empty
        self._copies: dict[Blob, _Copy] = {}

    async def before(self, request: Request) -> Answer | None:
        """What the target of a pending copy answers to those who would change it, or read of it."""
        blob = blob_of(request)
        copy = self._copies.get(blob) if blob else None
        if blob is None or copy is None or copy.status != "pending":
            return None
        if request.query.get("comp") == "copy":
            copy.ends, copy.ending = 0.0, "aborted"
            await asyncio.to_thread(self._empty, blob, {})
            return Answer(204)
        if request.query.get("comp") == "tags":
            return None
        if request.writes:
            known = row("blob", "conflict")
            assert known, "a row of the catalogue"  # noqa: S101
            return refusal(known, 0)
        if request.method == "GET" and ("x-ms-range" in request.headers or "Range" in request.headers):
            return Answer(416, CIMultiDict({"x-ms-error-code": "InvalidRange", "Content-Range": "bytes */0"}))
        return None

    async def after(self, request: Request, answer: Answer) -> None:
        """Shows a pending copy as pending and a failed one as failed."""
        if request.query.get("comp") == "list":
            return self._in_listing(request, answer)
        blob = blob_of(request)
        if blob is None or answer.status >= 300:
            return
        if "x-ms-copy-source" in request.headers and "x-ms-blob-type" not in request.headers:
            await self._begin(blob, request, answer)
        elif copy := self._copies.get(blob):
            self._show(blob, copy, request, answer)

    async def _begin(self, blob: Blob, request: Request, answer: Answer) -> None:
        self._copies.pop(blob, None)
        fails = self._sky.strikes("blob", "copy_fails", request.line)
        spell = fails or self._sky.strikes("blob", "copy_pending", request.line)
        if not spell:
            return
        copy = self._copies[blob] = _Copy(time.monotonic() + spell.wait, "failed" if fails else "success")
        if fails:
            marks = {n[10:]: v for n, v in request.headers.items() if n.lower().startswith("x-ms-meta-")}
            await asyncio.to_thread(self._empty, blob, marks)
        answer.headers.update({"x-ms-copy-status": "pending", "x-ms-copy-id": copy.id, "ETag": copy.etag})

    def _show(self, blob: Blob, copy: _Copy, request: Request, answer: Answer) -> None:
        if request.method == "DELETE" or (request.method == "PUT" and "comp" not in request.query):
            del self._copies[blob]  # another blob from now on
        elif request.method in ("GET", "HEAD") and copy.status != "success":
            answer.headers.update({"x-ms-copy-status": copy.status, "x-ms-copy-id": copy.id})
            if copy.status == "pending":
                answer.headers["ETag"] = copy.etag
                answer.body, answer.length = b"", 0

    def _in_listing(self, request: Request, answer: Answer) -> None:
        account, _, container = request.path.strip("/").partition("/")
        pending = {b[2]: c for b, c in self._copies.items() if b[:2] == (account, container) and c.status == "pending"}
        if not pending or answer.status != 200:
            return
        root = ElementTree.fromstring(answer.body)  # noqa: S314 - the local server's own answer
        for one in root.iter("Blob"):
            copy, known = pending.get(one.findtext("Name", "")), one.find("Properties")
            if copy and known is not None:
                for name, value in (("Content-Length", "0"), ("Etag", copy.etag), ("CopyStatus", "pending")):
                    found = known.find(name)
                    found = ElementTree.SubElement(known, name) if found is None else found
                    found.text = value
        answer.body = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


class Appends:
    """Append blobs and their blocks."""

    def __init__(self, sky: Sky) -> None:
        self._sky = sky
        self._blocks: dict[Blob, int] = {}

    async def before(self, request: Request) -> Answer | None:
        """Refuses a block beyond the limit."""
        blob = blob_of(request)
        if blob is None or request.query.get("comp") != "appendblock":
            return None
        spell = self._sky.holds("blob", "append_full", request.line)
        if spell is None or self._blocks.get(blob, 0) < spell.most:
            return None
        self._sky.reached(spell)
        return refusal(spell.row, 0)

    async def after(self, request: Request, answer: Answer) -> None:
        """Counts the blocks, as the service says them."""
        blob = blob_of(request)
        said = answer.headers.get("x-ms-blob-committed-block-count")
        if blob and said and request.query.get("comp") == "appendblock":
            self._blocks[blob] = int(said)
