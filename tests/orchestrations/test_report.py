"""Report: each service is written to by itself, and what was reported stays reported whatever happens after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from azure.core.exceptions import AzureError

from orchestrations.alert import send_alert
from orchestrations.analyse import plan_analysis
from orchestrations.report import (
    LATE,
    alerts_not_sent,
    alerts_of,
    answer_clinic,
    index_study,
    release_originals,
    report,
    request_return,
)
from readfirst.adapters import blobs, clients
from readfirst.adapters.clock import now
from readfirst.adapters.studies import receipts, reviews
from readfirst.adapters.uploads.ledger import ledger_of
from readfirst.domain import blob_paths, resource_names
from readfirst.domain.analysis.findings import Analysis, Box, Code, Finding
from readfirst.domain.analysis.models import default_model
from readfirst.domain.operations.stages import STAGES, UNMEASURED
from readfirst.domain.reading import study_record
from readfirst.domain.reading.reviews import Event, Told
from readfirst.domain.reading.study_record import StudyRecord
from readfirst.domain.workflow_messages import AnalysisOutcome, Plan, Report, Run
from readfirst.local.environment import settings_of
from readfirst.local.stack import Stack
from readfirst.local.weather.forecast import Spell
from readfirst.local.weather.layer import before
from readfirst.local.weather.sky import Sky
from readfirst.services import list_study
from tests.orchestrations.conftest import do
from tests.orchestrations.test_deidentify import deidentified, sealed_study

pytestmark = pytest.mark.stack
FAILED = AnalysisOutcome(outcome="failed", reason="stage-fault: ServiceResponseError")


@pytest.fixture(autouse=True)
def sky(servers: Stack) -> Iterator[Sky]:
    """The settings of the stack, with weather before Cosmos DB."""
    address = servers.environment["COSMOS_ENDPOINT"]
    with ExitStack() as open_:
        made = open_.enter_context(before("cosmos", address))
        open_.enter_context(settings_of({**servers.environment, "COSMOS_ENDPOINT": made.addresses[0]}))
        yield made.sky


@contextmanager
def outage(sky: Sky) -> Iterator[None]:
    """The index is away."""
    sky.add(Spell(service="cosmos", behaviour="unavailable"))
    try:
        yield
    finally:
        sky.clear()


def analysed(folder: Path, seed: int) -> tuple[Run, Plan]:
    """A study whose job has written a result of high risk; nothing of it is reported yet."""
    run, _ = sealed_study(folder, seed=seed, slices=20, size=256)
    deidentified(run)
    plan = Plan.model_validate(do(plan_analysis, run.dump()))
    assert plan.outcome == "ordered"
    series = receipts.receipted(run.token, run.n).instances[0]
    finding = Finding(
        key="1", kind="lung-nodule", concept=Code(value="1", scheme="SCT", meaning="nodule"), category=1,
        probability=0.9, diameter_mm=20, volume_mm3=4000, centre=None, site="left lung", series_uid=series.series_uid,
        sop_uid=series.sop_uid, slice=0, box=Box(left=0, top=0, right=9, bottom=9),
    )  # fmt: skip
    result = Analysis(
        token=run.token, run_key=plan.run_key, outcome="analysed", model=default_model().identity, risk=0.9,
        high_risk=True, series_uid=series.series_uid, findings=(finding,),
    )  # fmt: skip
    container = clients.container(resource_names.STUDIES, resource_names.ANALYSIS)
    blobs.put(container, blob_paths.result_path(run.token, plan.run_key), result.model_dump_json().encode())
    return run, plan


def told(run: Run, plan: Plan | None = None, verdict: AnalysisOutcome = FAILED) -> list[str]:
    """Reports; returns the kinds of finding whose alerts are due."""
    verdict = AnalysisOutcome(outcome="analysed") if plan else verdict
    return [alert["finding"] for alert in do(report, Report(run=run, plan=plan, verdict=verdict).dump())]


def record_of(run: Run) -> StudyRecord:
    found = list_study.read(run.token)
    assert found is not None
    return found


def listed(run: Run) -> str:
    return str(clients.cosmos_container().read_item(run.token, partition_key=run.clinic)["label"])


def test_a_flagged_result_is_written_and_alerts_while_the_index_is_away(tmp_path: Path, sky: Sky) -> None:
    run, plan = analysed(tmp_path, seed=41)
    with outage(sky):
        assert told(run, plan) == ["lung-nodule"]
        for other in (answer_clinic, request_return, release_originals):
            do(other, run.dump())
        with pytest.raises(AzureError):
            do(index_study, run.dump())
    assert sky.met["cosmos", "unavailable"]
    assert record_of(run).label == study_record.FLAGGED
    do(index_study, run.dump())
    assert listed(run) == study_record.FLAGGED


def test_a_failure_that_is_reported_after_a_result_changes_nothing_and_alerts(tmp_path: Path) -> None:
    run, plan = analysed(tmp_path, seed=42)
    told(run, plan)
    before = record_of(run)
    for verdict in (FAILED, AnalysisOutcome(outcome="failed", reason=LATE)):
        assert told(run, verdict=verdict) == ["lung-nodule"], "whoever failed may have failed before the alert"
        assert record_of(run) == before


def test_the_reconciler_finds_the_alert_that_has_not_gone_out_until_it_has(tmp_path: Path, sky: Sky) -> None:
    run, plan = analysed(tmp_path, seed=47)
    told(run, plan)
    do(index_study, run.dump())
    (alert,) = [alert for alert in alerts_not_sent() if alert.token == run.token]
    with outage(sky):
        assert do(send_alert, alert.dump()) > 0, "the letter does not wait for the index"
    assert record_of(run).alerted
    assert run.token not in {alert.token for alert in alerts_not_sent()}
    assert clients.cosmos_container().read_item(run.token, partition_key=run.clinic)["alerted"]


def test_the_record_says_how_long_every_stage_took_that_is_measured(tmp_path: Path) -> None:
    """From the ledger, the orchestration's clock and the hand-over of the e-mail; a second report keeps them."""
    run, plan = analysed(tmp_path, seed=49)
    ledger = ledger_of(run.token)
    sealed, arrived = ledger.sealed(run.n).at, sorted(note.arrived for note in ledger.notes())
    assert sealed is not None
    answered = now() - timedelta(seconds=30)
    given = Report(
        run=run, plan=plan, verdict=AnalysisOutcome(outcome="analysed"), analysed=answered.isoformat(),
        seconds={"deidentify": 4.0, "analyse": 90.0},
    )  # fmt: skip
    (alert,) = do(report, given.dump())
    written = record_of(run)
    assert written.seconds["receive"] == pytest.approx((arrived[-1] - arrived[0]).total_seconds(), abs=0.001)
    assert written.seconds["settle"] == pytest.approx((sealed - arrived[-1]).total_seconds(), abs=0.001)
    since = (datetime.fromisoformat(written.updated) - answered).total_seconds()
    assert since <= written.seconds["report"] < since + 1, "the record keeps whole seconds"
    assert "alert" not in written.seconds
    do(send_alert, alert)
    after = record_of(run)
    assert set(after.seconds) == set(STAGES) - UNMEASURED
    assert after.seconds["alert"] == pytest.approx(
        (datetime.fromisoformat(after.alerted) - datetime.fromisoformat(after.updated)).total_seconds(), abs=1
    )
    do(send_alert, alert)
    assert record_of(run) == after, "the first e-mail counts"
    do(report, given.dump())
    assert record_of(run).seconds["alert"] == after.seconds["alert"], "no second e-mail goes out"


def test_a_run_that_sealed_before_its_seal_kept_the_moment_is_reported_without_its_settling(tmp_path: Path) -> None:
    run, plan = analysed(tmp_path, seed=50)
    arrivals = clients.container(resource_names.UPLOADS, resource_names.ARRIVALS)
    old = ledger_of(run.token).sealed(run.n).model_dump_json(exclude={"at"})
    blobs.put(arrivals, f"{run.token}/seals/{run.n:06d}.json", old.encode())
    assert told(run, plan) == ["lung-nodule"]
    assert set(record_of(run).seconds) == {"receive"}


def test_a_study_that_a_reader_has_in_hand_already_writes_to_nobody(tmp_path: Path) -> None:
    run, plan = analysed(tmp_path, seed=48)
    told(run, plan)
    (alert,) = alerts_of(record_of(run))
    said = Told(who="ward", how="telephone", when="2026-01-01T10:00:00Z", read_back=True)
    key = reviews.run_key(record_of(run))
    event = Event(number=1, at="2026-01-01T10:00:00+00:00", by="oid", by_name="A. Reader", run_key=key, what=said)
    reviews.append(clients.container(resource_names.STUDIES, resource_names.REVIEWS), run.token, event)
    assert do(send_alert, alert.dump()) < 0
    assert not record_of(run).alerted


def test_a_result_takes_the_place_of_what_was_told_as_late(tmp_path: Path) -> None:
    run, plan = analysed(tmp_path, seed=43)
    assert told(run, verdict=AnalysisOutcome(outcome="failed", reason=LATE)) == []
    assert (record_of(run).state, record_of(run).reason) == ("failed", LATE)
    assert told(run, plan) == ["lung-nodule"]
    assert (record_of(run).state, record_of(run).reason) == ("reported", "")


def test_a_late_study_says_what_is_wrong_with_its_job(tmp_path: Path) -> None:
    run, _ = analysed(tmp_path, seed=44)
    receipts.note_trouble(run.token, run.n, "no-gpu-quota")
    told(run, verdict=AnalysisOutcome(outcome="failed", reason=LATE))
    assert record_of(run).reason.startswith("no-gpu-quota: the analysis has not ended yet")


def test_originals_are_released_for_deletion_only_once_there_is_a_result(tmp_path: Path) -> None:
    run, plan = analysed(tmp_path, seed=45)
    originals = clients.container(resource_names.UPLOADS, resource_names.ORIGINALS)
    (first, *_) = ledger_of(run.token).arrivals(ledger_of(run.token).sealed(run.n).arrivals)
    blob = originals.get_blob_client(first.original)
    told(run)
    do(release_originals, run.dump())
    assert blob.get_blob_tags() == {}
    told(run, plan)
    do(release_originals, run.dump())
    assert blob.get_blob_tags() == resource_names.DONE


def test_a_study_is_analysed_although_the_index_cannot_list_it_meanwhile(tmp_path: Path, sky: Sky) -> None:
    run, _ = sealed_study(tmp_path, seed=46, slices=20, size=256)
    deidentified(run)
    with outage(sky):
        assert Plan.model_validate(do(plan_analysis, run.dump())).outcome == "ordered"
