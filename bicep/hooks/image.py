"""After the first provisioning: the job's image into the registry of one's own, and the jobs onto it. Safe to repeat.

The registry is empty when it has just been made, and a job whose image is not there is refused: so the jobs of a first
deployment begin with a small public image. Later ones find the image in its place (preprovision.py, already.py).
"""

from __future__ import annotations

import os
import sys

from preprovision import JOB_IMAGE, Stop, az, filled_registry, in_registry, say


def main() -> None:
    """Does nothing where the image is public."""
    missing = [n for n in ("AZURE_RESOURCE_GROUP", "JOB_NAME") if not os.environ.get(n)]
    if missing:
        raise Stop(f"{', '.join(missing)} not set: run `azd provision` first.")
    group, job = os.environ["AZURE_RESOURCE_GROUP"], os.environ["JOB_NAME"]
    source = os.environ.get("READFIRST_JOB_IMAGE") or JOB_IMAGE
    server = filled_registry(group, source)
    if server:
        use(group, job, in_registry(server, source))


def use(group: str, job: str, image: str) -> None:
    """Sets the image of the job, and of the one on CPUs beside it."""
    for listed in az("containerapp", "job", "list", "--resource-group", group) or []:
        name = listed["name"]
        images = [c["image"] for c in listed["properties"]["template"]["containers"]]
        if name in (job, f"{job}-cpu") and images != [image]:
            az("containerapp", "job", "update", "--resource-group", group, "--name", name, "--image", image)
            say(f"{name} runs {image}")


if __name__ == "__main__":
    try:
        main()
    except Stop as stop:
        sys.exit(f"readfirst: {stop}")
