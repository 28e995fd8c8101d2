"""Debian's Chromium by Playwright, as a person at the portal uses it."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.waiting import PATIENCE, eventually

MILLISECONDS = PATIENCE * 1000
expect.set_options(timeout=MILLISECONDS)  # five seconds, as it comes, are too few beside other load

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
    page = new_page(browser, **options)
    page.goto(url + path)
    sign_in(page, user, password)
    page.locator("header.bar").wait_for()
    return page


def new_page(browser: Browser, **context: object) -> Page:
    """A page of a browser that nobody has signed in with, as patient as the other tests."""
    made = browser.new_context(**context)
    made.set_default_timeout(MILLISECONDS)
    return made.new_page()


def sign_in(page: Page, user: str, password: str) -> None:
    """Fills in the issuer's form, which the page shows or is about to show."""
    page.get_by_label("User").select_option(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def picture_of(page: Page, unlike: np.ndarray | None = None) -> np.ndarray:
    """The viewer's picture, height × width × RGB, once it is drawn and changes no more; with `unlike`, a picture of
    earlier, once it differs from that."""

    def still() -> list[np.ndarray]:
        first, second = _shot(page), _shot(page)
        same = first.shape == second.shape and bool((first == second).all())
        news = unlike is None or second.shape != unlike.shape or bool((second != unlike).any())
        return [second] if same and news else []

    return eventually(still)[0]


def _shot(page: Page) -> np.ndarray:
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    shot = page.locator(".frame.main .viewport").screenshot()
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)
