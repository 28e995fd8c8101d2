"""Event Grid's events of uploads: doubled, late, reordered, lost.

There is no Event Grid on a developer's machine: the embedded host looks at an inbox's listing instead, and calls the
same function. So the weather shows that host, and nobody else, a blob late, again under another ETag, or never.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

from readfirst.domain import resource_names
from readfirst.local.host.storage import USER_AGENT
from readfirst.local.weather.exchange import Answer, Request
from readfirst.local.weather.sky import Sky

_AGAIN_SECONDS = 5.0  # for so long a doubled event's second one is shown, also where its blob is gone


@dataclass
class _Event:
    """When a blob is shown to the host, and when again; a time that is infinite never comes."""

    first: float
    again: float = float("inf")


class Events:
    """The uploads that the host was shown."""

    def __init__(self, sky: Sky, seed: int = 0) -> None:
        self._sky, self._any = sky, random.Random(seed)
        self._events: dict[tuple[str, str, str], _Event] = {}  # container's path, blob, ETag

    async def before(self, request: Request) -> Answer | None:
        """Nothing."""
        return None

    async def after(self, request: Request, answer: Answer) -> None:
        """Changes what the embedded host sees of an inbox."""
        container = request.path.strip("/").rpartition("/")[2]
        theirs = USER_AGENT in request.headers.get("User-Agent", "") and request.query.get("comp") == "list"
        if not theirs or answer.status != 200 or not container.startswith(resource_names.inbox("")):
            return
        root = ElementTree.fromstring(answer.body)  # noqa: S314 - the local server's own answer
        blobs = root.find("Blobs")
        if blobs is None:
            return
        there: set[tuple[str, str, str]] = set()
        for one in list(blobs.findall("Blob")):
            key = (request.path, one.findtext("Name", ""), one.findtext("Properties/Etag", ""))
            there.add(key)
            event = self._events.setdefault(key, self._plan(request.line))
            if time.monotonic() < event.first:
                blobs.remove(one)
        for key in self._doubled(request.path):
            _show(blobs, key[1], key[2] + "again")
        self._forget(request.path, there)
        answer.body = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)

    def _plan(self, line: str) -> _Event:
        now = time.monotonic()
        if self._sky.strikes("events", "event_lost", line):
            return _Event(float("inf"))
        if spell := self._sky.strikes("events", "event_reordered", line):
            now += self._any.uniform(0, spell.wait)
        if spell := self._sky.strikes("events", "event_late", line):
            now += spell.wait
        if spell := self._sky.strikes("events", "event_doubled", line):
            return _Event(now, now + spell.wait)
        return _Event(now)

    def _doubled(self, path: str) -> Iterator[tuple[str, str, str]]:
        now = time.monotonic()
        for key, event in self._events.items():
            if key[0] == path and event.again <= now < event.again + _AGAIN_SECONDS:
                yield key

    def _forget(self, path: str, there: set[tuple[str, str, str]]) -> None:
        now = time.monotonic()
        over = [
            key
            for key, event in self._events.items()
            if key[0] == path
            and key not in there
            and (event.again == float("inf") or now > event.again + _AGAIN_SECONDS)
        ]
        for key in over:
            del self._events[key]


def _show(blobs: ElementTree.Element, name: str, etag: str) -> None:
    for one in blobs.findall("Blob"):
        if one.findtext("Name") == name:
            blobs.remove(one)
    shown = ElementTree.SubElement(blobs, "Blob")
    ElementTree.SubElement(shown, "Name").text = name
    ElementTree.SubElement(ElementTree.SubElement(shown, "Properties"), "Etag").text = etag
