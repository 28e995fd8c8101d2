"""Whose request the job carries out next: a stat one first, and a routine one at least every fifth time.

Storage queues have no priorities, so stat requests have a queue of their own.
"""

from __future__ import annotations

from typing import Literal

Queue = Literal["stat", "routine"]
STAT_IN_A_ROW = 4  # a routine request that waits is overtaken by so many stat ones, and then it is its turn


class Turns:
    """Counts the stat requests that were begun since the last routine one."""

    def __init__(self) -> None:
        self._in_a_row = 0

    def order(self) -> tuple[Queue, Queue]:
        """Which queue to ask first, and which one if the first is empty."""
        return ("stat", "routine") if self.overtaking_allowed() else ("routine", "stat")

    def overtaking_allowed(self) -> bool:
        """Whether another stat request may go before a routine one that is ready."""
        return self._in_a_row < STAT_IN_A_ROW

    def begun(self, queue: Queue) -> None:
        """Notes that a request of this queue is being carried out."""
        self._in_a_row = self._in_a_row + 1 if queue == "stat" else 0
