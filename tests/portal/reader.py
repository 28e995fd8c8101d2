"""Somebody who opens a study in Chromium and measures on the screen, as a reader does it and sees it."""

from __future__ import annotations

import io
import math
import re
import time

import numpy as np
import requests
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from readfirst.domain.reading.study_record import StudyRecord
from tests.portal.browser import signed_in
from tests.portal.plates import BLOCK, Plate, Point
from tests.portal.stage import Stage
from tests.waiting import PATIENCE

TEXT = 36  # CSS pixels at the top and at the bottom of the viewport where words lie over the picture
WINDOW = {"width": 1120, "height": 500}
# A card that is only imitated is left aside for the processor; here the imitation goes by another name.
CARD = """
const real = WebGL2RenderingContext.prototype.getParameter;
WebGL2RenderingContext.prototype.getParameter = function (what) {
  return what === 0x9246 ? "a graphics card" : real.call(this, what);
};
"""
COUNT = """
const draw = WebGL2RenderingContext.prototype.drawArrays;
window.drawnByCard = 0;
WebGL2RenderingContext.prototype.drawArrays = function (...what) {
  window.drawnByCard++;
  return draw.apply(this, what);
};
"""


class Reader:
    """Somebody who looks at the screen and holds the mouse."""

    def __init__(self, stage: Stage, page: Page, study: StudyRecord) -> None:
        self.stage, self.page, self.study = stage, page, study
        self.viewport: Locator = page.locator(".frame.main .viewport")

    def move_to_display(self, ratio: float, **window: int) -> None:
        """The window comes to a display with another ratio of its pixels to CSS pixels."""
        size = {**WINDOW, **window}
        metrics = {**size, "deviceScaleFactor": ratio, "mobile": False}
        self.page.context.new_cdp_session(self.page).send("Emulation.setDeviceMetricsOverride", metrics)
        there, until = [ratio, size["width"]], time.monotonic() + 60
        while self.page.evaluate("[devicePixelRatio, innerWidth]") != there:
            assert time.monotonic() < until, "the window does not get there"

    def open_series(self, plate: Plate) -> None:
        self.page.locator(".thumbs button", has_text=f"CT {plate.number}").click()
        expect(self.page.locator(".progress")).to_contain_text("All images here")

    def show_mask(self) -> None:
        """Goes to the slice with the finding's pixels alone, and hides them. On its own slice a box surrounds them."""
        expect(self.page.locator(".frame.main .slice")).to_have_text("2 / 2")
        self.page.keyboard.press("k")
        expect(self.page.locator(".frame.main .slice")).to_have_text("1 / 2")
        overlay = self.page.get_by_role("button", name="AI overlay")
        if overlay.get_attribute("aria-pressed") == "true":
            overlay.click()

    def look(self) -> tuple[np.ndarray, float, Point]:
        """The viewport as it is once nothing moves any more, how many of its pixels are a CSS pixel, and where on the
        page it begins."""
        before = b""
        for _ in range(100):
            box = self.viewport.bounding_box()
            x, y = math.ceil(box["x"]), math.ceil(box["y"])
            width, height = math.floor(box["x"] + box["width"]) - x, math.floor(box["y"] + box["height"]) - y
            shown = self.page.screenshot(clip={"x": x, "y": y, "width": width, "height": height})
            if shown == before:
                pixels = np.asarray(Image.open(io.BytesIO(shown)).convert("RGB")).astype(int)
                return pixels, pixels.shape[1] / width, (x, y)
            before = shown
        raise AssertionError("the picture does not come to rest")

    def marks(self) -> tuple[Point, Point]:
        """Where the two marks are seen, in CSS pixels of the page (x, y)."""
        for _ in range(50):
            pixels, ratio, (x, y) = self.look()
            edge = round(TEXT * ratio)
            rows, columns = np.nonzero(pixels[edge:-edge].min(axis=2) > 225)
            left = columns < columns.mean() if len(columns) else columns
            if 0 < left.sum() < len(left):
                break
        sides = [(columns[side].mean(), rows[side].mean() + edge) for side in (left, ~left)]
        return tuple((x + (column + 0.5) / ratio, y + (row + 0.5) / ratio) for column, row in sides)

    def drag(self, tool: str, start: Point, end: Point) -> None:
        """With a tool from here to there. The viewer waits 400 ms whether a press becomes a double click, and begins
        where the mouse is then: a later timer of the same page ends later."""
        self.page.keyboard.press(tool)
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.wait(450)
        self.page.mouse.move(*end, steps=5)
        self.page.mouse.up()

    def wait(self, milliseconds: int) -> None:
        """As the page's own clock counts, however slow the machine is."""
        self.page.evaluate("time => new Promise(done => setTimeout(done, time))", milliseconds)

    def measure(self, tool: str, start: Point, end: Point) -> tuple[float, dict]:
        """What the screen says that was measured, and what the review keeps of it."""
        self.drag(tool, start, end)
        label = self.viewport.locator("svg text")
        expect(label).to_have_text(re.compile(r"\d mm"))
        self.wait(200)  # the figure follows the hand ten times a second
        said = float(re.search(r"([\d.]+) mm", label.text_content())[1])
        self.save()
        expect(self.page.locator(".notice.good")).to_contain_text("Measurements saved")
        expect(label).to_have_count(0)
        return said, self.kept()[-1]

    def save(self) -> None:
        self.page.get_by_role("button", name="Save measurements").click()

    def kept(self) -> list[dict]:
        access = self.page.evaluate("JSON.parse(sessionStorage['readfirst.session']).access")
        headers = {"Authorization": f"Bearer {access}"}
        answer = requests.get(f"{self.stage.api}/studies/{self.study.id}", headers=headers, timeout=PATIENCE)
        return answer.json()["review"]["measurements"]


def open_study(stage: Stage, browser: Browser, study: StudyRecord, way: str, ratio: float) -> Reader:
    """The study on a display of that ratio, drawn by the processor or by the card."""
    page = signed_in(
        browser, stage.url, "radiologist", stage.stack.password, viewport=WINDOW, device_scale_factor=ratio
    )
    for script in (COUNT, *([CARD] if way == "card" else [])):
        page.add_init_script(script)
    page.goto(f"{stage.url}/studies/{study.id}")
    expect(page.locator(".progress")).to_contain_text("All images here")
    made = Reader(stage, page, study)
    # The letters at the sides would count as grey of the picture; test_turning.py reads them.
    page.evaluate("document.querySelectorAll('.side').forEach((letter) => (letter.hidden = true))")
    made.look()
    page.evaluate("window.drawnByCard = 0")  # the card was tried for what it can do
    for key in "kj":
        page.keyboard.press(key)
        made.look()
    assert (page.evaluate("window.drawnByCard") > 0) == (way == "card"), "the picture is drawn the other way"
    return made


def _outline(found: np.ndarray) -> np.ndarray:
    """Top, left, bottom, right of the rectangle that is true, whatever little is true elsewhere."""
    lines = [found.sum(axis=axis) for axis in (1, 0)]
    inside = [np.flatnonzero(line > line.max() / 2) for line in lines]
    return np.array([where[0] for where in inside] + [where[-1] + 1 for where in inside])


def overlay_lies_on_the_lesion(reader: Reader) -> None:
    """The overlay's outline is the grey block's, to less than a pixel of the image."""
    plain, ratio, _ = reader.look()
    reader.page.keyboard.press("h")
    with_overlay = reader.look()[0]
    reader.page.keyboard.press("h")
    inner = np.s_[round(TEXT * ratio) : -round(TEXT * ratio)]
    changed = np.abs(with_overlay - plain)[inner].sum(axis=2)
    block = _outline(np.abs(plain[inner].mean(axis=2) - 144) < 72)
    overlay = _outline(changed > changed.max() / 2)
    pixel = np.tile((block[2:] - block[:2]) / [s.stop - s.start for s in BLOCK], 2)  # of the image, on the screen
    # Half a pixel of the image, or one of the screen where that is larger.
    assert (np.abs(overlay - block) <= np.maximum(pixel / 2, 1)).all(), f"{overlay} on {block}, pixels of {pixel}"
