"""The GPU job against a real Azurite: what it writes, in which order, and what a kill at any point leaves behind."""

from __future__ import annotations

import base64
import io
import json
import signal
import subprocess
import sys
import threading
import time
import uuid

import pytest
from azure.core.exceptions import HttpResponseError, IncompleteReadError, ServiceResponseError
from azure.storage.queue import QueueClient
from PIL import Image

from model_container.engines.engine import Reading
from model_container.engines.registry import ModelRegistry
from model_container.job import Job, main
from model_container.storage import MissingSetting, studies
from readfirst.domain import blob_paths, resource_names
from readfirst.domain.analysis.models import default_model
from readfirst.domain.routing.changes import ENTRIES, Wish, as_deployed, entry_of, history_of, proposal
from readfirst.domain.routing.routes import Routes
from tests.model.conftest import read_study
from tests.model.files import enhanced
from tests.waiting import PATIENCE, eventually

pytestmark = pytest.mark.stack


def token() -> str:
    return uuid.uuid4().hex


def lines(said: str) -> list[dict]:
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


def test_a_request_becomes_a_result_an_overlay_and_one_answer(desk, phantom):
    request = desk.send(desk.order(phantom, token()))
    said = desk.drain()
    result = desk.result(request)
    (answer,) = desk.answers()
    assert answer.outcome == "analysed" and answer.instance == request.instance and answer.run_key == request.run_key
    assert result.model == default_model().identity
    assert result.high_risk and result.findings[0].diameter_mm > 15
    picture = Image.open(io.BytesIO(desk.analysis.download_blob(result.findings[0].overlay).readall()))
    assert picture.size == (1152, 800)
    assert desk.waiting() == 0
    (line,) = [entry for entry in lines(said) if entry["event"] == "study"]
    assert line["outcome"] == "analysed" and {"download", "decode", "infer", "write"} <= set(line["seconds"])


def test_progress_is_left_for_the_portal(desk, phantom):
    request = desk.send(desk.order(phantom, token()))
    desk.drain()
    progress = json.loads(desk.analysis.download_blob(f"{request.token}/{request.run_key}/progress.json").readall())
    assert (progress["stage"], progress["share"]) == ("done", 1.0) and progress["at"].endswith("Z")


def test_an_enhanced_study_is_one_file_many_slices_and_one_result(desk, phantom, tmp_path):
    folder = tmp_path / "enhanced"
    folder.mkdir()
    (folder / "one.dcm").write_bytes(enhanced([phantom.contents[i.sop_uid] for i in phantom.selection.instances]))
    request = desk.send(desk.order(read_study(folder), token()))
    desk.drain()
    result = desk.result(request)
    assert result.outcome == "analysed" and result.slices == 12
    assert result.findings[0].frame == result.findings[0].slice + 1 and result.findings[0].diameter_mm > 15


def test_a_model_that_two_persons_never_activated_does_not_run_and_one_that_ran_finishes_its_studies(desk, phantom):
    other = default_model().model_copy(update={"version": "9.0"})
    deployed = as_deployed((other,), Routes(default=(other.name,)))
    history = history_of([], deployed)
    kept = []
    try:
        for act, model in (("deactivate", other), ("activate", default_model()), ("deactivate", default_model())):
            wish = Wish(act=act, digest=model.digest, reason="as the comparison shows")
            who = {"by": "oda", "by_name": "Oda", "at": "2026-03-02T12:00:00+00:00"}
            change = proposal(wish, history, (other, default_model()), id="0" * 32, **who)
            kept.append(entry_of(change, history, by="rona", by_name="Rona", at=who["at"], note="").kept())
            history = history_of(kept, deployed)
            desk.changes.upload_blob(f"{ENTRIES}{len(kept):06d}.json", kept[-1])
            request = desk.send(desk.order(phantom, token()))
            desk.drain()
            (answer,) = desk.answers()
            if len(kept) == 1:
                assert (answer.outcome, desk.result(request)) == ("failed", None)
                assert answer.detail.startswith("model-not-approved: ") and "never activated" in answer.detail
            else:
                assert answer.outcome == "analysed"
    finally:
        for name in list(desk.changes.list_blob_names()):
            desk.changes.delete_blob(name)


def test_the_same_work_is_never_done_twice(desk, phantom):
    request = desk.send(desk.order(phantom, token()))
    desk.drain()
    first = desk.result(request)
    desk.send(request)
    said = desk.drain()
    assert [entry["known"] for entry in lines(said) if entry["event"] == "study"] == [True]
    assert desk.result(request) == first
    assert [a.outcome for a in desk.answers()] == ["analysed", "analysed"]


def test_several_studies_are_drained_by_one_execution(desk, phantom):
    requests = [desk.send(desk.order(phantom, token())) for _ in range(3)]
    said = desk.drain()
    assert len(desk.answers()) == 3
    assert all(desk.result(request) for request in requests)
    assert [entry["event"] for entry in lines(said)].count("started") == 1


def test_no_receipt_no_inference(desk, phantom):
    request = desk.send(desk.order(phantom, token(), receipts=()))
    desk.drain()
    (answer,) = desk.answers()
    assert answer.outcome == "failed" and answer.detail == "no-receipt: 12 of 12 instances have none"
    assert desk.result(request) is None and desk.waiting() == 0


def test_an_instance_that_changed_after_its_receipt_is_not_analysed(desk, phantom):
    request = desk.order(phantom, token())
    path = blob_paths.instance_path(request.token, phantom.selection.series_uid, phantom.selection.instances[4].sop_uid)
    content = bytearray(desk.clean.download_blob(path).readall())
    content[-1] ^= 1
    desk.clean.upload_blob(path, bytes(content), overwrite=True)
    desk.send(request)
    desk.drain()
    (answer,) = desk.answers()
    assert answer.outcome == "failed" and answer.detail.startswith("digest-mismatch")


def test_receipts_of_another_study_do_not_count(desk, phantom):
    other = desk.order(phantom, token())
    mine = desk.order(phantom, token(), receipts=(blob_paths.receipts_path(other.token, 1, 1),))
    desk.send(mine)
    desk.drain()
    (answer,) = desk.answers()
    assert answer.outcome == "failed" and "another study" in answer.detail


def test_a_model_that_is_not_approved_does_not_run(desk, phantom):
    desk.send(desk.order(phantom, token(), model_digest="0" * 64))
    desk.drain()
    (answer,) = desk.answers()
    assert answer.outcome == "failed" and answer.detail.startswith("model-not-approved")


def test_a_message_that_nobody_can_read_does_not_stop_the_queue(desk, phantom):
    desk.requests.send_message("{not json")
    desk.send(desk.order(phantom, token()))
    said = desk.drain()
    assert [a.outcome for a in desk.answers()] == ["analysed"]
    assert "unreadable-request" in said and desk.waiting() == 0


def named(**parts: object) -> str:
    """A request in which a name is no digest but something that somebody wrote."""
    request = {"token": "a" * 32, "run_key": "b" * 32, "instance": "c", "order": "d"} | parts
    return base64.b64encode(json.dumps(request).encode()).decode()


def test_messages_that_are_no_requests_end_no_execution_and_leave_nothing_of_theirs_in_the_log(desk, phantom):
    raw = QueueClient.from_connection_string(
        desk.connection, resource_names.INFERENCE_REQUESTS
    )  # writes what it is given
    binary, deep = (base64.b64encode(content).decode() for content in (b"\xff\xfe\x00", b"[" * 9000))
    for text in ("{no base64", "", "////", binary, deep,
                 named(token="DOE^JANE"), named(run_key="a" * 32 + "\n"), named(more="DOE^JANE")):  # fmt: skip
        raw.send_message(text)
    desk.send(desk.order(phantom, token()))
    said = desk.drain(IDLE_SECONDS="0")
    assert [a.outcome for a in desk.answers()] == ["analysed"] and desk.waiting() == 0
    assert said.count("unreadable-request") == 8 and "DOE" not in said


def test_an_order_that_was_changed_after_it_was_given_is_not_carried_out(desk, phantom):
    """Its result would be found under the name of other work."""
    fewer = desk.send(desk.order(phantom, token(), instances=()))
    request = desk.order(phantom, token())
    order = json.loads(desk.clean.download_blob(request.order).readall())
    desk.clean.upload_blob(request.order, json.dumps(order | {"instances": order["instances"][:9]}), overwrite=True)
    desk.send(request)
    desk.drain()
    said = {a.token: (a.outcome, a.detail) for a in desk.answers()}
    assert set(said) == {fewer.token, request.token}
    assert set(said.values()) == {("failed", "wrong-order: the order was changed after it was given")}


def test_a_study_whose_result_is_there_is_answered_with_it_however_often_its_request_came_back(desk, phantom):
    request = desk.send(desk.order(phantom, token()))
    desk.drain()
    desk.answers()
    desk.send(request)
    for _ in range(3):
        assert desk.requests.receive_message(visibility_timeout=1) is not None
        desk.wait_until_visible()
    desk.drain()
    assert [a.outcome for a in desk.answers()] == ["analysed"] and desk.waiting() == 0


def test_where_results_cannot_be_written_the_study_fails_visibly_and_the_execution_lives(desk, phantom):
    desk.send(desk.order(phantom, token()))
    desk.analysis.delete_container()
    said = desk.drain(IDLE_SECONDS="3")
    assert [(a.outcome, a.detail) for a in desk.answers()] == [("failed", "fault: ResourceNotFoundError")]
    assert desk.waiting() == 0 and [e["tries"] for e in lines(said) if e["event"] == "study"] == [1, 2, 3]


@pytest.mark.parametrize("name", ["IDLE_SECONDS", "LEASE_SECONDS"])
@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf", "1e9"])
def test_a_setting_that_is_no_sensible_number_is_told_by_its_name(desk, name, text):
    with pytest.raises(MissingSetting, match=f"^{name} must be a number from"):
        main(studies({"STUDIES": desk.connection, name: text}), {name: text})


def test_what_is_no_connection_string_is_told_without_showing_it():
    with pytest.raises(MissingSetting, match=r"^STUDIES is not a connection string$"):
        studies({"STUDIES": "AccountKey=secret"})


def test_an_outage_of_storage_that_outlasts_three_tries_costs_the_study_time_and_not_its_result(desk, phantom):
    request = desk.send(desk.order(phantom, token()))
    busy = HttpResponseError("busy")
    busy.status_code = 503
    away = [busy, ServiceResponseError("no answer"), IncompleteReadError("cut off"), busy]

    def executed():
        port = studies({"STUDIES": desk.connection, "LEASE_SECONDS": "1"})
        read = port.read_clean

        def weathered(name):
            if away:
                raise away.pop()
            return read(name)

        port.read_clean = weathered
        Job(port, ModelRegistry(), 0.2).run()
        return desk.answers()

    assert [(a.outcome, a.detail) for a in eventually(executed)] == [("analysed", "")]
    assert desk.result(request) is not None and desk.waiting() == 0


def test_a_fault_is_tried_three_times_and_then_answered(desk, phantom):
    request = desk.order(phantom, token())
    desk.clean.upload_blob(request.order, b'{"token": 1}', overwrite=True)
    desk.send(request)
    said = desk.drain(IDLE_SECONDS="3")
    (answer,) = desk.answers()
    assert answer.outcome == "failed" and answer.detail == "fault: ValidationError"
    assert [e["outcome"] for e in lines(said) if e["event"] == "study"] == ["again", "again", "failed"]


def test_a_study_that_ended_three_executions_is_given_up_and_harms_no_other(desk, phantom):
    deadly = desk.send(desk.order(phantom, token()))
    for _ in range(3):  # as executions that ran out of memory would
        assert desk.requests.receive_message(visibility_timeout=1) is not None
        desk.wait_until_visible()
    other = desk.send(desk.order(phantom, token()))
    said = desk.drain()
    answers = {answer.token: (answer.outcome, answer.detail) for answer in desk.answers()}
    assert answers[deadly.token] == ("failed", "gave-up: 3 executions ended while they worked on it")
    assert answers[other.token] == ("analysed", "")
    assert [e["tries"] for e in lines(said) if e.get("token") == other.token] == [1]


def test_the_job_gives_a_sign_of_life_while_it_gets_somewhere(desk, phantom):
    desk.send(desk.order(phantom, token()))
    desk.drain(CONTAINER_APP_JOB_NAME="analyse-here")
    assert desk.analysis.get_blob_client(blob_paths.beat_path("analyse-here")).exists()


def test_a_log_line_holds_facts_and_no_content(desk, phantom):
    request = desk.send(desk.order(phantom, token()))
    said = desk.drain()
    for content in (phantom.selection.series_uid, phantom.selection.instances[0].sop_uid, "IM000"):
        assert content not in said
    assert request.token in said


# ---------------------------------------------------------------- killed at every point

STAGES = {
    "take": "model_container.storage:Studies.take",
    "download": "model_container.job:Job._download",
    "decode": "model_container.job:decode",
    "inference": "model_container.engines.chest.engine:ChestEngine.read",
    "outputs": "model_container.outputs.dicom:write_outputs",
    "result": "model_container.storage:Studies.write_once",
    "answer": "model_container.storage:Studies.answer",
    "delete": "model_container.storage:Studies.finish",
}


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("stage", STAGES)
def test_killed_at_any_point_the_next_execution_ends_the_study(desk, phantom, stage, moment):
    request = desk.send(desk.order(phantom, token()))
    status, said = desk.run({"LEASE_SECONDS": "1"}, point=STAGES[stage], moment=moment, signal=signal.SIGKILL)
    assert status == -signal.SIGKILL, said
    before = desk.result(request)
    desk.wait_until_visible()
    desk.drain()
    answers = desk.answers()
    assert desk.result(request) is not None and desk.waiting() == 0
    assert before is None or desk.result(request) == before
    assert {a.outcome for a in answers} == {"analysed"}
    # Between answer and delete nothing can be atomic: a second, equal answer is allowed there and nowhere else.
    assert len(answers) == (2 if (stage, moment) in {("answer", "after"), ("delete", "before")} else 1)


@pytest.mark.parametrize("stage", STAGES)
def test_told_to_stop_at_any_point_it_ends_the_study_that_it_works_on(desk, phantom, stage):
    request = desk.send(desk.order(phantom, token()))
    status, said = desk.run(point=STAGES[stage], moment="before", signal=signal.SIGTERM, grace=PATIENCE)
    assert status == 0, said
    assert [a.outcome for a in desk.answers()] == ["analysed"] and desk.result(request) is not None
    assert desk.waiting() == 0 and lines(said)[-1]["stopped"]


@pytest.mark.parametrize("stage", ["download", "inference", "outputs"])
def test_told_to_stop_where_it_cannot_end_in_time_it_gives_everything_back(desk, phantom, stage):
    """Both the study that it works on and the one that it has fetched are there for the next execution at once."""
    requests = [desk.send(desk.order(phantom, token())) for _ in range(2)]
    stop = {"point": STAGES[stage], "moment": "before", "signal": signal.SIGTERM, "held_up": True, "grace": 1.0}
    status, said = desk.run({"LEASE_SECONDS": "600"}, **stop)
    assert status == 143, said
    assert desk.answers() == [] and len(desk.requests.peek_messages(max_messages=5)) == 2
    desk.drain()
    assert sorted(a.token for a in desk.answers()) == sorted(r.token for r in requests)


def test_told_to_stop_while_idle_it_ends_at_once(desk):
    job = desk.start(IDLE_SECONDS="600")  # longer than we wait for its end
    assert '"started"' in job.stdout.readline()
    job.send_signal(signal.SIGTERM)
    job.communicate(timeout=PATIENCE)
    assert job.returncode == 0


def test_told_to_stop_while_working_it_finishes_one_study_and_gives_the_other_back(desk, phantom):
    for _ in range(2):
        desk.send(desk.order(phantom, token()))
    status, said = desk.run(point=STAGES["outputs"], moment="before", signal=signal.SIGTERM, grace=PATIENCE)
    assert status == 0, said
    assert [a.outcome for a in desk.answers()] == ["analysed"] and desk.waiting() == 1
    desk.drain()
    assert [a.outcome for a in desk.answers()] == ["analysed"]


def test_the_next_study_is_fetched_while_this_one_is_analysed(desk, phantom):
    """The first study's inference does not end before the second study's download has begun."""
    second_download, overlapped = threading.Event(), []

    class Waits:
        device = "test"

        def read(self, volume, progress):
            overlapped.append(second_download.wait(PATIENCE))
            return Reading((), 0.1)

    class Watched(Job):
        downloads = 0

        def _download(self, order):
            self.downloads += 1
            if self.downloads == 2:
                second_download.set()
            return super()._download(order)

    class Bench(ModelRegistry):
        def load(self, digest):
            return default_model(), Waits()

    for _ in range(2):
        desk.send(desk.order(phantom, token()))
    Watched(studies({"STUDIES": desk.connection}), Bench(), 0.1).run()
    assert overlapped == [True, True] and len(desk.answers()) == 2


def test_a_stat_study_is_analysed_before_fifty_that_wait(desk, phantom):
    routine = desk.order(phantom, token())
    for _ in range(50):
        desk.send(routine)
    stat = desk.send(desk.order(phantom, token()), stat=True)
    desk.drain()
    assert [a.token for a in desk.answers()] == [stat.token] + 50 * [routine.token]


def test_a_stat_study_that_comes_while_others_are_analysed_waits_for_one_of_them(desk, phantom):
    """The next routine one is ready by then, and lets it pass; then it goes on where it was."""
    routine = [desk.send(desk.order(phantom, token())) for _ in range(4)]
    stat = desk.order(phantom, token())
    sent = []

    class Interrupted(Job):
        def carry_out(self, prepared):
            if not sent:
                eventually(lambda: len(self.studies._held) == 2)  # the next one has been taken ahead
                sent.append(desk.send(stat, stat=True))
            super().carry_out(prepared)

    Interrupted(studies({"STUDIES": desk.connection}), ModelRegistry(), 0.1).run()
    order = [routine[0], stat, *routine[1:]]
    assert [a.token for a in desk.answers()] == [request.token for request in order] and desk.waiting() == 0


def test_stat_studies_without_end_do_not_starve_a_routine_one(desk, phantom):
    routine = desk.send(desk.order(phantom, token()))
    stat = desk.order(phantom, token())
    for _ in range(9):
        desk.send(stat, stat=True)
    desk.drain()
    assert [a.token for a in desk.answers()].index(routine.token) <= 5


def test_a_study_that_somebody_else_has_taken_over_is_not_answered_twice(desk, phantom):
    """The first execution was away so long (a frozen machine, say) that its request went to another one."""
    desk.send(desk.order(phantom, token()))
    account = studies({"STUDIES": desk.connection, "LEASE_SECONDS": "600"})
    held = account.take("routine")
    account.give_back(held)
    desk.drain()
    assert not account.renew(held) and held.lost
    account.close()
    assert [a.outcome for a in desk.answers()] == ["analysed"]


def test_a_request_stays_with_who_works_on_it_for_longer_than_its_lease(desk, phantom):
    request = desk.send(desk.order(phantom, token()))
    account = studies({"STUDIES": desk.connection, "LEASE_SECONDS": "2"})
    held = account.take("routine")
    time.sleep(5)
    assert desk.requests.peek_messages() == [] and not held.lost
    account.give_back(held)
    account.close()
    assert desk.requests.peek_messages()[0].content == request.model_dump_json()


def test_without_settings_it_says_what_is_missing(desk):
    job = desk.start(STUDIES="")
    said, _ = job.communicate(timeout=PATIENCE)
    assert job.returncode == 1 and "STUDIES__blobServiceUri" in said


def test_the_default_path_imports_neither_torch_nor_monai():
    code = (
        "import sys, model_container.job, model_container.engines.chest.engine\n"
        "print({'torch', 'monai', 'scipy'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"
