"""The operations page: one person proposes what shall run, another one confirms it, and it is undone the same way."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from readfirst.domain.analysis.models import default_model
from tests.portal.browser import CHROMIUM
from tests.portal.stage import Stage

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.skipif(not CHROMIUM, reason="chromium is needed")]
MODEL = f"{default_model().name} {default_model().version}"


def propose(page: Page, change: str, why: str) -> None:
    page.locator("rf-model-changes select").select_option(label=change)
    page.get_by_label("Why it is to change").fill(why)
    page.get_by_role("button", name="Propose").click()
    expect(page.get_by_role("status").filter(has_text="Another person has to confirm it")).to_be_visible()


def line(page: Page) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=MODEL)).first


def test_two_persons_take_a_model_out_of_use_and_bring_it_back(stage: Stage, as_user: Callable[..., Page]) -> None:
    operator = as_user("operator", "/operations")
    expect(line(operator)).to_contain_text("active")
    propose(operator, f"Deactivate {MODEL}", "Misses nodules of the new scanner")
    expect(operator.get_by_role("button", name="Take back")).to_be_visible()
    expect(operator.get_by_role("button", name="Confirm")).to_have_count(0)
    radiologist = as_user("radiologist", "/operations")
    expect(line(radiologist)).not_to_contain_text("not active")
    radiologist.get_by_role("button", name="Confirm").click()
    expect(line(radiologist)).to_contain_text("not active")
    propose(radiologist, "Go back to before entry 1", "The scanner was set up anew")
    operator.reload()
    operator.get_by_role("button", name="Confirm").click()
    expect(operator.get_by_text("since entry 2 of the history")).to_be_visible()
    expect(line(operator)).not_to_contain_text("not active")
    operator.get_by_text("History", exact=True).click()
    expect(operator.get_by_role("row").filter(has_text="The scanner was set up anew")).to_contain_text("rollback to 0")
