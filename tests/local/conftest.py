"""One stack without the Functions host for all tests of the local servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from readfirst.local.stack import Stack

# A job that answers what it was given, and runs for as long as a file `hold` lies beside it.
JOB = """
import json, os, pathlib, time
print(json.dumps(sorted(os.environ)), flush=True)
while pathlib.Path(__file__).with_name("hold").exists():
    time.sleep(0.05)
"""


@pytest.fixture(scope="package")
def job_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of the stack's job."""
    script: Path = tmp_path_factory.mktemp("job") / "job.py"
    script.write_text(JOB)
    return script


@pytest.fixture
def hold(job_script: Path) -> Iterator[Path]:
    """Keeps jobs running until it is deleted, or the test is over."""
    made = job_script.with_name("hold")
    made.touch()
    yield made
    made.unlink(missing_ok=True)


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory, job_script: Path) -> Iterator[Stack]:
    """A running stack, its app settings in the environment, as the host's functions see them."""
    state: Path = tmp_path_factory.mktemp("stack")
    made = Stack(state, with_host=False, job_command=["python3", str(job_script)])
    with made as running, pytest.MonkeyPatch.context() as env:
        for name, value in running.environment.items():
            env.setenv(name, value)
        yield running
