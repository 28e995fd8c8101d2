"""Limits, settings and accidents of one host."""

from __future__ import annotations

import time

from tests.host.harness import DURABLE, HostProcess
from tests.waiting import eventually


def test_a_function_over_its_time_fails_and_the_host_goes_on(own_host: HostProcess) -> None:
    own_host.app = own_host.with_host_json({"functionTimeout": "00:00:01"})
    own_host.settings = {"PYTHON_THREADPOOL_THREAD_COUNT": "2"}
    own_host.start()
    for _ in range(3):  # more than there are threads: lost ones are replaced, and nobody waits for their end
        assert own_host.ask("GET", "/api/spins/600").status == 500
    assert own_host.ask("GET", "/api/hello").text == "Hello nobody"
    own_host.begin("naps", "too-long", 20)
    output = own_host.end_of("too-long")["output"]
    assert "Timeout value of 0:00:01 was exceeded by function: Functions.nap" in output


def test_a_function_that_exits_fails_alone(host: HostProcess) -> None:
    assert host.ask("GET", "/api/exits").status == 500
    assert host.ask("GET", "/api/hello").status == 200


def test_a_function_can_be_disabled_by_a_setting(own_host: HostProcess) -> None:
    own_host.settings = {"AzureWebJobs.often.Disabled": "true"}
    own_host.start()
    time.sleep(2)
    assert own_host.notes("often") == []
    assert "often" not in own_host.ask("GET", "/admin/host/status").json["functions"]


def test_browsers_of_an_allowed_origin_may_call_and_no_others(own_host: HostProcess) -> None:
    own_host.arguments = ("--cors", "http://127.0.0.1:4280")
    own_host.start()
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    allowed = own_host.ask("OPTIONS", "/api/hello", headers={"Origin": "http://127.0.0.1:4280", **preflight})
    assert allowed.status == 204
    assert allowed.headers["Access-Control-Allow-Origin"] == "http://127.0.0.1:4280"
    assert allowed.headers["Access-Control-Allow-Headers"] == "authorization"
    called = own_host.ask("GET", "/api/hello", headers={"Origin": "http://127.0.0.1:4280"})
    assert called.headers["Access-Control-Allow-Origin"] == "http://127.0.0.1:4280"
    stranger = own_host.ask("GET", "/api/hello", headers={"Origin": "http://elsewhere"})
    assert "Access-Control-Allow-Origin" not in stranger.headers
    assert own_host.ask("OPTIONS", "/api/hello", headers={"Origin": "http://elsewhere", **preflight}).status == 404


def test_a_strangers_page_cannot_reach_the_management_api(host: HostProcess) -> None:
    headers = {"Origin": "http://elsewhere", "Content-Type": "text/plain"}
    assert host.ask("POST", f"{DURABLE}/orchestrators/chain/from-a-page", "1", headers).status == 403
    assert host.ask("POST", "/admin/functions/nightly", "{}", headers).status == 403
    assert host.status("from-a-page") is None


def test_ignored_keys_of_host_json_are_warned_about_at_the_start(own_host: HostProcess) -> None:
    own_host.app = own_host.with_host_json({"singleton": {"lockPeriod": "00:00:15"}})
    own_host.start()
    eventually(lambda: "host.json keys that the embedded host ignores: singleton.lockPeriod" in own_host.log)
