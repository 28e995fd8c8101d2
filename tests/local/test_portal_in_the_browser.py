"""The portal in Chromium against the whole stack: file server, sign-in, CORS and content policy work together."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from readfirst.local.servers import PORTAL
from readfirst.local.stack import Stack
from tests.portal.browser import new_page, sign_in

pytestmark = [
    pytest.mark.stack,
    pytest.mark.browser,
    pytest.mark.skipif(not PORTAL.exists(), reason="the portal is not built: make portal"),
]


@pytest.fixture(scope="module")
def whole_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("whole")) as running:
        yield running


def sign_in_at(stack: Stack, page: Page, user: str, password: str) -> None:
    page.goto(f"{stack.environment['PORTAL_URL']}/")
    sign_in(page, user, password)


def test_a_radiologist_signs_in_sees_the_worklist_and_signs_out(whole_stack: Stack, browser: Browser) -> None:
    page = new_page(browser)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    sign_in_at(whole_stack, page, "radiologist.lakeside", whole_stack.password)
    expect(page.get_by_role("heading", name="Worklist")).to_be_visible()
    expect(page.get_by_text("Rona Diaz (radiologist), Lakeside Imaging")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign out").click()  # the provider asks again
    expect(page.get_by_role("heading", name="Local sign-in")).to_be_visible()
    assert complaints == []
    page.context.close()


def test_a_wrong_password_is_told_and_can_be_corrected(whole_stack: Stack, browser: Browser) -> None:
    page = new_page(browser)
    sign_in_at(whole_stack, page, "operator", "guess")
    expect(page.get_by_role("alert")).to_contain_text("Wrong user or password")
    page.get_by_label("User").select_option("operator")
    page.get_by_label("Password").fill(whole_stack.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Oda Peters (operator), every clinic")).to_be_visible()
    page.context.close()
