"""The stack's child processes: started on a leash, watched until ready, stopped as a group, logs kept."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from readfirst.domain.faults import Fault

PROJECT = Path(__file__).resolve().parents[2]
_LEASH = Path(__file__).with_name("leash.py")
_TAIL_LINES = 25


class StackError(Fault):
    """The stack cannot start or go on; the message says why and what to do."""


@dataclass
class Spawner:
    """The one thread that starts every child: the parent-death signal is tied to the thread, not the process."""

    keep_open: tuple[int, ...] = ()  # file descriptors that every child inherits
    _thread: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(max_workers=1, thread_name_prefix="readfirst-spawner")
    )

    def spawn(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
        """Start `command` in a process group of its own; its output is appended to `log`."""
        return self._thread.submit(_spawn, command, environment, log, self.keep_open).result()

    def close(self) -> None:
        """End the thread; with it end all children that are still alive."""
        self._thread.shutdown(wait=True)


def _spawn(
    command: Sequence[str], environment: Mapping[str, str], log: Path, keep_open: tuple[int, ...]
) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(_LEASH), str(os.getpid()), *command],
            env=dict(environment),
            cwd=PROJECT,  # where main.py and host.json lie, wherever the command was called
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # A group of its own: Ctrl-C in the terminal reaches the stack alone, which stops its children in order.
            start_new_session=True,
            pass_fds=keep_open,
        )


@dataclass
class Child:
    """One server of the stack."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    ready_urls: tuple[str, ...]  # it is ready once each of them answers anything over HTTP
    authority: Path
    patience: float = 60.0
    process: subprocess.Popen[bytes] | None = None

    def start(self, spawner: Spawner) -> None:
        """Start the process; `wait_until_ready` tells when it serves."""
        self.process = spawner.spawn(self.command, self.environment, self.log)

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def wait_until_ready(self) -> None:
        """Return when the server answers; raises StackError with the end of its log when it ends or takes too long."""
        deadline = time.monotonic() + self.patience
        trust = ssl.create_default_context(cafile=str(self.authority))
        waiting = list(self.ready_urls)
        while waiting:
            if not self.alive:
                code = self.process.returncode if self.process else None
                raise StackError(f"{self.name} ended while starting (exit status {code}).{tail(self.log)}")
            if _answers(waiting[0], trust):
                waiting.pop(0)
            elif time.monotonic() > deadline:
                raise StackError(f"{self.name} did not answer within {self.patience:.0f} s.{tail(self.log)}")
            else:
                time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL to the whole group: what a crash looks like."""
        self._signal(signal.SIGKILL)
        if self.process:
            self.process.wait()

    def terminate(self) -> None:
        """SIGTERM to the whole group."""
        self._signal(signal.SIGTERM)

    def stop(self, patience: float = 10.0) -> None:
        """SIGTERM, then SIGKILL to what is left of the group."""
        if not self.process:
            return
        self.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(patience)
        self.kill()

    def _signal(self, number: signal.Signals) -> None:
        # The group's id is the child's pid, which the kernel keeps for us until we have read the exit status.
        if self.process and self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)


def tail(log: Path) -> str:
    """The end of a log, as the end of an error message."""
    lines = log.read_text(errors="replace").splitlines()[-_TAIL_LINES:] if log.exists() else []
    return "\n".join([f" The end of {log}:", *(f"    {line}" for line in lines)])


def _answers(url: str, trust: ssl.SSLContext) -> bool:
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
    )  # no proxy stands between us and 127.0.0.1
    try:
        with opener.open(url, timeout=2):
            return True
    except urllib.error.HTTPError:
        return True  # any status: the server serves
    except OSError:
        return False
