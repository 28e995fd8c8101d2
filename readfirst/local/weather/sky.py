"""Decides which request meets which weather: by the forecast, the time and the seed. Counts what it decided."""

from __future__ import annotations

import random
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from readfirst.local.weather.catalogue import Service
from readfirst.local.weather.forecast import CALM, Forecast, Spell


@dataclass
class _Coming:
    """A spell with what is left of it."""

    spell: Spell
    chance: random.Random
    left: int | None
    met: deque[float] = field(default_factory=deque)  # when requests were served, for limits in a window


class Sky:
    """The weather of all services. Safe to ask from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._began, self._coming = 0.0, [_Coming(spell, random.Random(), None) for spell in CALM.spell]
        self.met: Counter[tuple[str, str]] = Counter()  # service and behaviour: how many requests met it
        self.passed: Counter[str] = Counter()  # service: how many requests it was asked

    def change(self, forecast: Forecast) -> None:
        """This forecast begins now, in the place of the one before."""
        with self._lock:
            self._began = self._clock()
            self._coming = [
                _Coming(spell, random.Random(f"{forecast.seed} {place}"), spell.times)
                for place, spell in enumerate(forecast.spell)
            ]

    def add(self, spell: Spell) -> None:
        """One more spell; its `begins` counts from now."""
        with self._lock:
            later = self._clock() - self._began
            moved = spell.model_copy(update={"begins": spell.begins + later})
            self._coming.append(_Coming(moved, random.Random(f"added {len(self._coming)}"), spell.times))

    def clear(self) -> None:
        """Calm; what was counted stays."""
        self.change(CALM)

    def strikes(self, service: Service, behaviour: str, line: str = "") -> Spell | None:
        """The spell that this request meets, which uses one of its times up."""
        with self._lock:
            for coming in self._now(service, behaviour, line):
                if coming.chance.random() < coming.spell.chance:
                    self._count(coming)
                    return coming.spell
        return None

    def holds(self, service: Service, behaviour: str, line: str = "") -> Spell | None:
        """The spell that is in force, without a chance drawn: for limits, which count only where they are met."""
        with self._lock:
            return next((coming.spell for coming in self._now(service, behaviour, line)), None)

    def reached(self, spell: Spell) -> None:
        """A limit was met."""
        with self._lock:
            self.met[spell.service, spell.behaviour] += 1

    def over(self, service: Service, behaviour: str, line: str) -> Spell | None:
        """The limit of requests in a window that this request exceeds; one that is served counts for the next."""
        with self._lock:
            for coming in self._now(service, behaviour, line):
                now, window = self._clock(), coming.spell.row.window
                while coming.met and coming.met[0] <= now - window:
                    coming.met.popleft()
                if len(coming.met) >= coming.spell.most:
                    self._count(coming)
                    return coming.spell
                coming.met.append(now)
        return None

    def _now(self, service: Service, behaviour: str, line: str) -> list[_Coming]:
        at = self._clock() - self._began
        return [one for one in self._coming if _in_force(one, service, behaviour, line, at)]

    def _count(self, coming: _Coming) -> None:
        if coming.left is not None:
            coming.left -= 1
        self.met[coming.spell.service, coming.spell.behaviour] += 1


def _in_force(coming: _Coming, service: Service, behaviour: str, line: str, at: float) -> bool:
    spell = coming.spell
    if (spell.service, spell.behaviour) != (service, behaviour) or coming.left == 0 or at < spell.begins:
        return False
    if spell.lasts is not None and at >= spell.begins + spell.lasts:
        return False
    return re.search(spell.requests, line) is not None
