"""A study that several models read: the worklist and the page say which model said what, and what is still to come."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from readfirst.domain.addresses import study_link
from readfirst.domain.reading.study_record import StudyRecord
from tests.portal.browser import CHROMIUM, chromium, signed_in
from tests.portal.stage import Stage, staged
from tests.portal.studies import record

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.skipif(not CHROMIUM, reason="chromium is needed")]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("stack")) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


@pytest.fixture
def page(stage: Stage, browser: Browser) -> Iterator[Page]:
    made = signed_in(browser, stage.url, "radiologist", stage.stack.password)
    yield made
    made.context.close()


@pytest.fixture
def study(stage: Stage) -> StudyRecord:
    return stage.put(record(1, "lakeside", high_risk=True), images=True, several=True)


def test_the_worklist_says_what_each_model_says_and_nothing_more_where_there_is_one(
    stage: Stage, page: Page, study: StudyRecord
) -> None:
    alone = stage.put(record(2, "lakeside", high_risk=True))
    page.reload()
    line = page.locator("tr", has_text=study.handle)
    expect(line.locator(".models li")).to_have_text(["chest-nodule flagged", "rib-fracture failed", "airways waiting"])
    expect(page.locator("tr", has_text=alone.handle)).to_have_count(1)
    expect(page.locator("tr", has_text=alone.handle).locator(".models")).to_have_count(0)


def test_the_page_says_which_model_said_what_which_gave_no_result_and_which_was_not_asked(
    stage: Stage, page: Page, study: StudyRecord
) -> None:
    page.goto(stage.url + study_link("", study.handle))
    each = page.locator(".by-model li")
    expect(each).to_have_count(3)
    expect(each.nth(0)).to_contain_text("chest-nodule 1.0.0")
    expect(each.nth(0)).to_contain_text("flagged · risk 93 %")
    expect(each.nth(0)).to_contain_text("Asked by route chest-ct.")
    expect(each.nth(1)).to_contain_text("no result: it failed")
    expect(each.nth(1)).to_contain_text("its weights are of another network")
    expect(each.nth(2)).to_contain_text("at work")
    expect(page.locator(".findings li").first).to_contain_text("chest-nodule")
    page.get_by_text("1 model not asked").click()
    expect(page.get_by_text("The model reads abdomen studies only.")).to_be_visible()


def test_what_another_model_says_comes_to_a_page_that_is_open(stage: Stage, page: Page, study: StudyRecord) -> None:
    page.goto(stage.url + study_link("", study.handle))
    expect(page.locator(".by-model li").nth(2)).to_contain_text("at work")
    last = study.models[2].model_copy(update={"outcome": "analysed", "reason": "", "risk": 0.2, "why": "No stenosis"})
    stage.put(study.model_copy(update={"models": (*study.models[:2], last), "updated": "2027-01-01T00:00:00+00:00"}))
    expect(page.locator(".by-model li").nth(2)).to_contain_text("No stenosis")
    expect(page.get_by_text("The analysis is over: its result is here.")).to_be_visible()
