"""The documents: generated pages are what the code says, and the rendered site holds every page once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from readfirst.adapters.settings import Settings
from readfirst.domain.decoding import DECODED, NATIVE
from tools import conformance_page, docs_hooks, settings_page

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
NAV = re.findall(r"[\w./-]+\.md", (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2])
PAGES = [path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")]
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def test_the_navigation_names_every_page_once_and_none_that_is_not_there() -> None:
    assert sorted(NAV) == sorted([*PAGES, *docs_hooks.TOP])
    assert all((ROOT / name).exists() for name in docs_hooks.TOP)


@pytest.mark.parametrize("name", NAV)
def test_every_link_of_a_page_leads_to_a_file_of_the_repository(name: str) -> None:
    """`make docs` would fail too; this is quick and needs no mkdocs."""
    text = ((ROOT if name in docs_hooks.TOP else DOCS) / name).read_text()
    code_left_out = re.sub(r"`[^`\n]*`|^ {4,}.*$", "", text, flags=re.MULTILINE)
    for target in _LINK.findall(code_left_out):
        if not re.match(r"[a-z]+:|#", target) and target != "docs/adr":
            docs_hooks.page_of(name, target.partition("#")[0])


@pytest.mark.parametrize(
    ("source", "target", "page"),
    [
        ("README.md", "docs/architecture.md", "architecture.md"),
        ("README.md", "docs/model-card", "model-card/README.md"),
        ("README.md", "orchestrations/study.py", None),
        ("operator/upgrade.md", "../access.md", "access.md"),
        ("tutorials/first-change.md", "../../DEVELOPERS.md", "DEVELOPERS.md"),
        ("model-card/README.md", "../../model_container/training/worlds.py", None),
        ("README.md", "docs/overlay.png", "overlay.png"),
    ],
)
def test_a_link_leads_to_a_page_or_to_the_sources(source: str, target: str, page: str | None) -> None:
    assert docs_hooks.page_of(source, target) == page


def test_a_link_into_the_sources_becomes_its_words_and_one_that_leads_nowhere_is_an_error() -> None:
    class Page:
        class file:
            src_uri = "operator/upgrade.md"

    text = "[who](../access.md#x) in [`Run`](../../orchestrations/study.py), [out](https://example.org)"
    assert docs_hooks.on_page_markdown(text, Page) == "[who](../access.md#x) in `Run`, [out](https://example.org)"
    with pytest.raises(FileNotFoundError, match="nowhere"):
        docs_hooks.on_page_markdown("[x](nowhere.md)", Page)


def test_the_settings_page_is_made_from_the_settings_and_each_says_what_it_is_for() -> None:
    assert settings_page.PAGE.read_text() == settings_page.page()
    for name, field in Settings.model_fields.items():
        assert field.description and field.description.endswith("."), name


def test_the_conformance_statement_is_made_from_the_tables_of_the_code() -> None:
    text = conformance_page.PAGE.read_text()
    assert text == conformance_page.page()
    assert all(f"| {uid} |" in text for uid in NATIVE | DECODED)


@pytest.mark.parametrize("name", ["reference/compatibility.md", "tutorials/first-change.md"])
def test_the_files_that_a_page_names_are_there(name: str) -> None:
    named = re.findall(r"`((?:readfirst|tests|orchestrations|function_app)/[\w/.-]+)`", (DOCS / name).read_text())
    assert named and [path for path in named if not (ROOT / path).exists()] == []


def test_what_the_tutorial_changes_is_in_the_sources_as_it_says() -> None:
    text = (DOCS / "tutorials/first-change.md").read_text()
    assert "REVIEW_WITHIN = timedelta(days=3)" in text
    assert (
        "\nREVIEW_WITHIN = timedelta(days=3)\n" in (ROOT / "readfirst/domain/access/identity_requests.py").read_text()
    )
    (test,) = re.findall(r"rename `(test_\w+)`", text)
    assert f"def {test}()" in (ROOT / "tests/spec/test_identity_requests.py").read_text()


@pytest.mark.parametrize("name", ["invariants.md", "ai-act.md"])
def test_a_page_of_promises_names_modules_and_tests_that_exist(name: str) -> None:
    """A promise whose test was renamed or lost would go on standing in the document."""
    text = (DOCS / name).read_text()
    modules = set(re.findall(r"`([\w/]+\.(?:py|bicep))`", text))
    assert len(modules) > 8 and {name for name in modules if not (ROOT / name).is_file()} == set()
    defined: set[str] = set()
    for file in (ROOT / "tests").rglob("test_*.py"):
        defined |= set(re.findall(r"^(?:async )?def (test_\w+)", file.read_text(), re.MULTILINE))
    assert set(re.findall(r"`(test_\w+)`", text)) - defined == set()
