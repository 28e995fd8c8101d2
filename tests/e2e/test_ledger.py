"""No file falls between: the same study twice, late files, and a file in the moment between last look and end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from orchestrations import settle as stage
from readfirst.adapters import clients
from readfirst.adapters.uploads.ledger import ledger_of
from readfirst.domain import resource_names
from readfirst.domain.reading import study_record
from readfirst.domain.workflow_messages import Look, Run
from readfirst.local.stack import Stack
from readfirst.local.watching import look, wait_for
from readfirst.services.receive_upload import receive
from tests.e2e.conftest import Study, letters, reported, upload, whole
from tests.orchestrations.conftest import do
from tests.waiting import PATIENCE

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("stack")]


def test_the_same_study_twice_is_analysed_once_and_alerted_once(stack: Stack, study: Study) -> None:
    upload(study.files)
    first = whole(study)
    upload(study.files)
    second = reported(study.token, run=first.run + 1).record
    assert second is not None
    assert second.instances == first.instances == len(study.files)
    assert first.provenance is not None
    assert second.provenance is not None
    assert second.provenance.run_key == first.provenance.run_key
    assert second.findings == first.findings
    assert look(study.token).results == 1, "the same work is done once"
    assert len(letters(stack, first.handle)) == 1


def test_late_files_after_the_report_make_a_second_run_over_the_whole_study(study: Study) -> None:
    late, early = study.files[-3:], study.files[:-3]
    upload(early, announce=False)
    first = reported(study.token).record
    upload(late, announce=False)
    second = reported(study.token, run=2).record
    assert first is not None
    assert second is not None
    assert first.instances == len(early)
    assert second.instances == len(study.files)
    assert second.handle == first.handle


def test_files_that_come_while_the_run_waits_belong_to_it(study: Study) -> None:
    upload(study.files[:4], announce=False)
    wait_for(study.token, lambda p: p.arrived == 4, patience=PATIENCE)
    upload(study.files[4:], announce=True)
    progress = wait_for(
        study.token, lambda p: p.record is not None and p.arrived == len(study.files), patience=PATIENCE
    )
    final = wait_for(
        study.token,
        lambda p: p.record is not None and p.record.instances == len(study.files),
        patience=PATIENCE,
    ).record
    assert progress.record is not None
    assert final is not None
    assert final.label == study_record.FLAGGED


class Client:
    """A durable client that remembers what was started."""

    def __init__(self) -> None:
        self.started: list[str] = []

    async def get_status(self, instance: str) -> Any:
        return None

    async def start_new(self, name: str, instance_id: str, client_input: Any) -> str:
        self.started.append(instance_id)
        return instance_id


def arrive(file: Path, name: str) -> Run:
    inbox = clients.container(resource_names.UPLOADS, "quiet-inbox")
    if not inbox.exists():
        inbox.create_container()
    blob = inbox.get_blob_client(name)
    blob.upload_blob(file.read_bytes())
    received = receive("lakeside", blob)
    received.clear()
    (run,) = received.runs
    return run


def test_a_file_in_the_moment_between_last_look_and_seal_starts_the_next_run(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The moment is forced: the file arrives after the run has listed what there is, and before its seal is written."""
    run = arrive(study.files[0], f"{study.token}/0")
    late: list[Run] = []
    ledger = ledger_of(run.token)
    listed = ledger.unsealed

    def unsealed_then_arrival() -> Any:
        answer = listed()
        late.append(arrive(study.files[1], f"{study.token}/1"))
        return answer

    monkeypatch.setattr(ledger, "unsealed", unsealed_then_arrival)
    monkeypatch.setattr(stage, "ledger_of", lambda token: ledger)
    monkeypatch.setattr(stage, "settle", lambda notes, **_: stage_settled(notes))
    assert Look.model_validate(do(stage.look_and_seal, run.dump())).files == 1
    monkeypatch.undo()
    assert late == [run], "the late file saw no seal, so it asks for the run that is about to seal"
    client = Client()
    assert started_next(run, client)
    assert client.started == [f"{run.token}-2"], "the run's second look finds it"


def test_a_file_after_the_seal_of_a_run_without_files_starts_the_next_run(study: Study) -> None:
    run = arrive(study.files[0], f"{study.token}/0")
    do(stage.look_and_seal, {**run.dump()})
    ledger = ledger_of(run.token)
    while ledger.runs() < 1:
        do(stage.look_and_seal, run.dump())
    empty = run.next
    assert Look.model_validate(do(stage.look_and_seal, empty.dump())).files == 0
    assert not started_next(empty, Client())
    assert arrive(study.files[1], f"{study.token}/1").n == 3, "the empty run has sealed too: nothing is left between"


def stage_settled(notes: Any) -> Any:
    from readfirst.domain.intake.settling import Settled

    return Settled(tuple(note.id for note in notes))


def started_next(run: Run, client: Client) -> bool:
    activity: Any = stage.start_next
    function = activity._function.get_user_function()
    while hasattr(function, "__wrapped__"):  # the decorator turns the host's text into a client: we bring one
        function = function.__wrapped__
    return bool(asyncio.run(function(run.dump(), client)))
