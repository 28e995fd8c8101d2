"""HTTP triggers and admin routes behave as recorded of the real host."""

from __future__ import annotations

import pytest

from tests.host.harness import HostProcess
from tests.waiting import eventually


def test_an_optional_route_parameter_may_be_absent(host: HostProcess) -> None:
    assert host.ask("GET", "/api/hello").text == "Hello nobody"


def test_route_parameters_are_decoded_but_for_an_encoded_slash(host: HostProcess) -> None:
    assert host.ask("GET", "/api/hello/Bob%20O'Neil%2Fx").text == "Hello Bob O'Neil%2Fx"


@pytest.mark.parametrize("path", ["/API/Hello/Zed", "/api/hello/Zed/"])
def test_routes_match_without_case_and_with_a_trailing_slash(host: HostProcess, path: str) -> None:
    assert host.ask("GET", path).text == "Hello Zed"


@pytest.mark.parametrize("method", ["PUT", "OPTIONS", "HEAD"])
def test_a_method_that_is_not_listed_is_not_found(host: HostProcess, method: str) -> None:
    answer = host.ask(method, "/api/hello/z")
    assert (answer.status, answer.body) == (404, b"")


def test_a_route_that_nobody_has_is_not_found(host: HostProcess) -> None:
    assert (host.ask("GET", "/api/unknown").status, host.ask("GET", "/api").status) == (404, 404)


def test_a_function_sees_the_request_as_the_real_worker_gives_it(host: HostProcess) -> None:
    answer = host.ask(
        "POST",
        "/api/echo/a/b%20c?x=1&x=2&Y=%C3%A9&empty=&flag",
        '{"k":1}',
        {"Content-Type": "application/json", "X-UPPER-Case": "V"},
    )
    seen = answer.json
    assert seen["method"] == "POST"
    assert seen["url"] == f"http://127.0.0.1:{host.port}/api/echo/a/b%20c?x=1&x=2&Y=%C3%A9&empty=&flag"
    assert seen["params"] == {"x": "1,2", "Y": "é"}
    assert seen["route_params"] == {"rest": "a/b c"}
    assert seen["headers"]["x-upper-case"] == "V"
    assert seen["body"] == '{"k":1}'
    assert seen["function"] == "echo"
    assert answer.headers["X-Custom-Reply"] == "Yes"
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("said", ["127.0.0.1", "localhost", "[::1]"])
def test_a_host_header_without_a_port_means_the_port_that_was_called(host: HostProcess, said: str) -> None:
    """Some clients leave it out. What a function then says of its own address must still be found."""
    seen = host.ask("GET", "/api/echo/a", headers={"Host": said}).json
    assert seen["url"] == f"http://{said}:{host.port}/api/echo/a"


def test_an_empty_catch_all_gives_no_parameter(host: HostProcess) -> None:
    assert host.ask("GET", "/api/echo").json["route_params"] == {}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/items/42", {"id": "42", "kind": "book"}),
        ("/api/items/42/dvd", {"id": "42", "kind": "dvd"}),
        ("/api/items/abc", None),
        ("/api/items/42/dvd1", None),
    ],
)
def test_constraints_and_defaults_of_a_route_hold(
    host: HostProcess, path: str, expected: dict[str, str] | None
) -> None:
    answer = host.ask("GET", path)
    assert answer.status == (200 if expected else 404)
    assert (answer.json if expected else None) == expected


@pytest.mark.parametrize("code", [200, 301, 400, 404, 418, 500, 503])
def test_a_function_chooses_its_status_type_and_headers(host: HostProcess, code: int) -> None:
    answer = host.ask("GET", f"/api/status/{code}")
    assert (answer.status, answer.text) == (code, f"body of {code}")
    assert answer.headers["Location"] == "/api/hello"
    assert answer.headers["content-type"] == "text/x-thing; charset=utf-8"


def test_a_function_may_return_a_text(host: HostProcess) -> None:
    answer = host.ask("GET", "/api/plainstr")
    assert (answer.text, answer.headers["Content-Type"]) == ("just a string", "text/plain; charset=utf-8")


@pytest.mark.parametrize("route", ["boom", "none"])
def test_a_function_that_raises_or_returns_nothing_answers_500_without_a_body(host: HostProcess, route: str) -> None:
    answer = host.ask("GET", f"/api/{route}")
    assert (answer.status, answer.body) == (500, b"")


def test_what_an_exception_says_is_not_logged(host: HostProcess) -> None:
    host.ask("GET", "/api/boom")
    eventually(lambda: "Executed 'boom' (Failed: RuntimeError" in host.log)
    assert "Doe^Jane" not in host.log


def test_the_host_says_that_it_is_the_embedded_one(host: HostProcess) -> None:
    status = host.ask("GET", "/admin/host/status").json
    assert status["embeddedHost"] is True
    assert status["state"] == "Running"
    assert "Readfirst embedded host" in host.log
    assert "hello: [GET,POST]" in host.log
    assert "on_blob: blobTrigger" in host.log


def test_a_timer_function_can_be_run_by_hand(host: HostProcess) -> None:
    before = len(host.notes("nightly"))
    assert host.ask("POST", "/admin/functions/nightly", '{"input": ""}').status == 202
    eventually(lambda: len(host.notes("nightly")) == before + 1)


def test_a_slow_function_does_not_hold_up_others(host: HostProcess) -> None:
    host.begin("naps", "nap-beside-http", 2.0)
    assert host.ask("GET", "/api/hello").status == 200
    assert host.status("nap-beside-http")["runtimeStatus"] != "Completed"


@pytest.mark.parametrize(
    "path",
    [
        "/admin/functions/every_second",
        "//admin/functions/every_second",
        "/%61dmin/functions/every_second",
        "/ADMIN//functions/every_second",
        "//runtime/webhooks/durabletask/orchestrators/x",
        "/runtime//webhooks/%64urabletask/orchestrators/x",
        "//durabletask/instances",
    ],
)
def test_a_foreign_page_is_refused_however_it_writes_the_path(host: HostProcess, path: str) -> None:
    assert host.ask("POST", path, "{}", {"Origin": "http://elsewhere"}).status == 403


DEEP = "[" * 50_000 + "]" * 50_000


@pytest.mark.parametrize("body", [DEEP, '{"input": ' + DEEP + "}", "[" * 50_000], ids=["array", "object", "open"])
@pytest.mark.parametrize(
    ("path", "expected"), [("/api/echo", 200), ("/runtime/webhooks/durabletask/orchestrators/x", 400)]
)
def test_json_that_is_nested_too_deeply_is_no_fault(host: HostProcess, path: str, expected: int, body: str) -> None:
    answer = host.ask("POST", path, body, {"Content-Type": "application/json"})
    assert answer.status == expected


def test_an_admin_request_that_is_nested_too_deeply_is_refused(host: HostProcess) -> None:
    name = host.ask("GET", "/admin/functions").json[0]["name"]
    assert host.ask("POST", f"/admin/functions/{name}", DEEP).status in (400, 404)
