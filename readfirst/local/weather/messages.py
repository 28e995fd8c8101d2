"""Queue messages that are seen twice, or late. The server's own visibility says so: what is deleted twice is real.

https://learn.microsoft.com/rest/api/storageservices/get-messages, …/update-message
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from xml.etree import ElementTree

from readfirst.local.weather.exchange import Answer, Request
from readfirst.local.weather.sky import Sky

# Account, queue, message, its receipt, seconds: the message is visible after so many.
Hide = Callable[[str, str, str, str, int], None]


class Messages:
    """The messages that the weather touches."""

    def __init__(self, sky: Sky, hide: Hide) -> None:
        self._sky, self._hide = sky, hide

    async def before(self, request: Request) -> Answer | None:
        """Nothing."""
        return None

    async def after(self, request: Request, answer: Answer) -> None:
        """Makes a message that was just taken visible at once, or one that was just put only later."""
        parts = request.path.strip("/").split("/")
        if answer.status >= 300 or len(parts) != 3 or parts[2] != "messages" or request.query.get("peekonly"):
            return
        behaviour = {"GET": "message_twice", "POST": "message_late"}.get(request.method)
        if behaviour is None:
            return
        for message in ElementTree.fromstring(answer.body).iter("QueueMessage"):  # noqa: S314 - the local server's own
            if spell := self._sky.strikes("queue", behaviour, request.line):
                known = (message.findtext("MessageId", ""), message.findtext("PopReceipt", ""))
                with suppress(Exception):  # it was deleted meanwhile: then it is seen once
                    wait = round(spell.wait) if behaviour == "message_late" else 0
                    await asyncio.to_thread(self._hide, parts[0], parts[1], *known, wait)
