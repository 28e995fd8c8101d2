"""Waiting in tests: for a condition, never for a fixed time, and as long as a slow, loaded machine needs.

What holds is seen at once, so a long patience costs time only where a test fails.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE = 120.0  # seconds: for a condition, for an answer, for the end of a process
T = TypeVar("T")


def eventually(condition: Callable[[], T], seconds: float = PATIENCE, pause: float = 0.05) -> T:
    """What the condition gives as soon as it holds. Fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"it did not happen in {seconds:g} s: {value!r}"
        time.sleep(pause)
    return value
