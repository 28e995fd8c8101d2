"""Counts the storage operations that a study costs: studies of two sizes, and a stack whose Azurite logs requests.

`python -m tools.count_operations` (four minutes). The figures are in readfirst/domain/operations/costs.py. What goes by
while nothing comes is taken off; the Durable task hub is not in it, because the embedded host keeps its own.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

from readfirst.local import servers
from readfirst.local import stack as stack_module
from readfirst.local.phantom import write_phantom_study
from readfirst.local.stack import Stack
from readfirst.local.watching import token_of, wait_for

CLINIC = "lakeside"
QUIET = {"SETTLE_SECONDS": "2", "INFERENCE_LOOK_SECONDS": "30"}
SIZES = (24, 96)
IDLE_SECONDS = 20
_LINE = re.compile(r'"(GET|HEAD|PUT|POST|DELETE) /([^ ?"]*)(\?[^ "]*)? HTTP')
Counts = Counter[str]


class Loud(servers.Servers):
    """The local stack's servers, with an Azurite that logs each request."""

    def _azurite(self, accounts: str) -> Any:
        child = super()._azurite(accounts)
        child.command = [part for part in child.command if part != "--silent"]
        return child


def counted(log: Path) -> Counts:
    """Requests so far by what they are billed as: writes and listings, reads, queue operations. Deletes are free."""
    found: Counts = Counter()
    for method, path, query in _LINE.findall(log.read_text()):
        if "/messages" in path or ("comp=metadata" in query and "restype" not in query and path.count("/") == 1):
            found["queue"] += 1
        elif method in ("PUT", "POST") or "comp=list" in query:
            found["write"] += 1
        elif method != "DELETE":
            found["read"] += 1
    return found


def study(state: Path, number: int, files: int, idle: dict[str, float]) -> dict[str, float]:
    """Sends one study and returns what it cost, less what would have gone by anyway."""
    from readfirst.adapters.uploads.clinic_urls import clinic_urls
    from readfirst.upload_client import send

    log = state / "logs" / "azurite.log"
    folder = state / f"study-{number}"
    planted = write_phantom_study(folder, seed=number, slices=files, size=256)
    before, began = counted(log), time.monotonic()
    send(clinic_urls(CLINIC, timedelta(hours=1)).inbox, [(file, file.name) for file in folder.iterdir()])
    wait_for(token_of(CLINIC, planted["study uid"]), lambda p: p.record is not None, patience=300, every=10)
    time.sleep(6)  # the results go home
    after, took = counted(log), time.monotonic() - began
    return {kind: after[kind] - before[kind] - idle.get(kind, 0) * took for kind in after}


def main() -> None:
    """Prints operations per file and per study."""
    import os

    vars(stack_module)["Servers"] = Loud
    state = Path(tempfile.mkdtemp(prefix="readfirst-count-"))
    with Stack(state, "auto", settings=QUIET) as stack:
        os.environ.update(stack.environment)
        log = state / "logs" / "azurite.log"
        time.sleep(5)
        before = counted(log)
        time.sleep(IDLE_SECONDS)
        idle = {kind: (count - before[kind]) / IDLE_SECONDS for kind, count in counted(log).items()}
        study(state, 1, SIZES[0], idle)  # warms up: the first study also makes what is made once
        small, large = (study(state, n, files, idle) for n, files in enumerate(SIZES, 2))
        for kind in ("write", "read", "queue"):
            slope = (large[kind] - small[kind]) / (SIZES[1] - SIZES[0])
            print(f"{kind}: {slope:.1f} a file and {small[kind] - slope * SIZES[0]:.0f} a study")  # noqa: T201


if __name__ == "__main__":
    main()
