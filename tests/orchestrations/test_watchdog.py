"""The watchdog against the Container Apps endpoint with faults in it: nothing stays stuck, the record says why."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from orchestrations.analyse import request_analysis, watch_analysis
from readfirst.adapters import clients, jobs
from readfirst.adapters.studies import receipts
from readfirst.adapters.uploads.ledger import ledger_of
from readfirst.domain import blob_paths, resource_names
from readfirst.domain.analysis.watchdog import Execution, Place, Trouble
from readfirst.domain.intake.ledger import Complete
from readfirst.domain.workflow_messages import AnalysisOutcome, Plan, Run, Watch
from readfirst.local.environment import settings_of
from readfirst.local.stack import Stack
from tests.orchestrations.conftest import do
from tests.waiting import eventually

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("settings")]


@pytest.fixture(scope="module")
def arm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose job only sleeps: the executions are the matter here."""
    job = [sys.executable, "-c", "import time; time.sleep(600)"]
    with Stack(tmp_path_factory.mktemp("s"), "auto", with_host=False, job_command=job) as stack:
        yield stack


@pytest.fixture
def settings(arm: Stack) -> Iterator[None]:
    with settings_of(arm.environment):
        yield
        for execution in alive():
            jobs.stop(execution)
        eventually(lambda: not alive())
        for queue in (resource_names.INFERENCE_REQUESTS, resource_names.STAT_INFERENCE_REQUESTS):
            clients.queue(queue).clear_messages()


def requested(waited: float = 0.0) -> Watch:
    """An analysis that was requested, and has kept us waiting for so many minutes."""
    blank = Watch(run=Run(token="a" * 32, clinic="lakeside"), plan=Plan(outcome="ordered", run_key="k"), instance="i")
    watch = Watch.model_validate(do(request_analysis, blank.dump()))
    then = datetime.now(UTC) - timedelta(minutes=waited)
    return watch.model_copy(update={"requested": then.isoformat()})


def look(watch: Watch) -> AnalysisOutcome:
    return AnalysisOutcome.model_validate(do(watch_analysis, watch.dump()))


def overdue(watch: Watch) -> Watch:
    return watch.model_copy(update={"deadline": datetime.now(UTC).isoformat()})


def alive() -> list[Execution]:
    return [execution for execution in jobs.executions() if execution.alive]


def an_hour_old(arm: Stack, execution: Execution) -> None:
    then = datetime.now(UTC) - timedelta(hours=1)
    (arm.folders.jobs / execution.name / "started").write_text(then.isoformat())


def test_without_quota_the_request_waits_and_the_job_starts_when_there_is_some(arm: Stack) -> None:
    arm.inject("jobs", "quota")
    watch = requested()
    assert watch.trouble == Trouble.NO_QUOTA
    assert alive() == []
    assert look(watch) == AnalysisOutcome(outcome="waiting")
    assert len(alive()) == 1


def test_quota_that_never_comes_fails_the_study_with_that_reason(arm: Stack) -> None:
    arm.inject("jobs", "quota")
    failed = look(overdue(requested()))
    assert failed == AnalysisOutcome(outcome="failed", reason="no-gpu-quota: the analysis did not end in time")


@pytest.mark.parametrize(("fault", "trouble"), [("image-pull", Trouble.IMAGE_PULL), ("oom", Trouble.OUT_OF_MEMORY)])
def test_an_execution_that_failed_says_why_and_is_followed_by_another(arm: Stack, fault: str, trouble: str) -> None:
    arm.inject("jobs", fault)
    watch = requested(0.5)
    eventually(lambda: not alive())
    assert look(watch) == AnalysisOutcome(outcome="waiting", reason=trouble)
    assert len(alive()) == 1
    assert look(overdue(watch.later(trouble))).reason.startswith(trouble)


def test_when_the_gpu_is_not_to_be_had_the_job_on_cpus_takes_over(arm: Stack) -> None:
    arm.inject("jobs", "quota")
    watch = requested(waited=11)
    look(watch)
    (execution,) = alive()
    assert execution.place is Place.FALLBACK
    look(watch)
    assert [e.name for e in alive()] == [execution.name], "one execution drains the whole queue"


def test_an_execution_that_hangs_is_stopped_and_another_is_started(arm: Stack) -> None:
    arm.inject("jobs", "hang")
    watch = requested()
    (hung,) = alive()
    assert look(watch) == AnalysisOutcome(outcome="waiting")
    an_hour_old(arm, hung)
    assert look(watch) == AnalysisOutcome(outcome="waiting", reason=Trouble.HUNG)
    eventually(lambda: hung.name not in [e.name for e in alive()])
    look(watch)
    (other,) = alive()
    assert other.name != hung.name


def test_an_execution_that_cannot_be_stopped_and_runs_for_ever_keeps_no_study_waiting(
    arm: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Azure can go on listing an execution whose container is gone: the next one starts past it, and the one after."""
    arm.inject("jobs", "hang")
    requested()
    (phantom,) = alive()
    an_hour_old(arm, phantom)
    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(jobs, "stop", lambda _: None)
            watch = requested()
            assert watch.trouble == ""
            assert look(watch) == AnalysisOutcome(outcome="waiting")
        (worker,) = [execution for execution in alive() if execution.name != phantom.name]
        clients.container(resource_names.STUDIES, resource_names.ANALYSIS).upload_blob(
            blob_paths.beat_path(worker.name.rpartition("-")[0]), b"", overwrite=True
        )
        jobs.stop(worker)
        eventually(lambda: [execution.name for execution in alive()] == [phantom.name])


def test_while_nobody_says_which_executions_there_are_the_analysis_waits_and_only_its_deadline_ends_it(
    arm: Stack,
) -> None:
    watch = requested()
    nowhere = {**arm.environment, "ARM_ENDPOINT": "https://127.0.0.1:1"}
    with settings_of(nowhere):
        assert look(watch) == AnalysisOutcome(outcome="waiting", reason=Trouble.NOT_SEEN)
        assert look(overdue(watch)).reason.startswith(Trouble.NOT_SEEN)
        assert receipts.trouble(watch.run.token, watch.run.n) == Trouble.NOT_SEEN
    assert look(watch) == AnalysisOutcome(outcome="waiting")


def test_quota_that_comes_back_starts_the_job_at_the_next_look_however_late_that_is(arm: Stack) -> None:
    arm.inject("jobs", "quota", 2)
    watch = requested(waited=5)
    assert look(watch).reason == Trouble.NO_QUOTA
    assert alive() == []
    assert look(watch.model_copy(update={"requested": (datetime.now(UTC) - timedelta(hours=20)).isoformat()}))
    assert len(alive()) == 1


def test_a_sign_of_life_keeps_a_long_execution_from_being_stopped(arm: Stack) -> None:
    arm.inject("jobs", "hang")
    watch = requested()
    (execution,) = alive()
    an_hour_old(arm, execution)
    name = execution.name.rpartition("-")[0]
    analysis = clients.container(resource_names.STUDIES, resource_names.ANALYSIS)
    analysis.upload_blob(blob_paths.beat_path(name), b"", overwrite=True)
    look(watch)
    assert [e.name for e in alive()] == [execution.name]


def test_a_message_that_was_lost_with_its_execution_is_sent_again(arm: Stack) -> None:
    watch = requested()
    jobs.stop(*alive())
    eventually(lambda: not alive())
    clients.queue(resource_names.INFERENCE_REQUESTS).clear_messages()
    look(watch)
    assert jobs.requests_waiting()


def test_a_study_that_its_clinic_calls_stat_is_asked_for_on_the_queue_that_is_drained_first(arm: Stack) -> None:
    """The request that is sent again after it was lost, too."""
    requested()
    assert waiting(resource_names.INFERENCE_REQUESTS) == 1
    urgent = Run(token="b" * 32, clinic="lakeside")
    ledger_of(urgent.token).say_complete(Complete(studyInstanceUid="1.2.3", priority="stat"))
    blank = Watch(run=urgent, plan=Plan(outcome="ordered", run_key="k"), instance="i")
    stat = Watch.model_validate(do(request_analysis, blank.dump()))
    assert waiting(resource_names.STAT_INFERENCE_REQUESTS) == 1 and waiting(resource_names.INFERENCE_REQUESTS) == 1

    jobs.stop(*alive())
    eventually(lambda: not alive())
    for queue in (resource_names.INFERENCE_REQUESTS, resource_names.STAT_INFERENCE_REQUESTS):
        clients.queue(queue).clear_messages()
    look(stat)
    assert waiting(resource_names.STAT_INFERENCE_REQUESTS) == 1 and waiting(resource_names.INFERENCE_REQUESTS) == 0
    assert jobs.requests_waiting(), "a stat request keeps the watchdog patient like any other"


def waiting(queue: str) -> int:
    """Messages on a queue."""
    return int(clients.queue(queue).get_queue_properties().approximate_message_count or 0)
