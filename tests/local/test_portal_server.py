"""The portal's file server follows staticwebapp.config.json."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from readfirst.local.portal import matches
from readfirst.local.ports import HOST, choose
from tests.waiting import PATIENCE, eventually

RULES = {
    "navigationFallback": {"rewrite": "/index.html", "exclude": ["/assets/*", "/*.{json,svg}"]},
    "routes": [
        {"route": "/assets/*", "headers": {"Cache-Control": "immutable", "X-Frame-Options": ""}},
        {"route": "/old", "redirect": "/new", "statusCode": 301},
    ],
    "responseOverrides": {"404": {"rewrite": "/404.html", "statusCode": 404}},
    "globalHeaders": {
        "Content-Security-Policy": "default-src 'none'; connect-src 'self' https://*.azurewebsites.net",
        "X-Frame-Options": "DENY",
    },
    "mimeTypes": {".wasm": "application/wasm"},
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("dist")
    files = {"index.html": "the app", "404.html": "nothing here", "assets/code.js": "code", "assets/m.wasm": "wasm"}
    (folder / "assets").mkdir()
    for name, text in {**files, "staticwebapp.config.json": json.dumps(RULES)}.items():
        (folder / name).write_text(text)
    (folder.parent / "outside.txt").write_text("not to be served")
    port = choose("auto", ()).portal
    with serve(folder, port) as server:
        eventually(lambda: answers(port))
        yield f"http://{HOST}:{port}"
        server.terminate()


def serve(folder: Path, port: int) -> subprocess.Popen[bytes]:
    configuration = json.dumps({"page": {"clientId": "me"}, "connect": ["http://127.0.0.1:7071"]})
    command = [sys.executable, "-m", "readfirst.local.portal", str(folder), str(port), configuration]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


def answers(port: int) -> bool:
    try:
        return requests.get(f"http://{HOST}:{port}/", timeout=PATIENCE).ok
    except requests.ConnectionError:
        return False


def get(site: str, path: str) -> requests.Response:
    return requests.get(site + path, timeout=PATIENCE, allow_redirects=False)


def test_a_deep_link_shows_the_app(site: str) -> None:
    answer = get(site, "/studies/abc?tab=images")
    assert (answer.status_code, answer.text) == (200, "the app")


def test_an_asset_has_its_route_headers_and_a_missing_one_is_no_page(site: str) -> None:
    asset = get(site, "/assets/code.js")
    assert (asset.text, asset.headers["Cache-Control"]) == ("code", "immutable")
    assert "X-Frame-Options" not in asset.headers, "an empty value takes the header away"
    missing = get(site, "/assets/gone.js")
    assert (missing.status_code, missing.text) == (404, "nothing here")


def test_files_have_the_types_that_the_rules_name(site: str) -> None:
    assert get(site, "/assets/m.wasm").headers["Content-Type"] == "application/wasm"
    assert get(site, "/assets/code.js").headers["Content-Type"].endswith("/javascript")


def test_the_page_may_call_the_local_servers_too(site: str) -> None:
    answer = get(site, "/")
    policy = answer.headers["Content-Security-Policy"]
    assert policy == "default-src 'none'; connect-src http://127.0.0.1:7071 'self' https://*.azurewebsites.net"
    assert answer.headers["X-Frame-Options"] == "DENY"


def test_the_page_gets_the_stacks_configuration(site: str) -> None:
    assert get(site, "/config.json").json() == {"clientId": "me"}


def test_a_redirect_has_its_status(site: str) -> None:
    answer = get(site, "/old")
    assert (answer.status_code, answer.headers["Location"]) == (301, "/new")


@pytest.mark.parametrize("path", ["/../outside.txt", "/%2e%2e/outside.txt", "/assets/..%2f..%2foutside.txt"])
def test_nothing_outside_the_folder_is_served(site: str, path: str) -> None:
    request = requests.Request("GET", site).prepare()
    request.url = site + path
    with requests.Session() as session:
        assert "not to be served" not in session.send(request, timeout=PATIENCE).text


def test_the_rules_themselves_are_not_served(site: str) -> None:
    assert get(site, "/staticwebapp.config.json").status_code == 404


def test_rules_that_this_server_does_not_know_are_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "staticwebapp.config.json").write_text(json.dumps({"networking": {"allowedIpRanges": []}}))
    with serve(tmp_path, choose("auto", ()).portal) as server:
        _, said = server.communicate(timeout=PATIENCE)
    assert server.returncode == 1
    assert b"networking" in said


@pytest.mark.parametrize(
    ("pattern", "path", "covered"),
    [
        ("/assets/*", "/assets/a/b.js", True),
        ("/assets/*", "/assetsb", False),
        ("/*.{json,svg}", "/a/b.svg", True),
        ("/*.{json,svg}", "/a/b.js", False),
        ("/config.json", "/configXjson", False),
    ],
)
def test_patterns_cover_what_the_documentation_says(pattern: str, path: str, covered: bool) -> None:
    assert matches(pattern, path) is covered
