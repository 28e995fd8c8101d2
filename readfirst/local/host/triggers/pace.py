"""How often listeners look: quickly while the host is at work, slowly when nothing has happened for a while.

A look costs about 2.5 ms of processor time in the storage SDKs, so an idle host with many listeners looks less often.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from readfirst.local.host.invoke import Invoker

_AWAKE_SECONDS = 20.0
_IDLE_PAUSE = 2.0
_IDLE_PAUSE_PER_LISTENER = 0.6  # keeps all of them together below one percent of a processor


@dataclass
class Pace:
    invoker: Invoker
    listeners: int = 0

    def pause(self, seconds: float) -> float:
        """`seconds` while functions run or have just run, else longer."""
        if self.invoker.running or time.monotonic() - self.invoker.last_run < _AWAKE_SECONDS:
            return seconds
        return max(seconds, _IDLE_PAUSE, self.listeners * _IDLE_PAUSE_PER_LISTENER)
