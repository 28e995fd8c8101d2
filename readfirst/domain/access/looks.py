"""What one look is: whoever turns the pages of a study makes hundreds of requests, and one act."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta

from readfirst.domain.access.rules import Rule

LASTS = timedelta(minutes=15)
_MOST = 10_000


def look_of(rule: Rule) -> str:
    """The kind of look that a request of the rule belongs to; empty for what is an act each time."""
    if rule.app != "api" or rule.method != "GET" or rule.scope != "study":
        return ""
    return "images" if rule.name.startswith("dicomweb_") or rule.name == "study_images" else rule.name


class Looks:
    """The looks that this process has audited. Each lasts for a time from its first request; then it is a new one."""

    def __init__(self) -> None:
        self._begun: OrderedDict[tuple[str, ...], datetime] = OrderedDict()

    def audited(self, key: tuple[str, ...], now: datetime) -> bool:
        """Whether the request belongs to a look that is in the log already."""
        begun = self._begun.get(key)
        return begun is not None and timedelta(0) <= now - begun < LASTS

    def begin(self, key: tuple[str, ...], now: datetime) -> None:
        """Says that a look is in the log. Only then: an act that was not written must be written the next time."""
        self._begun[key] = now
        self._begun.move_to_end(key)
        while len(self._begun) > _MOST:
            self._begun.popitem(last=False)
