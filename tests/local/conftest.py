"""One stack without the Functions host for all tests of the local servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from readfirst.local.stack import Stack

# A job that answers what it was given, slow enough to be seen running and to run out of memory before it ends.
JOB = """
import json, os, sys, time
print(json.dumps(sorted(os.environ)), flush=True)
time.sleep(float(os.environ.get("JOB_SECONDS", "1.0")))
"""


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack, its app settings in the environment, as the host's functions see them."""
    job = tmp_path_factory.mktemp("job") / "job.py"
    job.write_text(JOB)
    state: Path = tmp_path_factory.mktemp("stack")
    made = Stack(state, with_host=False, job_command=["python3", str(job)])
    with made as running, pytest.MonkeyPatch.context() as env:
        for name, value in running.environment.items():
            env.setenv(name, value)
        yield running
