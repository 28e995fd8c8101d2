"""Which study is read first: how soon each is due. The worklist's order stands on these times."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

ROUTINE = timedelta(hours=24)
STAT = timedelta(hours=1)
HIGH_RISK = timedelta(minutes=30)

Priority = Literal["stat", "routine"]


def due(received: datetime, *, priority: Priority, high_risk: bool) -> datetime:
    """When a study has to be read. What the AI says can bring a study forward, never put it back."""
    allowed = STAT if priority == "stat" else ROUTINE
    return received + (min(allowed, HIGH_RISK) if high_risk else allowed)
