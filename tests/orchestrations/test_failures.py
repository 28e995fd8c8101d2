"""`readfirst failures`, `replay` and `cancel` against real services: what a person reads, and what is asked for."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from click.testing import Result
from typer.testing import CliRunner

from readfirst.adapters import clients
from readfirst.adapters.studies import parked
from readfirst.cli import build
from readfirst.domain import resource_names
from readfirst.domain.analysis.messages import Command
from readfirst.domain.reading.study_record import NOT_ANALYSED, StudyRecord
from readfirst.services import list_study

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("settings")]


@pytest.fixture(autouse=True)
def no_commands(settings: None) -> Iterator[None]:
    """Other tests leave messages that nobody takes without a host."""
    for queue in (resource_names.COMMANDS, parked.name_of(resource_names.RETURNS)):
        clients.queue(queue).clear_messages()
    yield
    for queue in (resource_names.COMMANDS, parked.name_of(resource_names.RETURNS)):
        clients.queue(queue).clear_messages()


def failed(reason: str) -> StudyRecord:
    """A study whose readers were told that it was not analysed."""
    made = StudyRecord.model_validate(
        {
            "id": uuid.uuid4().hex, "clinic": "lakeside", "handle": uuid.uuid4().hex[:8].upper(), "patient": "p" * 32,
            "study_uid": "2.25.1", "run": 3, "state": "failed", "label": NOT_ANALYSED, "reason": reason,
            "received": "2026-01-01T00:00:00+00:00", "due": "", "updated": "2026-01-01T00:00:00+00:00",
        }
    )  # fmt: skip
    list_study.keep(made)
    list_study.index(made.clinic, made.id)
    return made


def readfirst(*words: str) -> Result:
    return CliRunner().invoke(build(("failures",)), list(words))


def asked_for() -> list[Command]:
    messages = clients.queue(resource_names.COMMANDS).receive_messages(max_messages=32)
    return [Command.model_validate_json(message.content) for message in messages]


def test_the_list_shows_the_study_its_cause_and_what_to_do_and_the_parked_messages() -> None:
    study = failed("no-gpu-quota: the analysis did not end in time")
    clients.queue(parked.name_of(resource_names.RETURNS)).send_message("x")
    said = readfirst("failures").output
    assert study.handle in said and "no-gpu-quota" in said and "analyse" in said
    assert "returns: 1 messages parked" in said and "readfirst parked returns" in said


def test_one_study_is_replayed_by_its_handle() -> None:
    study = failed("model-failed: it does not load")
    assert "1 replayed" in readfirst("replay", study.handle).output
    (command,) = asked_for()
    assert (command.kind, command.token, command.detail) == ("replay", study.id, {"clinic": "lakeside", "run": "3"})


def test_all_that_failed_are_replayed_but_for_those_that_go_on_by_themselves() -> None:
    study, late = failed("fault: OSError"), failed("late: the analysis has not ended yet; its result will replace this")
    assert readfirst("replay", "--all-failed").exit_code == 0
    tokens = [command.token for command in asked_for() if command.kind == "replay"]
    assert study.id in tokens and late.id not in tokens


def test_a_study_is_called_off() -> None:
    study = failed("fault: OSError")
    readfirst("cancel", study.handle)
    assert [(command.kind, command.token) for command in asked_for()] == [("cancel", study.id)]


@pytest.mark.parametrize(("words", "status"), [((), 2), (("H0000000", "--all-failed"), 2), (("H0000000",), 1)])
def test_what_is_not_one_study_and_not_all_is_refused_and_asks_for_nothing(words: tuple[str, ...], status: int) -> None:
    assert readfirst("replay", *words).exit_code == status
    assert asked_for() == []
