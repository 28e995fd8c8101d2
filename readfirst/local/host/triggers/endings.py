"""How a listener ends: what runs may finish for a moment; what does not is done again at the next start."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

GRACE = 3.0  # seconds


async def finish_or_cancel(tasks: Collection[asyncio.Task[None]]) -> None:
    if tasks:
        await asyncio.wait(list(tasks), timeout=GRACE)
    for task in tasks:
        task.cancel()
