"""What `readfirst doctor` says of one thing that it looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "optional", "missing"]


@dataclass(frozen=True)
class Seen:
    """One thing that was looked at. `remedy` says what to do where the verdict is not ok."""

    what: str
    verdict: Verdict
    seen: str
    remedy: str = ""
