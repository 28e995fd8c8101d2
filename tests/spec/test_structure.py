"""The structure that import-linter cannot see: sizes, circles, and what has one home."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from pydicom.datadict import keyword_for_tag, tag_for_keyword

from readfirst.domain.deid.dicom import tags
from tools import structure
from tools.structure import MOST_LINES, MOST_MODULES, Source

ROOT = Path(__file__).resolve().parents[2]
SOURCES = structure.sources()
PORTAL = sorted((ROOT / "portal_static/src").rglob("*.ts"))


def test_nothing_imports_main() -> None:
    for one in SOURCES:
        assert "main" not in {name.split(".")[0] for name in one.imports}, f"{one.name} imports main"


def test_main_registers_blueprints_and_nothing_else() -> None:
    tree = ast.parse((ROOT / "main.py").read_text())
    assert not [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))]


def test_no_test_gives_a_slow_machine_a_deadline_of_its_own() -> None:
    """They wait for a condition, as patiently as tests/waiting.py: a few seconds do until others work too."""
    found = []
    for file in (ROOT / "tests").rglob("*.py"):
        calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
        found += [f"{file.relative_to(ROOT)}:{call.lineno}" for call in calls if _hurries(call)]
    assert found == []


_WAITS = ("eventually", "wait_for", "reported", "whole")


def _hurries(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    limits = [k.value for k in call.keywords if k.arg == "timeout" or (name in _WAITS and k.arg == "patience")]
    limits += call.args[1:2] if name == "eventually" else []
    numbers = [one.value for one in limits if isinstance(one, ast.Constant)]
    return name == "wait_for_timeout" or any(isinstance(n, (int, float)) and 0 < n < 60 for n in numbers)


def test_whoever_expects_something_of_a_page_is_patient() -> None:
    """Playwright's own five seconds are replaced where our browser comes from."""
    for file in (ROOT / "tests").rglob("*.py"):
        text = file.read_text()
        if "from playwright.sync_api import" in text and "expect" in text:
            assert "tests.portal.browser" in text or "expect.set_options" in text, file.relative_to(ROOT)


def test_imports_go_down_or_stay_on_their_floor() -> None:
    assert structure.climbing(structure.arrows(SOURCES)) == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert structure.circles(SOURCES) == []


def test_a_circle_and_an_arrow_that_runs_up_would_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks above look at a tree that has neither: here is one that has both."""
    for name, text in {
        "readfirst/domain/one.py": "from readfirst.domain import two\n",
        "readfirst/domain/two.py": "def f():\n    from readfirst.domain.one import x\n",
        "readfirst/adapters/here.py": "import orchestrations.study\n",
        "orchestrations/study.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(structure, "ROOT", tmp_path)
    found = [Source(path) for path in sorted(tmp_path.rglob("*.py"))]
    assert structure.circles(found) == [["readfirst.domain.one", "readfirst.domain.two"]]
    assert structure.climbing(structure.arrows(found)) == [("readfirst.adapters", "orchestrations")]


def test_no_package_has_more_modules_than_a_reader_can_hold() -> None:
    assert {room: n for room, n in structure.sizes(SOURCES).items() if n > MOST_MODULES} == {}


def test_no_source_of_the_product_is_longer_than_a_reader_likes() -> None:
    long = {one.name: one.lines for one in SOURCES if one.lines > MOST_LINES}
    long |= {file.name: n for file in PORTAL if (n := file.read_text().count("\n")) > MOST_LINES}
    assert long == {}


def test_the_attributes_of_de_identification_are_named_as_the_standard_names_them() -> None:
    named = {name: value for name, value in vars(tags).items() if isinstance(value, int)}
    apart = {  # not in pydicom's dictionary by their keywords: PS3.5 7.5, and the first of a group that repeats
        "Item": 0xFFFEE000,
        "ItemDelimitationItem": 0xFFFEE00D,
        "SequenceDelimitationItem": 0xFFFEE0DD,
        "OverlayData": 0x60003000,
    }
    assert {name: tag_for_keyword(name) or apart[name] for name in named} == named


def test_no_source_of_de_identification_has_an_attribute_s_number_where_its_name_could_be() -> None:
    for file in (ROOT / "readfirst/domain/deid").rglob("*.py"):
        if file.name == "tags.py":
            continue
        numbers = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant)]
        for number in numbers:
            if isinstance(number.value, int) and number.value > 0xFFFF:
                assert not keyword_for_tag(number.value), (
                    f"{file.name}:{number.lineno}: {keyword_for_tag(number.value)}"
                )


def test_every_module_of_the_domain_is_imported_by_a_specification() -> None:
    """What no test of `tests/spec` imports, by itself or by way of another module, has no specification."""
    direct = {one.name: set(one.imports) for one in SOURCES}
    texts = [file.read_text() for file in (ROOT / "tests/spec").rglob("*.py")]
    todo = {name for text in texts for name in re.findall(r"readfirst\.domain[\w.]*", text)}
    todo |= {f"{a}.{b.strip()}" for text in texts for a, names in re.findall(r"from (readfirst\.domain[\w.]*) import ([\w, ]+)", text) for b in names.split(",")}  # fmt: skip # noqa: E501
    reached: set[str] = set()
    while todo:
        name = todo.pop()
        reached.add(name)
        todo |= {to for to in direct.get(name, ()) if to not in reached}
        todo |= {head for head in (name.rpartition(".")[0],) if head in direct and head not in reached}
    domain = {one.name for one in SOURCES if one.name.startswith("readfirst.domain") and one.path.stem != "__init__"}
    assert domain - reached == set()


def test_the_index_of_decisions_lists_every_decision_without_a_gap() -> None:
    files = sorted((ROOT / "docs/adr").glob("0*.md"))
    assert [int(file.name[:4]) for file in files] == list(range(1, len(files) + 1))
    index = (ROOT / "docs/adr/README.md").read_text()
    titles = dict(re.findall(r"\| \[\d+\]\(([\w.-]+)\) \| (.+) \|", index))
    assert titles == {file.name: file.read_text().splitlines()[0].split(". ", 1)[1] for file in files}
