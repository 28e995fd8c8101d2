"""The blueprint that every orchestrator and activity registers with, and the retry policies by name.

Here too is how a fault of an activity is called where people read of it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import azure.durable_functions as df

blueprint = df.Blueprint()


def kind_of(fault: Exception) -> str:
    """A fault by its class name, which the host puts in front of its words: those can hold content."""
    words = str(fault).replace("\n", " ").split()
    return next((w.rstrip(":") for w in words if w.rstrip(":").endswith(("Error", "Exception", "Timeout"))), "fault")


class Patience(df.RetryOptions):  # type: ignore[misc]  # the SDK is untyped
    """Tries again after `first`, then after twice as long each time up to `longest`, and gives up after `lasts`.

    The waits are durable timers. The Python SDK's own options know one interval only; the host reads the other two
    fields as well (durable extension, RetryOptionsConverter), which is how the .NET and JavaScript SDKs send them.
    """

    def __init__(self, first: timedelta, longest: timedelta, lasts: timedelta) -> None:
        super().__init__(int(first / _MILLISECOND), _attempts(first, longest, lasts))
        self.longest = longest

    def to_json(self) -> dict[str, Any]:
        """The options as the host reads them."""
        growing = {"backoffCoefficient": 2, "maxRetryIntervalInMilliseconds": int(self.longest / _MILLISECOND)}
        return {**super().to_json(), **growing}


_MILLISECOND = timedelta(milliseconds=1)


def _attempts(first: timedelta, longest: timedelta, lasts: timedelta) -> int:
    attempts, waited, wait = 1, timedelta(0), first
    while waited < lasts:
        attempts, waited, wait = attempts + 1, waited + wait, min(2 * wait, longest)
    return attempts


# Most faults are over within seconds; an incident of Storage, Key Vault or Cosmos DB lasts hours. Either costs a
# study time, never its result. Five minutes are the most that a study waits for a service that is back.
_MINUTES = timedelta(minutes=5)
STEP = Patience(first=timedelta(seconds=5), longest=_MINUTES, lasts=timedelta(hours=12))
# A run that gave up before it sealed would leave files that nobody looks for: it is the most patient of all.
SEALING = Patience(first=timedelta(seconds=5), longest=_MINUTES, lasts=timedelta(hours=48))
# What goes out when a study has been read, each by itself: the record, the index, the clinic's answer, its results.
TELLING = Patience(first=timedelta(seconds=5), longest=_MINUTES, lasts=timedelta(hours=24))
# An e-mail is limited per minute and per hour; it keeps its operation id, so trying again never sends it twice. The
# alert says that it is stuck when these are over, and begins again.
MAIL = Patience(first=timedelta(seconds=15), longest=timedelta(minutes=2), lasts=timedelta(minutes=10))
