"""Keeps watch over one execution of the GPU job: `python -m readfirst.local.job_runner FOLDER`.

The runner, not the endpoint that started it, owns the job's process: the endpoint may be restarted, as Azure Resource
Manager may, and the job goes on. What became of the job is written to FOLDER/result.json. The runner ends the job
when the stack is gone (its end of the lifeline pipe closes) or on SIGTERM.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from readfirst.local.certificates import write_private

LIFELINE = "READFIRST_LIFELINE"  # the file descriptor whose other end only the stack holds
Fault = Literal["image-pull", "oom", "hang"]
_LEASH = Path(__file__).with_name("leash.py")
SECONDS_TO_END = 10
_SECONDS_TO_OOM = 0.5


@dataclass(frozen=True)
class Order:
    """FOLDER/order.json: what to run."""

    command: list[str]
    environment: dict[str, str]
    folder: str  # working directory
    log: str
    fault: Fault | None = None


@dataclass(frozen=True)
class Result:
    """FOLDER/result.json: how it ended, in the words of Container Apps."""

    status: Literal["Succeeded", "Failed", "Stopped"]
    ended: str
    detail: str
    code: int | None = None  # the container's exit status, where it ran


def running(folder: Path) -> bool:
    """Whether a runner holds this execution: the kernel frees its lock however it ends."""
    with (folder / "lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two who look do not see each other
        except BlockingIOError:
            return True
    return False


def result(folder: Path) -> Result | None:
    """How the execution ended, None while it runs; a runner that vanished counts as failed."""
    ended = _read(folder)
    if ended or running(folder):
        return ended
    # It may have ended between the two looks.
    return _read(folder) or Result("Failed", "", "the runner is gone: the machine or the stack was stopped")


def _read(folder: Path) -> Result | None:
    with suppress(FileNotFoundError):
        return Result(**json.loads((folder / "result.json").read_text()))
    return None


class Runner:
    """One execution, from start to result."""

    def __init__(self, folder: Path, order: Order) -> None:
        self.folder, self.order = folder, order
        self.job: subprocess.Popen[bytes] | None = None
        self.stopped = threading.Event()

    def run(self) -> Result:
        """Run the job to its end, whatever end that is."""
        if self.order.fault == "image-pull":
            return _ended("Failed", "ImagePullFailure: the image could not be pulled")
        if self.order.fault == "hang":
            self.stopped.wait()
            return _ended("Stopped", "stopped while it hung")
        with Path(self.order.log).open("ab") as log:
            self.job = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_LEASH), str(os.getpid()), *self.order.command],
                env=self.order.environment,
                cwd=self.order.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        write_private(self.folder / "job.pid", str(self.job.pid).encode())
        if self.order.fault == "oom":
            time.sleep(_SECONDS_TO_OOM)
            self._signal(signal.SIGKILL)
        code = self.job.wait()
        if self.stopped.is_set():
            return _ended("Stopped", "stopped on request")
        code = 128 - code if code < 0 else code  # as a container tells a signal
        detail = "OOMKilled" if self.order.fault == "oom" else f"exit status {code}"
        return _ended("Succeeded" if code == 0 else "Failed", detail, code)

    def end(self, *_: Any) -> None:
        """Ask the job to end; insist after a while."""
        self.stopped.set()
        self._signal(signal.SIGTERM)
        threading.Timer(SECONDS_TO_END, self._signal, [signal.SIGKILL]).start()

    def watch_lifeline(self, descriptor: int) -> None:
        """Block until the stack is gone, then end with it."""
        os.read(descriptor, 1)  # nobody writes: it returns at the end of file
        self._signal(signal.SIGKILL)
        os._exit(0)

    def _signal(self, number: signal.Signals) -> None:
        if self.job and self.job.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.job.pid, number)


def _ended(status: Literal["Succeeded", "Failed", "Stopped"], detail: str, code: int | None = None) -> Result:
    return Result(status, datetime.now(UTC).isoformat(), detail, code)


def main() -> None:
    """Run the order in the folder named on the command line."""
    folder = Path(sys.argv[1])
    runner = Runner(folder, Order(**json.loads((folder / "order.json").read_text())))
    signal.signal(signal.SIGTERM, runner.end)
    with (folder / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        write_private(folder / "runner.pid", str(os.getpid()).encode())
        write_private(folder / "started", datetime.now(UTC).isoformat().encode())  # from now on it can be seen
        if lifeline := os.environ.get(LIFELINE):
            threading.Thread(target=runner.watch_lifeline, args=[int(lifeline)], daemon=True).start()
        write_private(folder / "result.json", json.dumps(asdict(runner.run())).encode())
    os._exit(0)  # a timer that would insist has nothing left to insist on


if __name__ == "__main__":
    main()
