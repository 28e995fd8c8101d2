"""How a study is named and where it is in the portal: one definition for e-mail, API, command line and portal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from readfirst.domain.addresses import HANDLE, study_link, study_named
from readfirst.domain.analysis.findings import Box, Code, Finding, first_to_read
from readfirst.domain.pseudonyms import handle_of
from readfirst.domain.reading import alert_email

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "0f" * 16
NAME = handle_of(TOKEN)


def test_the_link_names_a_study_by_its_handle_and_by_nothing_else() -> None:
    """The address holds no token, no clinic and no query."""
    assert study_link("https://portal.example", "7Q0KXW2M") == "https://portal.example/studies/7Q0KXW2M"
    assert study_link("https://portal.example/", "7Q0KXW2M") == "https://portal.example/studies/7Q0KXW2M"


@pytest.mark.parametrize("letter", [alert_email.urgent, alert_email.overdue])
def test_every_letter_has_that_link_and_no_other(letter) -> None:
    """Both bodies of both letters lead to the one address of the study."""
    made = letter(NAME, "https://portal.example/")
    for body in (made.text, made.html):
        assert re.findall(r"https?://[^\s\"<]+", body) == [study_link("https://portal.example", NAME)]
        assert TOKEN not in body


@pytest.mark.parametrize("token", [f"{n:032x}" for n in range(40)])
def test_every_handle_that_is_given_out_is_one_that_an_address_may_hold(token: str) -> None:
    """The letters of handles and the pattern that looks for them are the same."""
    assert re.fullmatch(HANDLE, handle_of(token))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (NAME, {"handle": NAME}),
        (NAME.lower(), {"handle": NAME}),
        (TOKEN, {"id": TOKEN}),
        (TOKEN.upper(), {"id": TOKEN}),
        ("ABCDEFGI", {}),  # I, L, O and U are in no handle
        (NAME + "\n", {}),
        (NAME[:7], {}),
        (TOKEN + "0", {}),
        ("", {}),
    ],
)
def test_a_study_is_named_by_its_handle_in_any_case_or_by_its_token(text: str, named: dict[str, str]) -> None:
    """Whatever is neither names no study."""
    assert study_named(text) == named


def test_no_source_of_the_product_spells_a_study_page_of_its_own() -> None:
    """Links into the portal are made by the definition; the API's routes are no pages."""
    page = re.compile(r"""["'`}]/(?:study|studies)/[$\{]""")
    api = re.compile(r"""api\.\w+|const path = `/dicomweb|/api/|/series/""")
    sources = [
        *ROOT.glob("portal_static/src/**/*.ts"),
        *ROOT.glob("readfirst/**/*.py"),
        *ROOT.glob("function_app/*.py"),
    ]
    assert len(sources) > 50
    found = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for file in sources
        for line in file.read_text().splitlines()
        if "node_modules" not in file.parts and page.search(line) and not api.search(line)
    ]
    assert found == []


def _finding(key: str, category: int, probability: float, diameter_mm: float) -> Finding:
    return Finding(
        key=key, kind="nodule", concept=Code(value="427359005", scheme="SCT", meaning="Nodule"), category=category,
        probability=probability, diameter_mm=diameter_mm, volume_mm3=0.0, centre=None, site="", series_uid="2.25.1",
        sop_uid="2.25.2", slice=0, box=Box(left=0, top=0, right=1, bottom=1),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("findings", "first"),
    [
        ([], None),
        ([("1", 2, 0.9, 14.0)], "1"),
        ([("1", 2, 0.99, 5.0), ("2", 2, 0.95, 26.0)], "2"),  # the mass is why the reader was called
        ([("1", 2, 0.95, 26.0), ("2", 1, 0.6, 4.0)], "2"),  # minutes before hours
        ([("1", 2, 0.6, 0.0), ("2", 2, 0.9, 0.0)], "2"),  # of whole pictures, the likelier
        ([("1", 2, 0.9, 10.0), ("2", 2, 0.9, 10.0)], "1"),
    ],
)
def test_a_reader_sees_the_most_urgent_and_then_the_probably_largest_finding_first(findings, first) -> None:
    """The order in which the model found them decides only between equals."""
    chosen = first_to_read([_finding(*one) for one in findings])
    assert (chosen and chosen.key) == first
