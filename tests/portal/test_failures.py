"""Operators see what went wrong and is not over, repair it on the page, and see nothing else of a study."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from readfirst.adapters import clients
from readfirst.adapters.studies import parked
from readfirst.domain import resource_names
from readfirst.domain.reading.study_record import NOT_ANALYSED
from tests.portal.browser import CHROMIUM
from tests.portal.stage import Stage
from tests.portal.studies import index, record

in_chromium = pytest.mark.skipif(not CHROMIUM, reason="chromium is needed")
WRONG = {"state": "failed", "label": NOT_ANALYSED, "reason": "out-of-memory: three executions"}


def test_failed_studies_missing_alerts_and_decisions_are_listed_and_nothing_that_is_in_order(as_) -> None:
    failed = record(801, **WRONG)
    unsent = record(802, high_risk=True)
    held = record(803, state="quarantined", label=NOT_ANALYSED, reason="several-persons: 2 persons in 14 files")
    fine = record(804, high_risk=True, alerted="2026-01-05T12:00:00+00:00")
    read = record(805, review="signed", **WRONG)
    index(failed, unsent, held, fine, read)
    answer = as_("operator").get("/failures").json()
    listed = {one["handle"]: (one["stage"], one["cause"], one["replay"]) for one in answer["studies"]}
    assert listed[failed.handle] == ("analyse", "out-of-memory", True)
    assert listed[unsent.handle] == ("alert", "alert-not-sent", False)
    assert listed[held.handle] == ("deidentify", "several-persons", False)
    assert not {fine.handle, read.handle} & set(listed)


def test_they_are_those_of_the_operator_s_clinics(as_) -> None:
    failed = record(806, clinic="south", **WRONG)
    index(failed)
    for clinics, seen in ((("north",), False), (("north", "south"), True)):
        studies = as_("operator", clinics=clinics, name=f"Oda of {len(clinics)}").get("/failures").json()["studies"]
        assert (failed.handle in {one["handle"] for one in studies}) == seen


def test_a_parked_message_is_counted_by_its_queue(as_) -> None:
    queue = clients.queue(parked.name_of(resource_names.COMMANDS))
    queue.create_queue()
    queue.send_message("nothing of ours")
    try:
        assert as_("operator").get("/failures").json()["parked"] == {"commands": 1}
    finally:
        queue.delete_queue()


@pytest.mark.parametrize("role", ["radiologist", "clinician", "privacy-officer", "clinic-user"])
def test_nobody_else_sees_the_list(as_, role: str) -> None:
    assert as_(role).get("/failures").status_code == 403


@in_chromium
@pytest.mark.browser
@pytest.mark.stack
def test_an_operator_replays_one_study_then_all_and_calls_off_another_by_its_handle(
    stage: Stage, as_user: Callable[..., Page]
) -> None:
    first, second, third = (stage.put(record(number, "lakeside", **WRONG)) for number in (811, 812, 813))
    late = stage.put(record(814, "lakeside", label=NOT_ANALYSED, state="failed", reason="late: it goes on"))
    other = stage.put(record(815, "lakeside"))
    page = as_user("operator", "/operations")

    def line(handle: str) -> Locator:
        return page.get_by_role("row").filter(has_text=handle)

    expect(line(first.handle)).to_contain_text("out-of-memory")
    expect(line(first.handle)).to_contain_text("too large for the job's memory")
    expect(line(late.handle).get_by_role("button")).to_have_count(0)
    expect(line(other.handle)).to_have_count(0)
    line(first.handle).get_by_role("button", name="Replay").click()
    expect(line(first.handle)).to_contain_text("Replay asked for")
    page.get_by_role("button", name=re.compile(r"Replay all \d")).click()
    for study in (second, third):
        expect(line(study.handle)).to_contain_text("Replay asked for")
    page.get_by_label("Any study, by its handle").fill(other.handle.lower())
    page.get_by_role("button", name="Cancel what it is doing").click()
    expect(page.get_by_role("status").filter(has_text=f"Cancellation asked for: {other.handle}")).to_be_visible()
    page.get_by_label("Any study, by its handle").fill("AAAA2222")
    page.get_by_role("button", name="Cancel what it is doing").click()
    expect(page.get_by_role("alert")).to_contain_text("There is no such study")
