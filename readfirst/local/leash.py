"""Runs a command that dies with its parent: `python -I -S leash.py PARENT_PID COMMAND…`.

A stack that is killed with SIGKILL cannot stop its servers any more, so the kernel does it: Linux sends the
parent-death signal. It belongs to the *thread* that started the command (`Stack` keeps one thread for that) and it
survives exec, so this program sets it and becomes the command. Elsewhere than on Linux it only becomes the command.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Set the parent-death signal, then become the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # the parent died before the signal was set
            sys.exit(0)
    os.execvp(command[0], command)  # noqa: S606 - the stack's own command line, no shell


if __name__ == "__main__":
    main()
