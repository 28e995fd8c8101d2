"""How long an Azure SDK may sleep by itself: briefly. Whoever can wait without holding a worker waits for the rest.

A service may ask for an hour (Retry-After), and the SDKs would sleep through it inside the call, ten times: longer
than a function may run, and longer than any lease lives. Here such an answer is raised at once; a durable timer, a
queue's visibility timeout or the next look of a timer tries again.
"""

from __future__ import annotations

from functools import cache
from typing import Any

LONGEST_SLEEP = 8.0  # seconds, before one try of one request
_RETRIES = 3

# For one request whose caller waits by itself, or holds a lease: no retry, and an end to its waiting for an answer.
AT_ONCE: dict[str, Any] = {"retry_total": 0, "connection_timeout": 5, "read_timeout": 20}


@cache
def policy() -> Any:
    """The class of the retry policy of azure-core's clients: three retries, each within seconds."""
    from azure.core.pipeline.policies import RetryPolicy

    class Brief(RetryPolicy):  # type: ignore[misc] # azure-core names it lazily
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**{"retry_total": _RETRIES, "retry_backoff_max": LONGEST_SLEEP, **kwargs})

        def is_retry(self, settings: dict[str, Any], response: Any) -> bool:
            brief = (self.get_retry_after(response) or 0.0) <= LONGEST_SLEEP
            return brief and bool(super().is_retry(settings, response))

    return Brief


def core() -> dict[str, Any]:
    """Options of a client of Key Vault, Resource Manager or e-mail. No two clients can share a policy."""
    return {"retry_policy": policy()()}


def storage() -> dict[str, Any]:
    """Options of a storage client. Its policy looks at no Retry-After, and sleeps for 84 s in all by default."""
    return {"retry_total": _RETRIES, "initial_backoff": 1, "increment_base": 2, "random_jitter_range": 1}


def cosmos() -> dict[str, Any]:
    """Options of a Cosmos client: a fixed interval in place of what the service asks for, which it does not limit."""
    return {
        "retry_throttle_total": int(LONGEST_SLEEP),
        "retry_fixed_interval": 1000,
        "retry_backoff_max": int(LONGEST_SLEEP),
    }
