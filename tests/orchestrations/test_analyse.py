"""Analyse: what is known already is not asked for again, and it says the same the second time."""

from __future__ import annotations

import asyncio
import hashlib
import io
from pathlib import Path

import azure.functions as func
import pydicom
import pytest

from function_app.triggers.commands import take_command
from function_app.triggers.inference import take_answer
from orchestrations.analyse import plan_analysis
from orchestrations.report import index_study, report
from orchestrations.settle import look_and_seal
from readfirst.adapters import blobs, clients
from readfirst.adapters.studies import receipts
from readfirst.domain import blob_paths, resource_names
from readfirst.domain.analysis.findings import Analysis
from readfirst.domain.analysis.messages import AnalysisRequest, Command, InferenceAnswer
from readfirst.domain.analysis.models import default_model
from readfirst.domain.reading.study_record import NOT_ANALYSED, NOT_FLAGGED, READ_IN_PART, StudyRecord
from readfirst.domain.workflow_messages import AnalysisOutcome, Plan, Report, Run
from readfirst.local.phantom import write_phantom_study
from readfirst.services import list_study
from tests.orchestrations.conftest import do
from tests.orchestrations.test_deidentify import deidentified, sealed_study
from tests.orchestrations.test_receive import folder, upload

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
    container = clients.container(resource_names.STUDIES, resource_names.ANALYSIS)
    blobs.put(container, blob_paths.result_path(run.token, ordered.run_key), result.model_dump_json().encode())
    again = Plan.model_validate(do(plan_analysis, run.dump()))
    assert again == planned.model_copy(update={"run_key": ordered.run_key, "model": default_model().digest})


def test_a_study_is_listed_while_it_is_analysed_and_its_report_ends_that(tmp_path: Path) -> None:
    run, _ = sealed_study(tmp_path, seed=33, slices=20, size=256)
    deidentified(run)
    plan = Plan.model_validate(do(plan_analysis, run.dump()))
    listed = clients.cosmos_container().read_item(run.token, partition_key=run.clinic)
    assert (listed["state"], listed["analysing"], listed["label"]) == ("analysing", plan.run_key, NOT_ANALYSED)
    assert listed["waiting"] and listed["instances"] == 20 and listed["patient"]
    assert list_study.read(run.token) is None, "nothing has been reported"
    told = Report(
        run=run, plan=plan, verdict=AnalysisOutcome(outcome="failed", reason="deadline: it did not end in time")
    )
    do(report, told.dump())
    do(index_study, run.dump())
    listed = clients.cosmos_container().read_item(run.token, partition_key=run.clinic)
    assert (listed["state"], listed["analysing"]) == ("failed", "")


def test_a_series_that_the_job_could_not_decode_leaves_its_place_to_the_next_best(tmp_path: Path) -> None:
    run, _ = sealed_study(tmp_path, seed=34, slices=20, size=256, extra=_second_series(tmp_path, seed=34))
    deidentified(run)
    orders = []
    for _ in range(2):
        plan = Plan.model_validate(do(plan_analysis, run.dump()))
        assert plan.outcome == "ordered"
        orders.append(_ordered(run, plan))
        _keep_result(run, plan, "out-of-scope", "pixels-unreadable: cannot decode it")
    assert orders[0].series_uid != orders[1].series_uid and all(len(order.instances) == 20 for order in orders)
    last = Plan.model_validate(do(plan_analysis, run.dump()))
    assert (last.outcome, last.reason.partition(":")[0]) == ("out-of-scope", "pixels-unreadable")


def test_the_books_are_in_order_record_and_answer_and_they_close(tmp_path: Path) -> None:
    """Forty-one files came: twenty are read, twenty are another reconstruction, one is a copy of one of them."""
    again = _second_series(tmp_path, seed=35)
    run, _ = sealed_study(tmp_path, seed=35, slices=20, size=256, extra=(*again, again[0]))
    deidentified(run)
    plan = Plan.model_validate(do(plan_analysis, run.dump()))
    books = _ordered(run, plan).accounting
    assert books is not None and books.holds and books.part == ""
    assert (books.received, books.read, books.left_out) == (41, 20, {"same-positions": 20})
    assert books.identical == 1
    _keep_result(run, plan, "analysed", "")
    do(report, Report(run=run, plan=plan, verdict=AnalysisOutcome(outcome="analysed")).dump())
    record = list_study.read(run.token)
    assert record is not None and record.accounting == books and record.label == NOT_FLAGGED


def test_a_truncated_slice_makes_the_study_read_in_part(tmp_path: Path) -> None:
    planted = tmp_path / "other"
    write_phantom_study(planted, seed=36, slices=21, size=256)
    files = sorted(planted.iterdir(), key=lambda p: float(pydicom.dcmread(p).ImagePositionPatient[2]))
    whole = files[0].read_bytes()
    here = folder()
    runs = [upload(p.read_bytes(), f"{here}/{p.name}") for p in files[1:]]
    upload(whole[: len(whole) // 2], f"{here}/cut")
    (run,) = runs[0]
    do(look_and_seal, run.dump())
    deidentified(run)
    plan = Plan.model_validate(do(plan_analysis, run.dump()))
    _keep_result(run, plan, "analysed", "")
    do(report, Report(run=run, plan=plan, verdict=AnalysisOutcome(outcome="analysed")).dump())
    record = list_study.read(run.token)
    assert record is not None and record.label == READ_IN_PART and record.partial
    assert record.accounting is not None and record.accounting.holds and record.accounting.refused == {"truncated": 1}
    assert record.part == "20 slice(s); 1 file(s) could not be read"


def _second_series(tmp_path: Path, *, seed: int) -> tuple[bytes, ...]:
    """The study's slices once more, as another reconstruction."""
    write_phantom_study(tmp_path / "twice", seed=seed, slices=20, size=256)
    made = []
    for path in sorted((tmp_path / "twice").iterdir()):
        ds = pydicom.dcmread(path)
        ds.SeriesInstanceUID, ds.SOPInstanceUID = f"{ds.SeriesInstanceUID}.7", f"{ds.SOPInstanceUID}.7"
        ds.file_meta.MediaStorageSOPInstanceUID, ds.SeriesNumber = ds.SOPInstanceUID, 9
        out = io.BytesIO()
        ds.save_as(out, enforce_file_format=True)
        made.append(out.getvalue())
    return tuple(made)


def _ordered(run: Run, plan: Plan) -> AnalysisRequest:
    order = receipts.ordered(run.token, plan.run_key)
    assert order is not None
    return order


def _keep_result(run: Run, plan: Plan, outcome: str, reason: str) -> None:
    result = Analysis.model_validate(
        {"token": run.token, "run_key": plan.run_key, "outcome": outcome, "reason": reason,
         "model": default_model().identity, "series_uid": _ordered(run, plan).series_uid}
    )  # fmt: skip
    container = clients.container(resource_names.STUDIES, resource_names.ANALYSIS)
    blobs.put(container, blob_paths.result_path(run.token, plan.run_key), result.model_dump_json().encode())


@pytest.mark.parametrize(
    ("kind", "started"), [("cancel", ("cancel_study", "-1-cancel")), ("replay", ("replay_study", "-1-replay"))]
)
def test_an_operator_reaches_a_study_that_has_not_been_reported_yet(kind: str, started: tuple[str, str]) -> None:
    token = hashlib.sha256(kind.encode()).hexdigest()[:32]
    detail = {"clinic": "lakeside", "run": "1"}
    command = Command.model_validate({"kind": kind, "token": token, "by": "op", "at": "2026-01-05", "detail": detail})
    host = Host()
    take = take_command._function.get_user_function().client_function
    asyncio.run(take(func.QueueMessage(body=command.model_dump_json().encode()), host))
    assert host.started == [(started[0], f"{token}{started[1]}")]


class Host:
    """A durable client whose orchestrations are all over; it remembers what it was told to start."""

    def __init__(self) -> None:
        self.started: list[tuple[str, str]] = []

    async def get_status(self, instance: str) -> None:
        return None

    async def start_new(self, name: str, instance_id: str, client_input: object) -> None:
        self.started.append((name, instance_id))


@pytest.mark.parametrize(
    ("state", "outcome", "started"),
    [("failed", "analysed", True), ("reported", "analysed", False), ("failed", "failed", False)],
)
def test_an_answer_that_comes_after_the_deadline_is_still_told(state: str, outcome: str, started: bool) -> None:
    token = hashlib.sha256(f"{state}{outcome}".encode()).hexdigest()[:32]
    record = StudyRecord.model_validate(
        {
            "id": token, "clinic": "lakeside", "handle": "ABCDEFGH", "patient": "p", "study_uid": "2.25.1", "run": 2,
            "state": state, "label": NOT_ANALYSED, "received": "", "due": "", "updated": "",
        }
    )  # fmt: skip
    container = clients.container(resource_names.STUDIES, resource_names.ANALYSIS)
    blobs.put(container, blob_paths.record_path(token), record.model_dump_json().encode())
    answer = InferenceAnswer(token=token, run_key="k", instance=f"{token}-2-read-analyse", outcome=outcome)
    host = Host()
    take = take_answer._function.get_user_function().client_function
    asyncio.run(take(func.QueueMessage(body=answer.model_dump_json().encode()), host))
    assert host.started == ([("replay_study", f"{token}-2-replay")] if started else [])
