"""How the portal's sources are laid out."""

from __future__ import annotations

import json
import re
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "portal_static/src"
DESCRIPTION = ROOT / "function_app/http/openapi.json"
_LONGEST = 400
_ANSWER = re.compile(r"api\.(?:get|tagged|changed|post)<([^>]+)>\(")  # of a call
# At run time, at once or when it is needed: what only a type is taken from leaves no import behind.
_IMPORT = re.compile(
    r'^import (?!type )(?:[^;]*? from )?"(\.[^"]+)\.js"|(?<!typeof )import\("(\.[^"]+)\.js"\)', re.MULTILINE
)


def test_no_source_of_the_portal_is_too_long_to_be_read_in_one_go() -> None:
    long = {str(f.relative_to(SOURCES)): n for f in SOURCES.rglob("*.ts") if (n := _lines(f)) > _LONGEST}
    assert long == {}


def test_what_the_api_takes_and_answers_is_written_down_once() -> None:
    """The portal's types are made from the API's description. api.ts holds the calls, and a page that calls names the
    answer by its type, for which it has no shape of its own."""
    declared = re.findall(r"^(?:export )?(?:interface|type) (\w+)", (SOURCES / "api.ts").read_text(), re.MULTILINE)
    assert declared == ["Tagged"], "the pair of an answer and its ETag is the calls' own"
    made = set(json.loads(DESCRIPTION.read_text())["components"]["schemas"])
    named = {name for file in SOURCES.rglob("*.ts") for name in _ANSWER.findall(file.read_text())}
    assert len(named) >= 15 and named <= made, named - made


def _lines(file: Path) -> int:
    return len(file.read_text().splitlines())


def test_no_two_sources_of_the_portal_need_each_other() -> None:
    """TopologicalSorter raises CycleError, which names the circle."""
    needs = {file: _needed(file) for file in SOURCES.rglob("*.ts")}
    assert any(needs.values()), "no import was found at all"
    assert {one for found in needs.values() for one in found} <= needs.keys()
    TopologicalSorter(needs).prepare()


def _needed(file: Path) -> list[Path]:
    return [
        (file.parent / f"{name}.ts").resolve() for names in _IMPORT.findall(file.read_text()) for name in names if name
    ]
