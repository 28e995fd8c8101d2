"""`already.py GROUP ENVIRONMENT`: what an earlier deployment has fixed and a later one must repeat.

Prints NAME=VALUE lines by the names that the parameter files read: a workflow adds them to its environment. Where
there is a registry of one's own it imports the job's image. preprovision.py does the same for azd.
"""

from __future__ import annotations

import os
import sys

from preprovision import JOB_IMAGE, Stop, az, fixed_already


def main(group: str, environment: str) -> None:
    """Prints what was found."""
    image = os.environ.get("READFIRST_JOB_IMAGE") or JOB_IMAGE
    found = fixed_already(az("account", "show")["id"], group, environment, image)
    for name, value in {"READFIRST_JOB_IMAGE": image, **found}.items():
        print(f"{name}={value}")  # noqa: T201 - a command prints


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: already.py GROUP ENVIRONMENT")
    try:
        main(*sys.argv[1:])
    except Stop as stop:
        sys.exit(f"readfirst: {stop}")
