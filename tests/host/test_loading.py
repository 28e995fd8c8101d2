"""What the host refuses to run, it refuses before anything starts, and says why."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from readfirst.local.host.main import Host
from readfirst.local.host.routes import parse_route
from readfirst.local.host.settings import CannotRun, load_app_settings, read_options
from readfirst.local.host.triggers.ncrontab import parse_schedule
from tests.host.harness import ROOT, free_port
from tests.waiting import PATIENCE

HEAD = """
import azure.functions as func
import azure.durable_functions as df
app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
"""


def written(folder: Path, code: str, host: Any = None) -> Path:
    (folder / "main.py").write_text(HEAD + code)
    (folder / "host.json").write_text(json.dumps(host or {"version": "2.0"}))
    return folder


def refusal(app: Path, **settings: str) -> str:
    """What the host says when it refuses the app."""
    environment = {**os.environ, "AzureWebJobsStorage": "UseDevelopmentStorage=true", **settings}
    command = [sys.executable, "-m", "readfirst.local.host", "--app-dir", str(app), "--port", str(free_port())]
    command += ["--state", str(app / "state")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 2, done.stdout + done.stderr
    return done.stderr


def test_an_app_is_told_all_that_it_has_which_cannot_run(tmp_path: Path) -> None:
    code = """
@app.entity_trigger(context_name="context")
def counter(context): pass

@app.route(route="a")
@app.table_input(arg_name="rows", table_name="t", connection="AzureWebJobsStorage")
def reads_a_table(req, rows): pass

@app.service_bus_queue_trigger(arg_name="msg", queue_name="q", connection="c")
def on_bus(msg): pass

@app.timer_trigger(arg_name="timer", schedule="0 * * * * *")
@app.retry(strategy="fixed_delay", max_retry_count="3", delay_interval="00:00:10")
def tries_again(timer): pass

@app.route(route="b")
def fine(req): pass
"""
    said = refusal(written(tmp_path, code))
    assert "function counter uses entityTrigger, which the embedded host does not run" in said
    assert "function reads_a_table uses table, which" in said
    assert "function on_bus uses serviceBusTrigger, which" in said
    assert "function tries_again has a retry policy, which" in said
    assert "fine" not in said


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import no_such_module", "main.py cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"),
        ("app = None", "must hold exactly one FunctionApp at module level; it holds 0"),
        ("@app.route(route='admin/x')\ndef f(req): pass", "a route must not begin with admin or runtime"),
        ("@app.route(route='a/{b:regex(x)}')\ndef f(req): pass", r"does not know the constraint 'regex\(x\)'"),
        ("@app.timer_trigger(arg_name='t', schedule='soon')\ndef f(t): pass", "'soon' is not a timer schedule"),
        (
            "@app.blob_trigger(arg_name='b', path='inbox/{n}', connection='NoSuchSetting')\ndef f(b): pass",
            r"the app setting NoSuchSetting \(a storage connection string\) is not set",
        ),
        (
            "@app.queue_trigger(arg_name='m', queue_name='%NoSuchName%', connection='AzureWebJobsStorage')\n"
            "def f(m): pass",
            "a binding refers to the app setting NoSuchName, which is not set",
        ),
        (
            "@app.route(route='a')\ndef f(req): pass\n@app.route(route='b')\ndef f(req): pass",
            "the app cannot be indexed",
        ),
        ("@app.route(route='a')\ndef f(other): pass", "the app cannot be indexed|no parameter for the binding"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, reason: str) -> None:
    monkeypatch.setenv("AzureWebJobsStorage", "UseDevelopmentStorage=true")
    monkeypatch.delenv("PYTHON_SCRIPT_FILE_NAME", raising=False)
    monkeypatch.delitem(sys.modules, "main", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(CannotRun, match=reason):
        Host(written(tmp_path, code), tmp_path / "state", port=0)


def test_another_script_may_be_named(tmp_path: Path) -> None:
    written(tmp_path, "")
    assert "other.py does not exist" in refusal(tmp_path, PYTHON_SCRIPT_FILE_NAME="other.py")


def test_keys_of_host_json_that_are_ignored_are_named(tmp_path: Path) -> None:
    options = read_options(
        written(
            tmp_path,
            "",
            {
                "version": "2.0",
                "logging": {
                    "logLevel": {"default": "Warning", "Function": "Error"},
                    "applicationInsights": {"samplingSettings": {"a": 1}},
                },
                "extensionBundle": {"id": "x", "version": "[4.*, 5.0.0)"},
                "extensions": {
                    "http": {"routePrefix": "/v1/"},
                    "durableTask": {"maxConcurrentActivityFunctions": 3, "tracing": {"traceInputsAndOutputs": False}},
                    "queues": {"batchSize": 4, "maxDequeueCount": 2, "visibilityTimeout": "00:00:05"},
                },
                "functionTimeout": "00:05:00",
            },
        )
    )
    assert options.ignored == (
        "logging.applicationInsights.samplingSettings.a",
        "extensions.durableTask.tracing.traceInputsAndOutputs",
    )
    assert (options.log_level, options.function_log_level) == ("Warning", "Error")
    assert options.route_prefix == "v1"
    assert options.durable.activities == 3
    assert (options.queues.batch_size, options.queues.new_batch_threshold) == (4, 2)
    assert options.queues.retry_delay == timedelta(seconds=5)
    assert options.function_timeout == timedelta(minutes=5)


@pytest.mark.parametrize("content", ["", "[]", '{"version": "1.0"}', '{"version":"2.0","functionTimeout":"soon"}'])
def test_a_host_json_that_cannot_be_meant_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "host.json").write_text(content)
    with pytest.raises(CannotRun, match=r"host\.json"):
        read_options(tmp_path)


def test_the_environment_wins_over_local_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"Values": {"HOST_TEST_A": "file", "HOST_TEST_B": "file"}}
    (tmp_path / "local.settings.json").write_text(json.dumps(values))
    monkeypatch.setenv("HOST_TEST_A", "environment")
    monkeypatch.setenv("HOST_TEST_B", "to be removed")
    monkeypatch.delenv("HOST_TEST_B")
    load_app_settings(tmp_path)
    assert (os.environ["HOST_TEST_A"], os.environ.pop("HOST_TEST_B")) == ("environment", "file")


# --- schedules


@pytest.mark.parametrize(
    ("schedule", "after", "following"),
    [
        ("0 */15 * * * *", "2026-11-22T16:50:00", "2026-11-22T17:00:00"),
        ("0 0 3 * * *", "2026-11-22T03:00:00", "2026-11-23T03:00:00"),
        ("30 5 9-17/4 * * MON-FRI", "2026-11-21T12:00:00", "2026-11-23T09:05:30"),
        ("0 0 0 1 1,7 *", "2026-11-22T16:50:00", "2027-01-01T00:00:00"),
        ("0 0 12 * * 0", "2026-11-22T12:00:00", "2026-11-29T12:00:00"),
        ("0 0 12 * * 7", "2026-11-22T11:00:00", "2026-11-22T12:00:00"),
        ("0 0 0 29 2 *", "2026-11-22T00:00:00", "2028-02-29T00:00:00"),
        ("*/10 * * * *", "2026-11-22T16:51:07", "2026-11-22T17:00:00"),
        ("00:00:30", "2026-11-22T16:51:07", "2026-11-22T16:51:37"),
    ],
)
def test_a_schedule_finds_its_next_occurrence(schedule: str, after: str, following: str) -> None:
    assert parse_schedule(schedule).following(datetime.fromisoformat(after)) == datetime.fromisoformat(following)


@pytest.mark.parametrize(
    "schedule", ["", "* * *", "0 0 25 * * *", "0 0 0 31 2 *", "0 5-1 * * * *", "0 */0 * * * *", "x:y"]
)
def test_a_schedule_that_never_occurs_or_makes_no_sense_is_refused(schedule: str) -> None:
    with pytest.raises(CannotRun):
        parse_schedule(schedule)


# --- routes


@pytest.mark.parametrize(
    ("template", "path", "found"),
    [
        ("a/{b}/{c?}", "a/1", {"b": "1"}),
        ("a/{b}/{c?}", "a/1/2", {"b": "1", "c": "2"}),
        ("a/{b}/{c?}", "a", None),
        ("a/{**rest}", "a/1/2/3", {"rest": "1/2/3"}),
        ("a/{g:guid}", "a/6F9619FF-8B86-D011-B42D-00CF4FC964FF", {"g": "6F9619FF-8B86-D011-B42D-00CF4FC964FF"}),
        ("a/{g:guid}", "a/x", None),
        ("a/{f:bool}", "a/TRUE", {"f": "TRUE"}),
        ("a/{n:length(3)}", "a/abcd", None),
        ("a/{n:length(3)}", "a/abc", {"n": "abc"}),
    ],
)
def test_a_route_matches_as_in_asp_net(template: str, path: str, found: dict[str, str] | None) -> None:
    assert parse_route(template).match(path.split("/")) == found
