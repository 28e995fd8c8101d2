"""The portal on the screens and with the hands that people have: sizes from a phone to a wide display, and fingers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from playwright.sync_api import CDPSession, Page, expect

from readfirst.domain.reading.study_record import StudyRecord
from tests.portal.browser import CHROMIUM, picture_of
from tests.portal.stage import Stage, furnish, incidents, staged
from tests.portal.studies import record

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.skipif(not CHROMIUM, reason="chromium is needed")]

SCREENS = [(360, 740), (768, 1024), (1024, 768), (1280, 720), (1440, 900), (2560, 1440)]
PAGES = {
    "radiologist": ["/", "/operations", "/requests", "/about"],
    "privacy-officer": ["/quarantine", "/privacy"],
    "clinic-user.lakeside": ["/uploads"],
}
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("stack")) as made:
        made.study = furnish(made)
        incidents(made, made.study)
        yield made


def _ready(page: Page) -> None:
    expect(page.locator(".progress")).to_contain_text("All images here")


def _narrower_than_the_screen(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def _seen_at_once(page: Page, selector: str) -> bool:
    """Whether it is inside the window without scrolling, all of it."""
    box, size = page.locator(selector).bounding_box(), page.viewport_size
    return bool(
        box and box["width"] and box["x"] >= 0 and box["y"] >= 0
        and box["x"] + box["width"] <= size["width"] + 1 and box["y"] + box["height"] <= size["height"] + 1
    )  # fmt: skip


@pytest.mark.parametrize(("width", "height"), SCREENS)
def test_the_image_has_nearly_half_of_the_screen_s_height_and_nothing_scrolls_sideways(
    stage: Stage, as_user: Callable[..., Page], width: int, height: int
) -> None:
    page = as_user("radiologist", f"/studies/{stage.study.id}", viewport={"width": width, "height": height})
    _ready(page)
    image = page.locator(".frame.main .viewport").bounding_box()
    assert image["height"] >= 0.45 * height
    assert image["width"] >= min(0.5 * width, 900)
    assert _seen_at_once(page, ".frame.main .viewport")
    assert _seen_at_once(page, ".synthetic")
    assert _narrower_than_the_screen(page)
    page.keyboard.press("b")
    page.locator("rf-prior .slice").wait_for()
    assert page.locator("rf-prior .viewport").bounding_box()["height"] >= 0.3 * height
    assert _narrower_than_the_screen(page)


@pytest.mark.parametrize("user", list(PAGES))
def test_no_page_scrolls_sideways_on_any_screen(stage: Stage, as_user: Callable[..., Page], user: str) -> None:
    page = as_user(user, "/about")
    for path in PAGES[user]:
        page.goto(stage.url + path)
        page.locator("h1").wait_for()
        expect(page.locator(".skeleton")).to_have_count(0)
        for width, height in SCREENS:
            page.set_viewport_size({"width": width, "height": height})
            assert _narrower_than_the_screen(page), f"{path} at {width}"
            assert _seen_at_once(page, ".synthetic"), f"{path} at {width}"


class Hand:
    """Fingers on the image, by points of the page in CSS pixels."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.session: CDPSession = page.context.new_cdp_session(page)
        box = page.locator(".frame.main .viewport").bounding_box()
        self.middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    def put(self, *offsets: tuple[float, float]) -> None:
        self._send("touchStart", offsets)

    def move(self, *offsets: tuple[float, float]) -> None:
        self._send("touchMove", offsets)

    def lift(self) -> None:
        self._send("touchEnd", ())

    def _send(self, kind: str, offsets: tuple[tuple[float, float], ...]) -> None:
        points = [{"x": self.middle[0] + x, "y": self.middle[1] + y, "id": i} for i, (x, y) in enumerate(offsets)]
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def _on_a_phone(stage: Stage, as_user: Callable[..., Page]) -> tuple[Page, Hand]:
    page = as_user("radiologist", f"/studies/{stage.study.id}", **PHONE)
    _ready(page)
    return page, Hand(page)


def _bone(picture: np.ndarray) -> np.ndarray:
    """Which pixels show what alone is white in the window of the lung."""
    return picture.min(axis=2) > 250


def _slice(page: Page) -> int:
    return int(page.locator(".frame.main .slice").inner_text().split(" / ")[0])


def test_one_finger_scrolls_through_the_slices(stage: Stage, as_user: Callable[..., Page]) -> None:
    page, hand = _on_a_phone(stage, as_user)
    there = _slice(page)
    hand.put((0, -60))
    for step in range(1, 7):
        hand.move((0, -60 + 10 * step))
    hand.lift()
    expect(page.locator(".frame.main .slice")).not_to_have_text(f"{there} / 40")
    assert there < _slice(page) < 40
    assert page.evaluate("scrollY") == 0, "the page moved instead"


def test_two_fingers_zoom_and_pan_and_leave_the_slice_as_it_is(stage: Stage, as_user: Callable[..., Page]) -> None:
    page, hand = _on_a_phone(stage, as_user)
    before, there = picture_of(page), _slice(page)
    hand.put((-20, 0), (20, 0))
    for step in range(1, 6):
        hand.move((-20 - 2 * step, 0), (20 + 2 * step, 0))
    hand.lift()
    zoomed = picture_of(page, unlike=before)
    assert _bone(zoomed).sum() > 1.3 * _bone(before).sum()
    assert _slice(page) == there
    page.get_by_role("button", name="Reset").tap()
    whole = picture_of(page, unlike=zoomed)
    hand.put((-20, 0), (20, 0))
    for step in range(1, 6):
        hand.move((-20 + 6 * step, 0), (20 + 6 * step, 0))
    hand.lift()
    moved = picture_of(page, unlike=whole)
    columns = [_bone(picture).nonzero()[1].mean() for picture in (whole, moved)]
    assert columns[1] > columns[0] + 20  # of the display's pixels, two to one of the page
    assert _slice(page) == there


def test_a_finger_that_is_held_still_sets_the_window_until_it_is_lifted(
    stage: Stage, as_user: Callable[..., Page]
) -> None:
    page, hand = _on_a_phone(stage, as_user)
    before, there = picture_of(page), _slice(page)
    hand.put((0, 0))
    page.evaluate("new Promise(done => setTimeout(done, 900))")  # a press counts after 700 ms of the page's own clock
    for step in range(1, 9):
        hand.move((4 * step, 8 * step))
    hand.lift()
    picture_of(page, unlike=before)
    assert _slice(page) == there
    hand.put((0, -60))
    for step in range(1, 9):
        hand.move((0, -60 + 10 * step))
    hand.lift()
    expect(page.locator(".frame.main .slice")).not_to_have_text(f"{there} / 40")


def test_a_study_is_read_and_signed_by_touch_alone(stage: Stage, as_user: Callable[..., Page]) -> None:
    study: StudyRecord = stage.put(record(501, "lakeside", high_risk=True), images=True, slices=30)
    page = as_user("radiologist.lakeside", f"/?handle={study.handle}", **PHONE)
    page.get_by_role("link", name=study.handle).tap()
    _ready(page)
    page.get_by_role("button", name="Accept").tap()
    expect(page.locator(".verdict")).to_have_text("Accepted")
    page.get_by_role("button", name="Sign off").tap()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("accepted")
    dialog.get_by_role("button", name="Sign", exact=True).tap()
    expect(page.locator(".panel")).to_contain_text("Signed by")
