"""Several models read one study: label and risk by one rule, and nobody's result is lost by another's failure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from readfirst.domain.analysis.models import default_model
from readfirst.domain.reading.accounting import Accounting, Received
from readfirst.domain.reading.books import account
from readfirst.domain.reading.build_record import Outcome, Study, following, lacks_result, record_of
from readfirst.domain.reading.study_record import FLAGGED, NOT_ANALYSED, NOT_FLAGGED, READ_IN_PART, StudyRecord
from readfirst.domain.routing.readings import ModelReading, alerting, key_of, keys_showing, together
from readfirst.domain.workflow_messages import AnalysisOutcome, Answer, Plan, verdict_of
from tests.spec.records import NOW, finding
from tests.spec.test_series import slices

BOOKS = Accounting(received=14, read=14, frames=14, analysed=14)
PART = BOOKS.model_copy(update={"missing": 7})


def reading(name: str, outcome: Any = "analysed", *, kinds: Sequence[str] = (), **fields: Any) -> ModelReading:
    model = default_model().identity.model_copy(update={"name": name})
    return ModelReading(model=model, run_key=f"key-{name}", outcome=outcome, kinds=tuple(kinds), **fields)


CLEAR, OTHER = reading("lung", risk=0.1, why="nothing"), reading("spleen", risk=0.2, why="small")
FOUND = reading("spleen", kinds=("spleen",), risk=0.4, why="a spleen")
HIGH = reading("spleen", kinds=("spleen",), risk=0.9, high_risk=True, why="a large spleen")
FAILED = reading("spleen", "failed", reason="model-failed: its weights are of another network")
WAITS = reading("spleen", "waiting", reason="waiting: The model has not answered yet.")
UNREADABLE = reading("spleen", "out-of-scope", reason="pixels-unreadable: cannot decode it")
NOT_ITS_OWN = reading("spleen", "out-of-scope", reason="no-spleen: none seen")
IN_PART = reading("spleen", part="7 of 14 slices")


def record(*readings: ModelReading, kind: str = "analysed", run: int = 1, reason: str = "") -> StudyRecord:
    findings = {one.run_key: [finding(str(k)) for k, _ in enumerate(one.kinds, start=1)] for one in readings}
    study = Study("t", "c", "h", "p", run, slices(14), (), False, NOW, None)
    return record_of(study, Outcome(kind, reason, together(readings, findings), BOOKS), None, NOW)


LABELS = [
    ("both have read all and found nothing", (CLEAR, OTHER), NOT_FLAGGED, False),
    ("one has found something", (CLEAR, FOUND), FLAGGED, False),
    ("one says high risk", (CLEAR, HIGH), FLAGGED, True),
    ("one has read a part", (CLEAR, IN_PART), READ_IN_PART, False),
    ("one has failed", (CLEAR, FAILED), READ_IN_PART, False),
    ("one has not answered yet", (CLEAR, WAITS), READ_IN_PART, False),
    ("one could not decode its series", (CLEAR, UNREADABLE), READ_IN_PART, False),
    ("one finds the study out of its scope", (CLEAR, NOT_ITS_OWN), NOT_FLAGGED, False),
    ("one has failed beside one that flags", (FAILED, reading("lung", kinds=("lung-nodule",))), FLAGGED, False),
]


@pytest.mark.parametrize(("readings", "label", "high"), [row[1:] for row in LABELS], ids=[row[0] for row in LABELS])
def test_the_label_is_what_the_models_come_to_together(readings: Any, label: str, high: bool) -> None:
    told = record(*readings)
    assert (told.label, told.high_risk) == (label, high)
    assert told.risk == max(one.risk for one in readings)
    assert [one.model.name for one in told.models] == [one.model.name for one in readings]


def test_a_study_that_no_model_has_read_is_not_analysed() -> None:
    told = record(FAILED, kind="failed", reason=FAILED.reason)
    assert (told.label, told.state, told.findings, told.outputs) == (NOT_ANALYSED, "failed", (), {})


def test_the_record_says_which_model_said_what() -> None:
    told = record(reading("lung", kinds=("lung-nodule",)), HIGH, WAITS.model_copy(update={"run_key": "k3"}))
    assert [f.key for f in told.findings] == ["1", "spleen.1"]
    assert told.found_by == {"1": "lung", "spleen.1": "spleen"}
    assert told.why == "spleen: a large spleen"
    assert told.by_model == {"lung": "flagged", "spleen": "waiting"}
    assert record(CLEAR, IN_PART).by_model == {"lung": "not flagged", "spleen": "read in part"}
    assert record(CLEAR, NOT_ITS_OWN).by_model == {"lung": "not flagged", "spleen": "out of scope"}


def test_what_a_single_model_says_is_told_in_its_own_words() -> None:
    told = record(HIGH)
    assert (told.why, [f.key for f in told.findings], told.part) == ("a large spleen", ["1"], "")


def test_every_output_has_a_name_of_its_own_and_its_model_s_part_is_found_again() -> None:
    lung = reading("lung", kinds=("lung-nodule",), outputs={"sr": "a/sr.dcm", "seg": "a/seg.dcm"})
    told = record(lung, HIGH.model_copy(update={"outputs": {"sr": "b/sr.dcm"}}))
    assert told.outputs == {"sr": "a/sr.dcm", "seg": "a/seg.dcm", "spleen.sr": "b/sr.dcm"}
    mine, theirs = told.parts
    assert (mine.findings, mine.output("sr-verified")) == ({"1": "1"}, "sr-verified")
    assert (theirs.findings, theirs.output("sr-verified")) == ({"1": "spleen.1"}, "spleen.sr-verified")


def test_a_record_of_an_older_version_is_one_part() -> None:
    older = record(HIGH.model_copy(update={"outputs": {"sr": "b/sr.dcm"}})).model_dump(exclude={"models", "by_model"})
    (part,) = StudyRecord.model_validate(older).parts
    assert (part.findings, part.outputs) == ({"1": "1"}, {"sr": "sr"})


def test_what_failed_is_told_with_its_code_first_and_the_model_s_name() -> None:
    told = record(CLEAR, FAILED)
    assert told.reason == "model-failed: spleen: its weights are of another network"
    assert told.part == "spleen: no result" and told.partial


def test_a_result_that_is_missing_beside_another_is_still_wanted() -> None:
    assert lacks_result(record(CLEAR, FAILED)) and lacks_result(record(CLEAR, WAITS))
    assert not lacks_result(record(CLEAR, OTHER)) and not lacks_result(record(CLEAR, NOT_ITS_OWN))
    assert not lacks_result(record(CLEAR, IN_PART))


def test_a_report_made_before_a_model_answered_never_takes_the_place_of_one_made_after() -> None:
    early, late = record(CLEAR, WAITS), record(CLEAR, HIGH)
    assert following(late, early) is None
    assert following(early, late) == late


def test_other_models_than_before_are_other_work_and_are_told() -> None:
    """A route was changed, and the run replayed."""
    assert following(record(CLEAR, OTHER), record(CLEAR)) == record(CLEAR)


def test_a_flag_of_an_earlier_run_goes_on_where_the_model_that_set_it_fails_on_the_later_files() -> None:
    told = following(record(CLEAR, HIGH), record(CLEAR, FAILED, run=2))
    assert told is not None
    assert (told.run, told.label, told.high_risk, told.partial) == (2, FLAGGED, True, True)
    assert told.reason.startswith("model-failed")
    found_more = record(reading("lung", kinds=("lung-nodule",), high_risk=True), FAILED, run=2)
    assert following(record(CLEAR, HIGH), found_more) == found_more


def test_alerts_are_for_the_kinds_of_the_models_by_which_the_study_is_urgent() -> None:
    assert alerting((reading("lung", kinds=("lung-nodule",)), HIGH)) == ("spleen",)
    assert alerting((CLEAR, reading("head", high_risk=True))) == ("study",)


def test_a_review_speaks_of_the_results_that_there_were_and_a_new_one_is_something_to_look_at() -> None:
    assert key_of(["k"]) == "k", "as it was while each study had one model"
    assert key_of(["a", "b"]) == key_of(["b", "a"]) not in ("a", "b")


def test_who_acknowledged_the_first_result_has_not_acknowledged_what_another_model_found_since() -> None:
    first = reading("lung", kinds=("lung-nodule",), high_risk=True)
    both = (first, HIGH)
    assert key_of(["key-lung"]) in keys_showing(both, "lung-nodule")
    assert key_of(["key-lung"]) not in keys_showing(both, "spleen")
    assert key_of(["key-lung", "key-spleen"]) in keys_showing(both, "spleen") & keys_showing(both, "lung-nodule")


def test_what_any_model_has_read_is_read_in_the_study_s_books() -> None:
    from readfirst.domain.analysis.series_selection import choose

    chest, head = slices(14, series="1.1", body_part="CHEST"), slices(14, series="1.2", body_part="HEAD")
    choice = choose(chest + head, default_model().gate)
    alone = account(Received(28), chest + head, (), choice, choice.selections[0], default_model().gate)
    both = account(Received(28), chest + head, (), choice, choice.selections[0], default_model().gate, also=head)
    assert (alone.read, alone.left_out) == (14, {"body-part-out-of-scope": 14})
    assert both.holds and (both.read, both.analysed, both.left_out) == (28, 28, {})


def answers(*outcomes: Any) -> list[Answer]:
    plan = Plan(outcome="ordered", run_key="k")
    return [Answer(plan=plan, verdict=AnalysisOutcome(outcome=o, reason=f"{k}")) for k, o in enumerate(outcomes)]


@pytest.mark.parametrize(
    ("outcomes", "outcome", "first"),
    [
        (("failed", "analysed", "out-of-scope"), "analysed", "1"),
        (("out-of-scope", "failed", "failed"), "failed", "1"),
        (("failed", "waiting"), "waiting", "1"),
        (("out-of-scope", "out-of-scope"), "out-of-scope", "0"),
    ],
)
def test_the_analysis_has_succeeded_where_one_model_has(outcomes: Any, outcome: str, first: str) -> None:
    verdict = verdict_of(answers(*outcomes))
    assert (verdict.outcome, verdict.reason) == (outcome, first)
