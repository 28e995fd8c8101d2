"""Called off is called off: nothing of the study is analysed or mailed afterwards, and nothing of it is lost."""

from __future__ import annotations

import asyncio
import io
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure.durable_functions as df
import azure.functions as func
import pydicom
import pytest

from function_app.triggers.commands import take_command
from function_app.triggers.inference import take_answer
from orchestrations.erase import cancel_runs
from orchestrations.report import CANCELLED, report
from orchestrations.settle import look_and_seal
from readfirst.adapters.studies import receipts
from readfirst.adapters.uploads.ledger import ledger_of
from readfirst.domain.analysis.messages import Command, InferenceAnswer
from readfirst.domain.reading.study_record import FLAGGED, NOT_ANALYSED
from readfirst.domain.workflow_messages import AnalysisOutcome, Look, Report, Run
from readfirst.services import list_study
from tests.orchestrations.conftest import do
from tests.orchestrations.test_deidentify import deidentified, sealed_study
from tests.orchestrations.test_receive import folder, upload
from tests.orchestrations.test_report import analysed, record_of, told

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("settings")]


@dataclass
class Client:
    """A durable client with instances under way; it remembers what it stopped and started."""

    alive: set[str] = field(default_factory=set)
    stopped: list[str] = field(default_factory=list)
    started: list[str] = field(default_factory=list)

    async def get_status(self, instance: str) -> SimpleNamespace:
        running = df.OrchestrationRuntimeStatus.Running if instance in self.alive else None
        return SimpleNamespace(runtime_status=running)

    async def terminate(self, instance: str, reason: str) -> None:
        self.alive.discard(instance)
        self.stopped.append(instance)

    async def start_new(self, name: str, instance_id: str, client_input: Any) -> None:
        self.started.append(name)


def cancelled(run: Run, client: Client | None = None) -> Run:
    """What the orchestration of a cancellation does."""
    cancel = cancel_runs._function.get_user_function().client_function
    last = Run.model_validate(asyncio.run(cancel(run.dump(), client or Client())))
    do(report, Report(run=last, verdict=AnalysisOutcome(outcome="failed", reason=CANCELLED)).dump())
    return last


def ask(trigger: Any, message: Any) -> list[str]:
    """Hands a message to a queue's function; returns the orchestrations that it started."""
    client = Client()
    body = func.QueueMessage(body=message.model_dump_json().encode())
    asyncio.run(trigger._function.get_user_function().client_function(body, client))
    return client.started


def late_answer(run: Run) -> InferenceAnswer:
    return InferenceAnswer(token=run.token, run_key="k", instance=f"{run.instance}-read-analyse", outcome="analysed")


def test_a_job_that_ends_after_the_study_was_called_off_changes_nothing(tmp_path: Path) -> None:
    run, plan = analysed(tmp_path, seed=51)
    under_way = {run.instance, f"{run.instance}-read", f"{run.instance}-read-analyse"}
    client = Client(alive=set(under_way))
    assert cancelled(run, client) == run
    assert set(client.stopped) == under_way
    assert ask(take_answer, late_answer(run)) == []
    assert told(run, plan) == [], "an activity that ran on alerts nobody"
    assert (record_of(run).label, record_of(run).reason) == (NOT_ANALYSED, CANCELLED)


def test_an_operator_who_replays_it_gets_the_result_after_all(tmp_path: Path) -> None:
    run, plan = analysed(tmp_path, seed=52)
    cancelled(run)
    assert ask(take_command, Command(kind="replay", token=run.token, by="op", at="2026-01-05")) == ["replay_study"]
    assert told(run, plan) == ["lung-nodule"]
    assert record_of(run).label == FLAGGED


def test_cancelling_a_finished_study_leaves_its_result_and_its_alert(tmp_path: Path) -> None:
    run, plan = analysed(tmp_path, seed=53)
    told(run, plan)
    before = record_of(run)
    client = Client(alive={f"alert-{run.token}-lung-nodule"})
    cancelled(run, client)
    assert record_of(run) == before
    assert client.stopped == [], "somebody still has to acknowledge it"


def another_slice(study: Path) -> bytes:
    """One more instance of the study that lies in the folder."""
    dataset = pydicom.dcmread(next(p for p in sorted(study.rglob("*")) if p.is_file()))
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def test_files_that_were_still_settling_belong_to_a_run_that_a_replay_takes(tmp_path: Path) -> None:
    run, _ = sealed_study(tmp_path, seed=54, slices=2)
    late = {next(iter(upload(another_slice(tmp_path), folder()))) for _ in range(5)}
    assert late == {run.next}
    client = Client(alive={run.instance, run.next.instance})
    last = cancelled(run, client)
    assert last == run.next
    assert set(client.stopped) == {run.instance, run.next.instance}
    assert ledger_of(run.token).unsealed()[0] == []
    assert Look.model_validate(do(look_and_seal, last.dump())) == Look(files=0), "started late, it finds nothing to do"
    ledger_of(run.token).resume()
    deidentified(last)
    assert len(receipts.receipted(run.token, last.n).instances) == 7


def test_files_that_are_sent_later_begin_again(tmp_path: Path) -> None:
    run, _ = sealed_study(tmp_path, seed=55, slices=2)
    last = cancelled(run)
    (again,) = upload(another_slice(tmp_path), folder())
    assert again == last.next
    assert Look.model_validate(do(look_and_seal, again.dump())).files == 1


def test_cancelling_what_was_erased_meanwhile_does_nothing() -> None:
    gone = Run(token="e" * 32, clinic="lakeside")
    cancel = cancel_runs._function.get_user_function().client_function
    assert asyncio.run(cancel(gone.dump(), Client()))["n"] == 0
    assert list_study.read(gone.token) is None
