"""kill -9 at any point: every study ends in the right state, nothing is lost, nobody is told twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from readfirst.domain.reading import study_record
from readfirst.local.environment import settings_of
from readfirst.local.stack import Stack, running_stack
from readfirst.local.watching import Progress, look, wait_for
from tests.e2e.conftest import QUICK, Study, invent, letters, reported, upload
from tests.waiting import PATIENCE, eventually

pytestmark = [pytest.mark.stack, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("state"), "auto", settings=QUICK) as stack, settings_of(stack.environment):
        yield stack


def assert_it_ends_right(stack: Stack, study: Study, results: int = 1) -> None:
    """One report of the whole study, at most so many results, one e-mail."""
    record = wait_for(
        study.token,
        lambda p: p.record is not None and p.record.instances == len(study.files),
        patience=2 * PATIENCE,
    ).record
    assert record is not None
    assert record.state == "reported"
    assert record.label == study_record.FLAGGED
    eventually(lambda: letters(stack, record.handle))
    time.sleep(2)  # a second letter would come now
    assert len(letters(stack, record.handle)) == 1
    assert 1 <= look(study.token).results <= results


POINTS: dict[str, Callable[[Progress], bool]] = {
    "while files arrive": lambda p: p.arrived >= 5,
    "while it settles": lambda p: p.arrived >= 24,
    "while it is de-identified": lambda p: p.sealed >= 1,
    "while it is analysed": lambda p: p.receipts >= 2,
    "while it is reported": lambda p: p.results >= 1,
}


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("victim", ["host", "azurite"])
def test_a_server_that_is_killed_loses_nothing(stack: Stack, tmp_path: Path, victim: str, point: str) -> None:
    study = invent(tmp_path / "study")
    upload(study.files)
    wait_for(study.token, POINTS[point], patience=PATIENCE, every=0.05)
    stack.kill(victim)
    time.sleep(0.5)
    stack.restart(victim)
    # A host that comes back after the study's silence takes what had arrived, and the rest in a second run.
    assert_it_ends_right(stack, study, results=2 if point == "while files arrive" else 1)


def test_a_job_that_is_killed_is_started_again(stack: Stack, tmp_path: Path) -> None:
    study = invent(tmp_path / "study")
    upload(study.files)
    wait_for(study.token, POINTS["while it is analysed"], patience=PATIENCE, every=0.05)
    for _ in range(10):
        if look(study.token).results == 0:
            stack.kill("job")
            time.sleep(0.4)
    assert_it_ends_right(stack, study)


def test_the_whole_stack_killed_and_started_again_goes_on(tmp_path: Path) -> None:
    state = tmp_path / "state"
    first = start(state)
    study = invent(tmp_path / "study")
    with settings_of(environment_of(state)):
        upload(study.files)
        wait_for(study.token, POINTS["while it is de-identified"], patience=PATIENCE, every=0.05)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    second = start(state)
    try:
        with settings_of(environment_of(state)):
            assert reported(study.token, patience=2 * PATIENCE).record is not None
            record = wait_for(
                study.token, lambda p: bool(p.record and p.record.instances == 24), patience=PATIENCE
            ).record
            assert record is not None
            assert record.label == study_record.FLAGGED
    finally:
        second.send_signal(signal.SIGINT)
        second.wait(timeout=PATIENCE)


def start(state: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "readfirst.cli", "up", "--ports", "auto", "--state", str(state)]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **QUICK}, stdout=subprocess.DEVNULL)

    def runs() -> bool:
        assert process.poll() is None, "the stack ended"
        return "environment" in (running_stack(state) or {})

    eventually(runs)
    return process


def environment_of(state: Path) -> dict[str, str]:
    stack = running_stack(state)
    assert stack is not None
    environment: dict[str, str] = stack["environment"]
    return environment
