"""What cleaning leaves for the receipt."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Traces:
    """What cleaning did: rules by (path, action, why), and the UIDs that it replaced (original -> clean)."""

    rules: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    uids: dict[str, str] = field(default_factory=dict)
