"""Many files and many studies: all of them go through, and no history grows with them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from readfirst.local.stack import Stack
from readfirst.local.watching import longest_history
from tests.e2e.conftest import invent, upload, whole

pytestmark = [pytest.mark.stack, pytest.mark.slow]
MOST_EVENTS = 90  # each step of a run adds a few, a file none


def test_a_study_of_300_files_goes_through_with_a_short_history(stack: Stack, tmp_path: Path) -> None:
    study = invent(tmp_path / "study", slices=300, size=64, spacing=1.2)
    upload(study.files)
    assert whole(study).state == "reported"
    assert longest_history(stack, study.token) < MOST_EVENTS


def test_20_studies_at_once_go_through(stack: Stack, tmp_path: Path) -> None:
    studies = [invent(tmp_path / str(i), slices=12, size=128) for i in range(20)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda study: upload(study.files), studies))
    found = [whole(study) for study in studies]
    assert {r.state for r in found} == {"reported"}
    assert len({r.handle for r in found}) == 20
    assert max(longest_history(stack, study.token) for study in studies) < MOST_EVENTS
