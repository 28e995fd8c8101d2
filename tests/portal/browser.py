"""Debian's Chromium by Playwright, as a person at the portal uses it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium")
_OPTIONS = [
    "--no-sandbox", "--disable-gpu", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
]  # fmt: skip


@contextmanager
def chromium() -> Iterator[Browser]:
    """One browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_OPTIONS)
        yield browser
        browser.close()


def signed_in(browser: Browser, url: str, user: str, password: str, *, path: str = "/", **context: object) -> Page:
    """A page of somebody who signed in at the issuer, on that path of the portal."""
    options = {"viewport": {"width": 1440, "height": 900}, "ignore_https_errors": True, **context}
    page = browser.new_context(**options).new_page()
    page.goto(url + path)
    page.get_by_label("User").select_option(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.locator("header.bar").wait_for()
    return page
