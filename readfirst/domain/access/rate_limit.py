"""Rate limits: a token bucket per caller."""

from __future__ import annotations

from threading import Lock

_REMEMBERED = 10_000


class Buckets:
    """`burst` calls at once, `per_minute` in the long run, for each caller. Safe between threads."""

    def __init__(self, *, per_minute: float, burst: int) -> None:
        self._rate, self._burst = per_minute / 60, burst
        self._left: dict[str, tuple[float, float]] = {}
        self._lock = Lock()

    def wait(self, caller: str, now: float) -> float:
        """Takes one call. Returns 0 where it may go on, or how many seconds to wait. `now` is in seconds."""
        with self._lock:
            left, then = self._left.pop(caller, (float(self._burst), now))
            left = min(float(self._burst), left + (now - then) * self._rate)
            allowed = left >= 1
            self._left[caller] = (left - 1 if allowed else left, now)
            while len(self._left) > _REMEMBERED:  # the one who called least recently has a full bucket anyway
                self._left.pop(next(iter(self._left)))
            return 0.0 if allowed else (1 - left) / self._rate
