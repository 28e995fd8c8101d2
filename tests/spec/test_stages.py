"""The stages of a study: one list, and the moments between which each is counted."""

from __future__ import annotations

import json
from datetime import timedelta

from readfirst.domain.intake.ledger import Seal
from readfirst.domain.operations.stages import STAGES, UNMEASURED, before_reading, seconds_between
from readfirst.domain.operations.statistics import figures, timeline
from readfirst.domain.reading.study_record import StudyRecord
from readfirst.domain.workflow_messages import AnalysisOutcome, Report, Run
from tests.spec.records import NOW, indexed, studied


def test_a_study_goes_through_seven_stages_in_this_order() -> None:
    """Each has its sentence in the module's docstring; the one that nobody measures is named there too."""
    import readfirst.domain.operations.stages as module

    assert STAGES == ("receive", "settle", "deidentify", "analyse", "report", "alert", "return")
    lines = (module.__doc__ or "").splitlines()
    assert [line.split()[0] for line in lines if line.split("  ")[0] in STAGES] == list(STAGES)
    assert all(f"`{stage}` is not measured" in (module.__doc__ or "") for stage in UNMEASURED)


def test_receiving_lasts_from_the_first_file_to_the_last_and_settling_from_there_to_the_seal() -> None:
    arrived = [NOW + timedelta(seconds=n) for n in (5, 0, 12.25)]
    assert before_reading(arrived, NOW + timedelta(seconds=73)) == {"receive": 12.25, "settle": 60.75}


def test_a_run_that_was_sealed_before_seals_kept_the_moment_has_no_settling_time() -> None:
    old = Seal.model_validate_json('{"run": 1, "arrivals": ["a"], "short": false}')
    assert before_reading([NOW], old.at) == {"receive": 0.0}


def test_a_run_whose_arrivals_are_gone_has_neither() -> None:
    assert before_reading([], NOW) == {}


def test_clocks_that_disagree_give_no_negative_time() -> None:
    assert seconds_between(NOW, NOW - timedelta(seconds=2)) == 0
    assert before_reading([NOW], NOW - timedelta(seconds=1)) == {"receive": 0.0, "settle": 0.0}


def test_the_timeline_and_the_figures_show_the_stages_in_this_order_whatever_order_they_were_measured_in() -> None:
    seconds = {"job.infer": 1.0, **{stage: float(n) for n, stage in enumerate(reversed(STAGES))}}
    record = studied(seconds=seconds)
    assert [step["what"] for step in timeline(record, ())[1:]] == list(STAGES)
    shown = figures([indexed(record)], NOW.isoformat(), "clinic")["stages"]
    assert [stage["stage"] for stage in shown] == [*STAGES, "job.infer"]


def test_the_record_learns_of_a_stage_that_ends_after_it_was_written() -> None:
    record = studied(seconds={"analyse": 7.0})
    after = record.having_taken("alert", 1.5)
    assert after.seconds == {"analyse": 7.0, "alert": 1.5} and record.seconds == {"analyse": 7.0}
    assert after.model_copy(update={"provenance": record.provenance}) == record


def test_a_record_without_provenance_has_no_place_for_seconds() -> None:
    bare = studied().model_copy(update={"provenance": None})
    assert bare.having_taken("alert", 1.5) == bare and bare.seconds == {}


def test_a_message_and_a_record_from_before_the_stages_were_measured_are_read() -> None:
    old = {"run": Run(token="t", clinic="c").dump(), "plan": None, "seconds": {"deidentify": 1.0, "analyse": 2.0},
           "verdict": AnalysisOutcome(outcome="analysed").dump()}  # fmt: skip
    assert Report.model_validate(old).analysed == ""
    record = studied(seconds={"settle": 61.0, "deidentify": 4.2, "analyse": 12.5})
    stored = json.loads(record.model_dump_json())
    assert StudyRecord.model_validate(stored).seconds == {"settle": 61.0, "deidentify": 4.2, "analyse": 12.5}
