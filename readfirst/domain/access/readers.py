"""Who is reading a study now: a claim that colleagues see, that holds nobody up, and that ends by itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

LASTS = timedelta(minutes=2)  # the portal renews it every minute while the page is in view
Claims = dict[str, dict[str, str]]  # person's id -> name, and until when (ISO 8601 UTC)


def joined(claims: Mapping[str, Any], person: str, name: str, now: datetime) -> Claims:
    """The claims once that person reads too; those that have ended are left out."""
    return {**_current(claims, now), person: {"name": name, "until": (now + LASTS).isoformat(timespec="seconds")}}


def others(claims: Mapping[str, Any], person: str, now: datetime) -> list[str]:
    """The names of everybody else who is reading."""
    return sorted(claim["name"] for who, claim in _current(claims, now).items() if who != person)


def _current(claims: Mapping[str, Any], now: datetime) -> Claims:
    return {who: dict(claim) for who, claim in claims.items() if datetime.fromisoformat(claim["until"]) > now}
