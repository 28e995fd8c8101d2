"""Amounts as people write them."""

from __future__ import annotations


def counted(count: int, one: str, several: str = "") -> str:
    """The amount with its word: "1 file", "2 files"; `several` where it is not made by an s."""
    return f"{count} {one if count == 1 else several or one + 's'}"
