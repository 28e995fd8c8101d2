"""Executions of the job that are killed, told to stop or held up at a chosen point.

This process imports what the job imports, once, and forks an execution for each line of JSON that it reads: far cheaper
than starting each anew. It answers each line with the execution's exit status.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time

import model_container.engines.chest.engine
import model_container.outputs.dicom  # noqa: F401 - imported for the executions
from model_container import job, storage


def arm(point: str, moment: str, number: int, held_up: bool) -> None:
    """The first call of `point` (module:name) sends this process a signal, before or after what it does."""
    module, _, path = point.partition(":")
    owner = importlib.import_module(module)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    real, hits = getattr(owner, name), []

    def armed(*args: object, **kwargs: object) -> object:
        if moment == "before" and not hits:
            hit()
        result = real(*args, **kwargs)
        if moment == "after" and not hits:
            hit()
        return result

    def hit() -> None:
        hits.append(1)
        os.kill(os.getpid(), number)
        while held_up:
            time.sleep(1)

    setattr(owner, name, armed)


def execute(line: dict) -> None:
    """The forked execution's life."""
    out = os.open(line["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.environ.clear()
    os.environ.update(line["environment"])
    if line.get("point"):
        arm(line["point"], line["moment"], line["signal"], line.get("held_up", False))
    job._GRACE_SECONDS = line.get("grace", job._GRACE_SECONDS)
    job.main(storage.studies())
    sys.stdout.flush()


def main() -> None:
    """Forks one execution after the other until standard input ends."""
    for text in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                execute(json.loads(text))
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(json.dumps({"status": os.waitstatus_to_exitcode(status)}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is pytest's
    main()
