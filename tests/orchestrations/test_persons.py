"""Whose study it is: decided once, before any file is cleaned, and asked of a person where the files name two."""

from __future__ import annotations

import asyncio
import io
import json
import uuid
from collections.abc import Mapping

import azure.functions as func
import pydicom
import pytest

from function_app.triggers.commands import take_command
from orchestrations.deidentify import Undecided, deidentify_batches, hold_study, workers_for
from orchestrations.report import answer_clinic, index_study, release_originals, report, request_return
from orchestrations.settle import look_and_seal
from readfirst.adapters import blobs, clients, secrets
from readfirst.adapters.identity import identities
from readfirst.adapters.studies import receipts
from readfirst.adapters.uploads import persons, quarantine
from readfirst.adapters.uploads.ledger import ledger_of
from readfirst.domain import resource_names
from readfirst.domain.analysis.messages import Command
from readfirst.domain.intake.ledger import Complete, Learned
from readfirst.domain.intake.person import Question
from readfirst.domain.reading.study_record import NOT_ANALYSED, StudyRecord
from readfirst.domain.workflow_messages import AnalysisOutcome, Batches, Report, Run
from readfirst.services import list_study, return_results
from readfirst.services.decide_quarantined import answer, reject
from tests.orchestrations.conftest import do
from tests.orchestrations.test_deidentify import clean_blobs, deidentified
from tests.orchestrations.test_receive import CLINIC, ct, folder, upload

pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("settings")]
ANNA = {"PatientID": "MRN-48213", "PatientName": "Orchardson^Anna", "PatientBirthDate": "19510423"}
BORIS = {"PatientID": "MRN-77150", "PatientName": "Pilkovich^Boris", "PatientBirthDate": "19680911"}


def sealed(uid: str, *files: Mapping[str, str]) -> Run:
    """A run with one file for each of the headers."""
    runs = [upload(ct(uid, **values), folder()) for values in files]
    (run,) = runs[0]
    do(look_and_seal, run.dump())
    return run


def held(run: Run) -> StudyRecord:
    """What the orchestration does with a run of which nobody knows whose it is."""
    assert do(workers_for, run.dump()) == 0
    reason = do(hold_study, run.dump())
    assert reason.startswith("several-persons: ")
    told = Report(run=run, verdict=AnalysisOutcome(outcome="quarantined", reason=reason))
    assert do(report, told.dump()) == []
    for other in (index_study, answer_clinic, request_return, release_originals):
        do(other, run.dump())
    record = list_study.read(run.token)
    assert record is not None
    return record


def question_of(run: Run) -> str:
    """The id of the one question about the study."""
    (kept,) = [k for k in quarantine.every() if k.owner == run.token]
    assert kept.reason == "several-persons" and "privacy officer" in kept.advice
    return kept.arrival


def patients(run: Run) -> set[tuple[str, str]]:
    """Pseudonym and study date of each clean copy."""
    copies = [pydicom.dcmread(io.BytesIO(data)) for name, data in clean_blobs(run).items() if name.endswith(".dcm")]
    return {(str(ds.PatientID), str(ds.StudyDate)) for ds in copies}


def new_uid() -> str:
    return str(pydicom.uid.generate_uid())


def test_files_that_do_not_agree_on_issuer_id_or_spelling_are_one_person_with_one_shift() -> None:
    uid = new_uid()
    changes = (
        {},
        {},
        {"IssuerOfPatientID": "MERCY"},
        {"PatientID": ""},
        {"PatientID": "mrn-48213"},
        {"PatientName": ""},
    )
    run = sealed(uid, *(ANNA | change for change in changes))
    deidentified(run)
    ((token, _),) = patients(run)
    assert token == secrets.pseudonyms(CLINIC).patient_token("", ANNA["PatientID"]), "what most files say"
    identity = identities.of_study(run.token)
    assert identity is not None and list(identity.patients) == [token]
    patient = identity.patients[token]
    assert (patient.patient_id, patient.name) == (ANNA["PatientID"], ANNA["PatientName"])
    do(report, Report(run=run, verdict=AnalysisOutcome(outcome="out-of-scope", reason="x: y")).dump())
    record = list_study.read(run.token)
    assert record is not None
    assert set(record.disagree) == {"issuer", "patient-id-missing", "patient-id-spelling", "name-missing"}


def test_late_files_get_the_pseudonym_that_the_study_has_whatever_most_files_say_by_then() -> None:
    uid = new_uid()
    first = sealed(uid, ANNA | {"PatientID": ""})
    deidentified(first)
    (before,) = patients(first)
    late = sealed(uid, *[ANNA] * 3)
    deidentified(late)
    assert patients(late) == {before}
    identity = identities.of_study(first.token)
    assert identity is not None
    assert identity.patients[before[0]].patient_id == ANNA["PatientID"], "and the vault learns the ID"


def test_a_study_of_two_persons_is_told_as_not_analysed_and_nothing_of_it_is_cleaned_or_goes_home() -> None:
    uid = new_uid()
    run = sealed(uid, ANNA, BORIS, ANNA)
    ledger_of(run.token).say_complete(Complete(studyInstanceUid=uid, priority="stat"))
    record = held(run)
    assert (record.state, record.label, record.priority) == ("quarantined", NOT_ANALYSED, "stat")
    assert (record.refused, record.partial, record.modality) == ({"several-persons": 3}, True, "CT")
    assert clean_blobs(run) == {}
    assert return_results.return_study(run.token) == 0
    told = clients.container(resource_names.UPLOADS, resource_names.results(CLINIC))
    status = json.loads(blobs.read(told, f"studies/{record.handle}/status.json") or b"")
    assert status["label"] == NOT_ANALYSED and status["reason"].startswith("several-persons")
    everything = record.model_dump_json() + json.dumps(status)
    assert not any(value in everything for value in (*ANNA.values(), *BORIS.values()))
    asked = persons.asked(run.token, question_of(run))
    assert asked is not None and asked.files == (2, 1)
    with pytest.raises(Undecided):
        do(deidentify_batches, Batches(run=run, worker=0, of=1).dump())


def test_asking_twice_asks_once_and_a_later_question_takes_its_place() -> None:
    uid = new_uid()
    run = sealed(uid, ANNA, BORIS)
    held(run)
    first = question_of(run)
    held(run)
    assert question_of(run) == first
    later = sealed(uid, {"PatientID": "MRN-5", "PatientName": "Quist^Carl", "PatientBirthDate": "19330101"})
    assert held(later).run == 2
    assert question_of(run) != first


def test_a_late_file_of_another_person_holds_the_study_and_keeps_its_place_in_the_list() -> None:
    uid = new_uid()
    run = sealed(uid, ANNA)
    deidentified(run)
    do(report, Report(run=run, verdict=AnalysisOutcome(outcome="out-of-scope", reason="x: y")).dump())
    due = "2026-01-01T00:00:00+00:00"
    list_study.amend(run.token, lambda record: record.model_copy(update={"due": due}))
    before = clean_blobs(run)
    record = held(sealed(uid, BORIS))
    assert (record.due, record.label) == (due, NOT_ANALYSED)
    assert record.refused == {"several-persons": 1}
    assert clean_blobs(run) == before
    assert return_results.return_study(run.token) == 0
    asked = persons.asked(run.token, question_of(run))
    assert asked is not None and asked.pinned is not None
    other = 1 - asked.pinned
    assert answer(run.token, question_of(run), other) is None, "clean copies are not given to somebody else"


def test_persons_who_are_one_after_all_are_cleaned_as_one() -> None:
    run = sealed(new_uid(), ANNA, BORIS)
    held(run)
    again = answer(run.token, question_of(run), None)
    assert again == run
    deidentified(again)
    assert len(patients(run)) == 1
    assert len(receipts.receipted(run.token, run.n).instances) == 2


def test_a_study_that_is_split_is_one_persons_and_the_others_files_are_refused_with_advice() -> None:
    run = sealed(new_uid(), ANNA, ANNA, BORIS)
    held(run)
    asked = persons.asked(run.token, question_of(run))
    assert asked is not None
    boris = next(i for i, stated in enumerate(asked.shown) if stated.patient_id == BORIS["PatientID"])
    again = answer(run.token, question_of(run), boris)
    assert again is not None
    deidentified(again)
    ((token, _),) = patients(run)
    assert token == secrets.pseudonyms(CLINIC).patient_token("", BORIS["PatientID"])
    receipted = receipts.receipted(run.token, run.n)
    assert [refused.reason for refused in receipted.refused] == ["another-person"] * 2
    kept = blobs.read(
        clients.container(resource_names.UPLOADS, resource_names.QUARANTINE),
        f"{run.token}/{receipted.refused[0].arrival}",
    )
    assert kept is not None and ANNA["PatientID"].encode() in kept, "nothing is lost"
    late = sealed_again(run, ANNA, BORIS)
    deidentified(late)
    assert patients(late) == patients(run), "the ruling holds for files that come later"
    assert len(receipts.receipted(run.token, late.n).refused) == 3


def sealed_again(run: Run, *files: Mapping[str, str]) -> Run:
    """More files of a study that is there already."""
    (arrival,) = ledger_of(run.token).arrivals((ledger_of(run.token).notes()[0].id,))
    return sealed(arrival.study_uid, *files)


def test_an_answer_that_comes_as_a_command_starts_the_study_again_and_closes_the_question() -> None:
    run = sealed(new_uid(), ANNA, BORIS)
    held(run)
    started: list[tuple[str, str]] = []

    class Client:
        async def get_status(self, instance: str) -> None:
            return None

        async def start_new(self, orchestrator: str, *, instance_id: str, client_input: object) -> None:
            assert persons.asked(run.token, asked) is not None, "until then the command can come again"
            started.append((orchestrator, instance_id))

    asked = question_of(run)
    command = Command(kind="release", token=run.token, by="pia", at="", detail={"arrival": asked, "person": "0"})
    message = func.QueueMessage(body=command.model_dump_json().encode())
    take = take_command._function.get_user_function()
    for _ in range(2):
        asyncio.run(getattr(take, "client_function", take)(message, Client()))
    assert started == [("replay_study", f"{run.instance}-replay")]
    assert persons.asked(run.token, asked) is None
    deidentified(run)


def test_a_report_that_comes_after_the_answer_says_nothing() -> None:
    run = sealed(new_uid(), ANNA, BORIS)
    before = held(run)
    answer(run.token, question_of(run), None)
    told = Report(run=run, verdict=AnalysisOutcome(outcome="quarantined", reason="several-persons: late"))
    assert do(report, told.dump()) == []
    assert list_study.read(run.token) == before
    assert do(hold_study, run.dump()) == ""


def test_a_study_that_nobody_wants_keeps_its_label_and_its_originals_go_by_age() -> None:
    run = sealed(new_uid(), ANNA, BORIS)
    held(run)
    originals = clients.container(resource_names.UPLOADS, resource_names.ORIGINALS)
    paths = [arrival.original for arrival in ledger_of(run.token).arrivals(ledger_of(run.token).sealed(1).arrivals)]
    assert [originals.get_blob_client(path).get_blob_tags() for path in paths] == [{}, {}]
    reject(run.token, question_of(run))
    assert [originals.get_blob_client(path).get_blob_tags() for path in paths] == [resource_names.DONE] * 2
    record = list_study.read(run.token)
    assert record is not None and record.label == NOT_ANALYSED
    assert not [k for k in quarantine.every() if k.owner == run.token]


def test_of_two_runs_that_decide_at_once_the_first_pseudonym_is_both_ones() -> None:
    run = sealed(new_uid(), ANNA)
    ledger = ledger_of(run.token)
    first = persons.person_of_study(run.token, CLINIC, 1)
    assert first is not None and not isinstance(first, Question)
    assert ledger.pinned() == first.token
    assert ledger.pin(uuid.uuid4().hex) == first.token


def test_a_run_from_before_persons_were_decided_goes_on_as_it_began() -> None:
    run = sealed(new_uid(), ANNA, ANNA | {"IssuerOfPatientID": "MERCY"})
    ledger = ledger_of(run.token)
    old = ledger.learned(1).model_dump(include={"known", "superseded"})
    ledger.keep_learned(1, Learned.model_validate(old))
    deidentified(run)
    keys = secrets.pseudonyms(CLINIC)
    tokens = {keys.patient_token(issuer, ANNA["PatientID"]) for issuer in ("", "MERCY")}
    assert {patient for patient, _ in patients(run)} == tokens
