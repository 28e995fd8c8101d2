"""One list of what went wrong and is not over: which studies are on it, and what it says to do."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrations.report import LATE
from readfirst.domain.analysis.watchdog import Trouble
from readfirst.domain.operations.failures import REMEDIES, failures
from readfirst.domain.operations.statistics import code_of
from readfirst.domain.reading.reviews import Signed
from tests.spec.records import NOW, finding, indexed, said, studied

ROOT = Path(__file__).resolve().parents[2]


def failed(reason: str, **more: object) -> dict[str, object]:
    return indexed(studied(kind="failed", reason=reason, **more))  # type: ignore[arg-type]


def test_a_study_that_was_read_is_not_on_the_list() -> None:
    assert (
        failures([indexed(studied()), indexed(studied(kind="out-of-scope", reason="modality: US is not taken"))]) == []
    )


def test_a_failed_study_is_on_it_with_stage_cause_and_remedy() -> None:
    (one,) = failures([failed("no-gpu-quota: the analysis did not end in time")])
    assert (one.handle, one.clinic, one.stage, one.cause) == ("ABCD1234", "north", "analyse", "no-gpu-quota")
    assert "runbook" in one.remedy and one.replay


def test_a_study_whose_time_is_over_goes_on_by_itself_and_is_not_replayed() -> None:
    (one,) = failures([failed(LATE)])
    assert one.cause == "late" and not one.replay


def test_a_study_that_waits_for_a_word_about_its_persons_is_on_it() -> None:
    (one,) = failures([indexed(studied(kind="quarantined", reason="two-persons: 2 persons in 14 files"))])
    assert one.cause == "two-persons" and "privacy officer" in one.remedy and not one.replay


def test_an_alert_that_has_not_gone_out_is_on_it_before_anything_else_of_its_study() -> None:
    (one,) = failures([indexed(studied(findings=(finding(),), high_risk=True))])
    assert (one.stage, one.cause) == ("alert", "alert-not-sent") and "telephone" in one.remedy


def test_a_flagged_study_whose_later_files_were_not_analysed_is_on_it() -> None:
    flagged = studied(findings=(finding(),), high_risk=False).model_copy(update={"reason": "gave-up: three executions"})
    assert [one.cause for one in failures([indexed(flagged)])] == ["gave-up"]


def test_a_study_that_somebody_has_signed_leaves_it() -> None:
    record = studied(kind="failed", reason="fault: OSError")
    assert failures([indexed(record, *said(Signed()))]) == []


def test_the_longest_standing_comes_first() -> None:
    late, early = (failed(LATE, token=t * 32, received=NOW + timedelta(hours=h)) for t, h in (("a", 2), ("b", 1)))
    assert [one.token[0] for one in failures([late, early])] == ["b", "a"]


def test_a_cause_that_no_release_knows_says_where_to_look() -> None:
    (one,) = failures([failed("brand-new: something")])
    assert "Application Insights" in one.remedy and one.replay


def codes() -> set[str]:
    """Every code that the sources write as the reason of a study that failed."""
    job = (ROOT / "model_container/job.py").read_text()
    written = set(re.findall(r'CannotAnalyse\(f?"([a-z-]+):', job)) | set(re.findall(r'f"(fault): ', job))
    study = (ROOT / "orchestrations/study.py").read_text() + (ROOT / "orchestrations/erase.py").read_text()
    written |= set(re.findall(r'f?"(stage-fault|cancelled)', study))
    return written | {code_of(LATE), "deadline"} | {trouble.value for trouble in Trouble}


@pytest.mark.parametrize("code", sorted(codes()))
def test_every_cause_that_the_product_writes_has_its_remedy(code: str) -> None:
    assert code in REMEDIES
    assert len(codes()) > 15
