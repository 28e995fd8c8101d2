"""Analyse: what is known already is not asked for again, and it says the same the second time."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrations.analyse import plan_analysis
from orchestrations.messages import Plan
from readfirst.adapters import blobs, clients
from readfirst.domain import clean, names
from readfirst.domain.findings import Analysis
from readfirst.domain.models import default_model
from tests.orchestrations.conftest import do
from tests.orchestrations.test_deidentify import deidentified, sealed_study

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("settings")]


@pytest.mark.parametrize(
    ("found", "planned"),
    [("analysed", Plan(outcome="known")), ("out-of-scope", Plan(outcome="out-of-scope", reason="no-lungs: none seen"))],
)
def test_a_result_that_is_there_is_taken_for_what_it_says(tmp_path: Path, found: str, planned: Plan) -> None:
    """A study that the job refused must never turn into "not flagged" because it was uploaded twice."""
    run, _ = sealed_study(tmp_path, seed=31 if found == "analysed" else 32, slices=20, size=256)
    deidentified(run)
    ordered = Plan.model_validate(do(plan_analysis, run.dump()))
    assert ordered.outcome == "ordered"
    result = Analysis.model_validate(
        {
            "token": run.token,
            "run_key": ordered.run_key,
            "outcome": found,
            "reason": planned.reason,
            "model": default_model().identity,
        }
    )
    container = clients.container(names.STUDIES, names.ANALYSIS)
    blobs.put(container, clean.result_path(run.token, ordered.run_key), result.model_dump_json().encode())
    again = Plan.model_validate(do(plan_analysis, run.dump()))
    assert again == planned.model_copy(update={"run_key": ordered.run_key})
