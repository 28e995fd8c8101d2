"""The weather of a chaotic day, drawn by a seed: chances for every service all day, and each away for a while."""

from __future__ import annotations

import random
from typing import Any

from readfirst.local.weather.forecast import Forecast, Spell

_SHARE = 0.015  # of all requests, for each of the common faults
_COMMON: dict[str, tuple[str, ...]] = {
    "blob": ("throttled", "error", "unanswered", "half_closed", "timeout", "slow"),
    "queue": ("throttled", "error", "unanswered", "half_closed", "slow"),
    "cosmos": ("throttled", "unavailable", "error", "unanswered", "precondition"),
    "vault": ("throttled", "unavailable", "error", "half_closed"),
    "arm": ("throttled", "error", "unanswered", "half_closed"),
    "email": ("throttled", "unavailable", "unanswered", "half_closed"),
    "tokens": ("throttled", "unavailable"),
}
# Waits of a common fault, where a day of minutes needs less than the catalogue's.
_SECONDS: dict[tuple[str, str], float] = {
    ("blob", "timeout"): 2.0,
    **{(service, "slow"): 1.0 for service in _COMMON},
    **{(service, "throttled"): 2.0 for service in ("cosmos", "vault", "arm", "email")},
}
_AWAY = ("blob", "queue", "cosmos", "vault", "arm", "email")
_LONGEST_AWAY = 12.0  # seconds: longer than an SDK's own tries


def forecast(seed: int, lasts: float) -> Forecast:
    """The weather of so many seconds; the same for the same seed and length."""
    rng = random.Random(f"{seed} weather")
    spells = [
        _spell(service, one, _SHARE * rng.uniform(0.5, 1.5), seconds=_SECONDS.get((service, one)))
        for service, common in _COMMON.items()
        for one in common
    ]
    spells += [
        _spell("blob", "copy_pending", 0.2, seconds=rng.uniform(1, 3)),
        _spell("blob", "copy_fails", 0.05, seconds=0.5),
        _spell("blob", "append_full", 1.0, count=50),
        _spell("queue", "message_twice", 0.1),
        _spell("queue", "message_late", 0.1, seconds=3),
        _spell("arm", "list_lags", 1.0, seconds=5),
        _spell("arm", "phantom", 0.05, times=1),
        _spell("tokens", "token_expires", 0.5, seconds=15),
        _spell("email", "too_many", 1.0, count=5),
        _spell("events", "event_late", 0.05, seconds=6),
        _spell("events", "event_reordered", 0.3, seconds=3),
        _spell("events", "event_doubled", 0.05, seconds=2),
        _spell("events", "event_lost", 0.05),
    ]
    # One service after the other is away.
    away = list(_AWAY)
    rng.shuffle(away)
    part = lasts / len(away)
    for place, service in enumerate(away):
        spells.append(_spell(service, "unavailable", 1.0, begins=place * part, lasts=min(part, _LONGEST_AWAY)))
    return Forecast(seed=seed, spell=tuple(spells))


def _spell(service: str, behaviour: str, chance: float, **options: Any) -> Spell:
    return Spell.model_validate({"service": service, "behaviour": behaviour, "chance": chance, **options})
