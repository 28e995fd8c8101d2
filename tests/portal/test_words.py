"""What the portal says to people, in Chromium against the whole stack: amounts, dates, names, what is offered."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from azure.storage.blob import BlobServiceClient
from playwright.sync_api import Page, expect

from readfirst.domain import resource_names
from readfirst.domain.reading.study_record import NOT_ANALYSED, Series
from tests.portal.browser import CHROMIUM
from tests.portal.stage import Stage
from tests.portal.studies import record
from tests.waiting import eventually

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.skipif(not CHROMIUM, reason="chromium is needed")]
RAW = re.compile(r"\d{4}-\d\d-\d\d|\d\dT\d\d|\b\d{8}\b")  # a date as machines write it


def _uploads(stage: Stage) -> BlobServiceClient:
    return BlobServiceClient.from_connection_string(stage.stack.environment["UPLOADS"])


def test_a_clinic_sees_each_study_once_by_its_own_accession_number(stage: Stage, as_user: Callable[..., Page]) -> None:
    study = record(701, "lakeside", high_risk=True)
    told = _uploads(stage).get_container_client(resource_names.results("lakeside"))
    own = {"handle": study.handle, "studyInstanceUid": "1.2.3.4", "accessionNumber": "ACC-9"}
    at = "2026-03-01T12:00:00+00:00"
    status = {**own, "at": at, "state": "reported", "label": study.label, "images": 1}
    result = {**own, "at": at, "findings": [], "review": {"state": "signed", "signed": at, "findingsAddedByReader": 0}}
    told.upload_blob(f"studies/{study.handle}/status.json", json.dumps(status))
    told.upload_blob(f"studies/{study.handle}/result.json", json.dumps(result))
    page = as_user("clinic-user.lakeside", "/uploads")
    lines = page.get_by_role("row").filter(has_text=study.handle)
    expect(lines).to_have_count(1)
    expect(lines).to_contain_text("accession ACC-9")
    expect(lines).to_contain_text(re.compile(r"1 image;.*signed"))
    expect(page.locator("main")).not_to_contain_text("undefined")


def test_a_study_without_an_ai_result_is_not_offered_to_be_signed_as_one(
    stage: Stage, as_user: Callable[..., Page]
) -> None:
    one = (Series(series_uid="2.25.11", modality="US", number=1, instances=1, analysed=False),)
    study = stage.put(
        record(702, "lakeside", label=NOT_ANALYSED, reason="out-of-scope: no model", modality="US", instances=1,
               series=one, provenance=None)
    )  # fmt: skip
    page = as_user("radiologist.lakeside", f"/?modality=US&handle={study.handle}")
    assert "US" in page.get_by_label("Modality").locator("option").all_text_contents()
    line = page.get_by_role("row", name=study.handle)
    expect(line).to_contain_text(re.compile(r"1 image\b(?!s)"))
    line.get_by_role("link").click()
    expect(page.get_by_role("button", name="Sign off without an AI result")).to_be_visible()
    expect(page.locator("body")).not_to_contain_text("Sign off the AI result")


def test_a_modality_that_is_rare_can_be_filtered_once_it_is_listed(stage: Stage, as_user: Callable[..., Page]) -> None:
    stage.put(record(703, "lakeside", modality="OPT"))
    page = as_user("radiologist.lakeside")
    expect(page.get_by_label("Modality").locator("option", has_text="OPT")).to_have_count(1)


def test_what_is_signed_is_not_listed_as_past_its_maximum_wait(stage: Stage, as_user: Callable[..., Page]) -> None:
    study = stage.put(record(704, "lakeside", review="signed", due="2020-01-01T00:00:00+00:00"))
    page = as_user("radiologist.lakeside", f"/?review=signed&handle={study.handle}")
    expect(page.get_by_role("row", name=study.handle)).to_have_class("b2")


def test_files_of_no_study_are_counted_among_the_refused_and_clutter_is_in_no_list(
    stage: Stage, as_user: Callable[..., Page]
) -> None:
    kept = _uploads(stage).get_container_client(resource_names.QUARANTINE)
    for n, (reason, data) in enumerate(
        [("not-dicom", b"x"), ("not-dicom", b"x"), ("empty-file", b""), ("skipped", b"x")]
    ):
        kept.upload_blob(f"lakeside/{n:032x}", data, metadata={"reason": reason})
    page = as_user("operator", "/operations")
    refused = page.locator("section.card").filter(has_text="Files refused")
    expect(refused).to_contain_text(re.compile("not-dicom.*2", re.DOTALL))
    expect(refused).to_contain_text(re.compile("empty-file.*1", re.DOTALL))
    expect(refused).not_to_contain_text("skipped")
    page = as_user("privacy-officer.lakeside", "/quarantine")
    expect(page.get_by_role("button", name="not-dicom")).to_have_count(2)
    expect(page.locator("main")).not_to_contain_text("skipped")
    page.get_by_role("button", name="empty-file").click()
    expect(page.get_by_role("button", name="Reject")).to_be_visible()
    expect(page.get_by_role("button", name="Release")).to_have_count(0)


def test_the_audit_log_shows_people_studies_and_dates_as_people_write_them(
    stage: Stage, as_user: Callable[..., Page]
) -> None:
    study = stage.put(record(705, "lakeside"))
    reader = as_user("radiologist.lakeside", f"/studies/{study.handle}")
    reader.get_by_role("button", name="Break glass").click()
    reader.get_by_label(re.compile("Reason")).fill("The ward does not answer and it is urgent")
    reader.get_by_role("button", name="Show the identity").click()
    expect(reader.get_by_role("alert").first).to_be_visible()  # the vault is empty: the use counts all the same
    page = as_user("privacy-officer.lakeside", "/privacy")
    line = page.get_by_role("row").filter(has_text="break glass").first
    expect(line).to_contain_text(study.handle)
    expect(line).to_contain_text("radiologist")
    table = page.locator("section").filter(has_text="Audit log").last
    assert not RAW.search(table.inner_text())


def test_the_report_s_text_can_be_copied_by_finding_and_by_study(stage: Stage, as_user: Callable[..., Page]) -> None:
    study = stage.put(record(706, "lakeside", high_risk=True), images=True, slices=4)
    page = as_user("radiologist.lakeside", f"/studies/{study.handle}")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator(".findings").get_by_role("button", name="Copy text").click()
    expect(page.get_by_role("status").filter(has_text="Copied.")).to_be_visible()
    finding = page.evaluate("navigator.clipboard.readText()")
    assert re.match(
        r"Solitary nodule of lung, left lung, 14\.2 mm, slice \d+; AI 93 %; communicate within hours\.", finding
    )
    page.get_by_role("button", name="Accept").click()
    expect(page.locator(".panel .verdict")).to_contain_text("Accepted")
    page.locator(".actions").get_by_role("button", name="Copy text").click()
    expect(page.get_by_role("status").filter(has_text="Copied.")).to_be_visible()
    text = page.evaluate("navigator.clipboard.readText()")
    assert text.startswith(
        f"Study {study.handle}: CT Chest, 4 images\nAI result: flagged (chest-nodule 1.0.0: SYNTHETIC"
    )
    assert "Accepted by the reader." in text and "not for primary diagnosis" in text


def test_where_there_is_no_clipboard_the_text_is_shown_to_be_copied(stage: Stage, as_user: Callable[..., Page]) -> None:
    study = stage.put(record(707, "lakeside", high_risk=True))
    page = as_user("radiologist.lakeside", f"/studies/{study.handle}")
    page.evaluate("void (navigator.clipboard.writeText = () => Promise.reject(new Error('none')))")
    page.locator(".actions").get_by_role("button", name="Copy text").click()
    text = page.get_by_role("dialog").get_by_role("textbox")
    expect(text).to_have_value(re.compile(f"Study {study.handle}"))
    assert page.evaluate("getSelection().toString()") or text.evaluate("t => t.selectionEnd - t.selectionStart") > 0


def test_the_tab_says_how_many_studies_are_unread_and_the_list_what_it_is_for(
    stage: Stage, as_user: Callable[..., Page]
) -> None:
    study = stage.put(record(708, "lakeside"))
    page = as_user("radiologist.lakeside", f"/?handle={study.handle}")
    expect(page).to_have_title("(1) Worklist: Readfirst")
    expect(page.locator(".intended")).to_contain_text("not for primary diagnosis")
    stage.put(study.model_copy(update={"review": "in progress"}))
    page.keyboard.press("r")
    expect(page).to_have_title("Worklist: Readfirst")


NOTIFICATIONS = """
window.shown = [];
window.Notification = class {
  static permission = "default";
  static async requestPermission() { return (this.permission = "granted"); }
  constructor(title, options) { window.shown.push([title, options.body]); }
};
Object.defineProperty(document, "visibilityState", { get: () => (window.away ? "hidden" : "visible") });
"""


def test_a_reader_in_another_window_is_called_for_a_new_high_risk_study_once_they_wanted_that(
    stage: Stage, as_user: Callable[..., Page]
) -> None:
    page = as_user("radiologist.lakeside")
    page.add_init_script(NOTIFICATIONS)
    page.goto(f"{stage.url}/?modality=XC")
    expect(page.get_by_text("No study")).to_be_visible()
    page.get_by_role("button", name="Notify me").click()
    expect(page.get_by_role("button", name="Notify me")).to_have_count(0)
    page.evaluate("window.away = true")
    study = stage.put(record(709, "lakeside", high_risk=True, modality="XC"))
    stage.put(record(710, "lakeside", modality="XC"))
    assert eventually(lambda: page.evaluate("window.shown")) == [
        [f"New high-risk study {study.handle}", "Open the worklist to read it."]
    ]
    expect(page.locator(".news")).to_contain_text(study.handle)
