"""What a process makes once and keeps: clients, settings, secrets. Tests forget all of it with one call."""

from __future__ import annotations

from collections.abc import Callable
from functools import _lru_cache_wrapper, cache
from typing import TypeVar

_Made = TypeVar("_Made")
_kept: list[_lru_cache_wrapper[object]] = []


def once(function: Callable[..., _Made]) -> _lru_cache_wrapper[_Made]:
    """Calls the function once for each set of arguments, and keeps what it gave for the life of the process."""
    kept = cache(function)
    _kept.append(kept)
    return kept


def forget() -> None:
    """Forgets everything that was kept: the next call makes it anew, with the settings of then."""
    for one in _kept:
        one.cache_clear()
