"""The figures of a period and a study's timeline, of records as the report stage writes them."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from readfirst.domain.analysis.models import default_model
from readfirst.domain.blob_paths import RefusedFile
from readfirst.domain.operations import costs
from readfirst.domain.operations.statistics import alert_missing, cost, figures, models, prior, timeline
from readfirst.domain.reading.reviews import Commented, FindingAssessment, Missed, Opened, Reopened, Signed, Told
from tests.spec.records import NOW, finding, indexed, said, studied

ACCEPT = FindingAssessment(finding="1", verdict="accept")
REJECT = FindingAssessment(finding="1", verdict="reject")
CORRECT = FindingAssessment(finding="1", verdict="correct", diameter_mm=9)
MISSED = Missed(what="mass", category=2, series_uid="1.2.3", sop_uid="1.2.3.4", slice=3)
TOLD = Told(who="ward", how="telephone", when="2026-03-02T14:00:00Z", read_back=True)


def period(*records):
    """The figures of some records, three hours after they came."""
    return figures(records, (NOW + timedelta(hours=3)).isoformat(timespec="seconds"), "clinic")


def test_a_timeline_begins_with_the_arrival_and_says_who_did_what_in_the_review() -> None:
    steps = timeline(
        studied(), said(Opened(), ACCEPT, MISSED, Commented(text="x"), TOLD, Signed(), Reopened(reason="late"))
    )
    assert [step["what"] for step in steps] == [
        "Received", "Opened", "Finding judged", "Finding added", "Comment", "Colleague notified", "Review signed",
        "Review re-opened",
    ]  # fmt: skip
    assert steps[0]["at"] == "2026-03-02T12:00:00+00:00" and {step["by"] for step in steps[1:]} == {"Rona"}


def test_a_timeline_shows_the_stages_in_their_order_and_leaves_the_jobs_own_parts_out() -> None:
    record = studied(seconds={"job.infer": 7.0, "analyse": 12.5, "deidentify": 4.2})
    assert [(s["what"], s["seconds"]) for s in timeline(record, ())[1:]] == [("deidentify", 4.2), ("analyse", 12.5)]


def test_a_timeline_says_when_the_alert_was_sent() -> None:
    record = studied(high_risk=True).model_copy(update={"alerted": "2026-03-02T13:00:01+00:00"})
    assert [(s["what"], s["at"]) for s in timeline(record, ())[1:]] == [("Alert sent", "2026-03-02T13:00:01+00:00")]


@pytest.mark.parametrize(
    ("this", "day", "days"),
    [
        (date(2026, 3, 2), date(2026, 1, 1), -60),
        (date(2026, 3, 2), date(2026, 3, 5), 3),
        (None, date(2026, 1, 1), None),
        (date(2026, 3, 2), None, None),
    ],
)
def test_a_prior_says_how_many_days_before_it_was_made_and_never_when(this, day, days) -> None:
    shown = prior(indexed(studied()), this, day)
    assert shown["days"] == days
    assert set(shown) == {"id", "handle", "modality", "body_part", "label", "review", "instances", "days"}


def test_models_are_counted_by_the_results_that_they_made() -> None:
    records = [studied("a"), studied("b"), studied("c", kind="failed", reason="deadline")]
    (only,) = models(indexed(record) for record in records)
    assert only["studies"] == 2 and only["digest"] == default_model().digest


def test_the_model_that_is_used_most_comes_first() -> None:
    rare = indexed(studied("r"))
    rare["provenance"]["model"] = {**rare["provenance"]["model"], "digest": "other"}
    assert [m["studies"] for m in models([rare, indexed(studied("a")), indexed(studied("b"))])] == [2, 1]


def test_a_study_costs_the_seconds_of_its_job_and_not_those_that_it_waited() -> None:
    shown = cost(indexed(studied(seconds={"analyse": 900.0, "job.decode": 2.0, "job.infer": 6.0})), "clinic")
    assert (shown["job_seconds"], shown["profile"], shown["prices"]) == (8.0, "clinic", costs.as_of())
    assert shown["usd"] == pytest.approx(costs.total(costs.of_study("clinic", 14, 8.0, alerted=False)), abs=1e-5)
    assert sum(line["usd"] for line in shown["lines"]) == pytest.approx(shown["usd"], abs=1e-5)


def test_studies_are_counted_by_the_day_on_which_they_came() -> None:
    records = [studied("a"), studied("b", high_risk=True), studied("c", received=NOW - timedelta(days=1))]
    shown = period(*map(indexed, records))
    assert shown["studies"] == 3
    assert shown["per_day"] == [
        {"day": "2026-03-01", "high_risk": 0, "other": 1},
        {"day": "2026-03-02", "high_risk": 1, "other": 1},
    ]
    assert [day["day"] for day in shown["spend"]["per_day"]] == ["2026-03-01", "2026-03-02"]
    assert shown["spend"]["studies"] == pytest.approx(sum(day["usd"] for day in shown["spend"]["per_day"]), abs=1e-3)


def test_states_labels_and_reasons_are_counted_and_reasons_by_their_code() -> None:
    records = [
        studied("a"),
        studied("b", kind="failed", reason="deadline: the analysis did not end in time"),
        studied("c", kind="failed", reason="deadline: once more"),
        studied("d", kind="out-of-scope", reason="body-part: not a chest"),
        studied("e", kind="analysing"),
    ]
    shown = period(*map(indexed, records))
    assert shown["states"] == {"reported": 2, "failed": 2, "analysing": 1}
    assert shown["not_analysed"] == {"deadline": 2, "body-part": 1}
    assert sum(shown["labels"].values()) == 4, "what is under analysis has no label of a result yet"


def test_refused_files_are_counted_by_reason_over_all_studies() -> None:
    cut, bare = RefusedFile(arrival="a", reason="truncated"), RefusedFile(arrival="b", reason="no-pixel-data")
    shown = period(indexed(studied("a", refused=(cut, bare))), indexed(studied("b", refused=(cut,))))
    assert shown["refused"] == {"truncated": 2, "no-pixel-data": 1}


def test_a_stage_has_its_median_and_what_one_in_twenty_exceeds() -> None:
    records = [indexed(studied(str(n), seconds={"analyse": float(n)})) for n in range(1, 101)]
    (stage,) = period(*records)["stages"]
    assert (stage["stage"], stage["median"], stage["count"]) == ("analyse", 50.5, 100)
    assert 95 <= stage["p95"] <= 96.5
    (single,) = period(records[6])["stages"]
    assert (single["median"], single["p95"]) == (7.0, 7.0)


def test_an_alert_is_missing_where_a_current_high_risk_study_is_unread_and_no_email_went_out() -> None:
    high = studied(high_risk=True, findings=(finding(),))
    assert alert_missing(indexed(high))
    assert alert_missing(indexed(high, *said(Opened(), ACCEPT)))
    assert not alert_missing(indexed(high, *said(Opened(), ACCEPT, Signed())))
    assert not alert_missing(indexed(high.model_copy(update={"alerted": high.updated})))
    assert not alert_missing(indexed(studied(findings=(finding(),))))
    assert not alert_missing(indexed(studied(high_risk=True, purpose="prior")))
    assert period(indexed(high), indexed(studied("b")))["alerts_not_sent"] == 1


def test_what_is_due_and_unsigned_is_past_due() -> None:
    late = studied("a", high_risk=True)
    signed = indexed(studied("b", high_risk=True), *said(Signed()))
    assert period(indexed(late), signed, indexed(studied("c")))["past_due"] == 1


def test_a_models_record_counts_what_signed_reviews_said_of_its_findings() -> None:
    """A correction confirms that something is there; an unsigned review says nothing yet."""
    records = [
        indexed(studied("a", findings=(finding(),)), *said(ACCEPT, Signed())),
        indexed(studied("b", findings=(finding(),)), *said(CORRECT, MISSED, Signed())),
        indexed(studied("c", findings=(finding(),)), *said(REJECT, Signed())),
        indexed(studied("d", findings=(finding(),)), *said(REJECT)),
    ]
    (row,) = period(*records)["models"]
    assert (row["signed"], row["confirmed"], row["rejected"], row["missed"]) == (3, 2, 1, 1)
    assert row["positive_predictive_value"] == pytest.approx(0.667)
    assert (row["month"], row["minutes_to_review"]) == ("2026-03", 122.0)


def test_a_model_that_nobody_judged_has_no_predictive_value() -> None:
    (row,) = period(indexed(studied(), *said(Signed())))["models"]
    assert row["positive_predictive_value"] is None


def test_a_period_without_studies_has_figures_too() -> None:
    shown = period()
    assert (shown["studies"], shown["per_day"], shown["stages"], shown["models"]) == (0, [], [], [])
    assert shown["spend"]["fixed_a_month"] == pytest.approx(costs.fixed("clinic"), abs=0.01)


def test_records_from_before_seconds_and_verdicts_were_kept_are_counted() -> None:
    old = indexed(studied())
    for name in ("provenance", "verdicts", "missed", "alerted", "refused"):
        old.pop(name)
    shown = period(old)
    assert (shown["studies"], shown["stages"], shown["models"], shown["refused"]) == (1, [], [], {})


def test_a_study_that_several_models_read_counts_for_each_with_the_verdicts_on_its_own_findings() -> None:
    one = indexed(studied(findings=(finding("1"), finding("2"))))
    second = {**one["models"][0], "model": {**one["models"][0]["model"], "name": "second", "digest": "2" * 64}}
    failed = {**second, "model": {**second["model"], "name": "third", "digest": "3" * 64}, "outcome": "failed"}
    both = {
        **one, "models": [*one["models"], second, failed], "signed": "2026-03-02T14:00:00+00:00", "missed": 1,
        "verdicts": {"accept": 2, "reject": 1}, "judged": {"1": "accept", "2": "accept", "second.1": "reject"},
    }  # fmt: skip
    name = one["models"][0]["model"]["name"]
    assert {model["name"]: model["studies"] for model in models([one, both])} == {name: 2, "second": 1}
    rows = {row["model"].split()[0]: row for row in period(both)["models"]}
    assert (rows[name]["confirmed"], rows[name]["rejected"], rows[name]["missed"]) == (2, 0, 1)
    assert (rows["second"]["confirmed"], rows["second"]["rejected"], rows["second"]["missed"]) == (0, 1, 0)
    assert set(rows) == {name, "second"}
