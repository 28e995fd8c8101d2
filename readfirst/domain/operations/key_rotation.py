"""When a secret is due for a new version, and what a re-wrap has done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

NOTICE = timedelta(days=30)  # Key Vault's SecretNearExpiry comes so long before
LIFE = timedelta(days=365)


def due(expires: datetime | None, now: datetime) -> bool:
    """Whether a secret needs a new version: it expires within the notice, or nobody gave it an expiry."""
    return expires is None or expires - now <= NOTICE


@dataclass(frozen=True)
class Swept:
    """What one pass over the vault did. `cursor` is where the next one goes on; empty when the end was reached."""

    looked: int
    rewrapped: int
    missed: int  # changed or erased under our hands, or not to be opened: a later pass looks again
    cursor: str

    @property
    def finished(self) -> bool:
        """Whether every record was looked at."""
        return not self.cursor
