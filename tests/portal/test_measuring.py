"""What is measured on the screen is what lies in the patient, on any display and whoever draws the picture.

The pictures carry two bright marks and a grey block at pixels that the tests know. Where they lie on the screen is
seen in a screenshot, as a reader sees it; nothing is taken from the viewer's own arithmetic.
"""

from __future__ import annotations

import io
import math
import re
import time
from collections.abc import Iterator

import numpy as np
import pytest
import requests
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect
from pydicom import Dataset

from readfirst.domain.reading.study_record import StudyRecord
from tests.portal.browser import CHROMIUM, chromium, signed_in
from tests.portal.plates import BLOCK, MARKS, PLATES, SEGMENTED, Plate, Point, marked_study
from tests.portal.stage import SIDE, Stage, staged
from tests.waiting import PATIENCE

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.skipif(not CHROMIUM, reason="chromium is needed")]

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


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("stack")) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def study(stage: Stage) -> StudyRecord:
    return marked_study(stage, 301, PLATES)


def _open(stage: Stage, browser: Browser, study: StudyRecord, way: str, ratio: float) -> Reader:
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


WAYS = ("processor", "card")
RATIOS = (1, 1.25, 1.5, 2, 3)


@pytest.fixture(
    scope="module", params=[(way, ratio) for way in WAYS for ratio in RATIOS], ids=lambda p: f"{p[0]}-{p[1]}"
)
def reader(request: pytest.FixtureRequest, stage: Stage, browser: Browser, study: StudyRecord) -> Iterator[Reader]:
    """Who opened the study on a display of that ratio, drawn that way."""
    made = _open(stage, browser, study, *request.param)
    yield made
    made.page.context.close()


@pytest.fixture(scope="module", params=WAYS)
def traveller(request: pytest.FixtureRequest, stage: Stage, browser: Browser, study: StudyRecord) -> Iterator[Reader]:
    """Who opened the study on a display of ratio 1 and goes to others."""
    made = _open(stage, browser, study, request.param, 1)
    yield made
    made.page.context.close()


def _between(seen: tuple[Point, Point], plate: Plate, start: Point, end: Point) -> Point:
    """How far it is from here to there on the screen, across and down, in mm, by the marks that are seen."""
    return tuple(
        abs(end[i] - start[i]) * side / abs(seen[1][i] - seen[0][i])
        for i, side in zip((0, 1), plate.sides(), strict=True)
    )


def _measures(reader: Reader, plate: Plate) -> None:
    """A length between the marks is what it is: on the screen and in the review."""
    seen = reader.marks()
    start, end = ((round(x), round(y)) for x, y in seen)  # a mouse is on a pixel
    said, kept = reader.measure("l", start, end)
    length = math.hypot(*_between(seen, plate, start, end))
    assert length == pytest.approx(math.hypot(*plate.sides()), rel=0.02)
    assert said == pytest.approx(length, rel=0.01)
    assert (kept["value"], kept["unit"]) == (pytest.approx(length, rel=0.01), "mm")


def test_a_length_is_right_on_every_display_and_pixel_spacing(reader: Reader) -> None:
    """The rod between the marks has its length, where pixels are tall, square or wide and where a slice lies aslant."""
    for plate in PLATES:
        reader.open_series(plate)
        _measures(reader, plate)
        first = reader.kept()[-1]["points"][0]
        row, column = (MARKS[0][i] * plate.spacing[i] for i in (0, 1))
        across, down = np.array(plate.axes[:3]), np.array(plate.axes[3:])
        assert math.dist(first, np.array((-128, -128, 2.5)) + column * across + row * down) < max(plate.spacing)


def test_an_area_is_right_on_every_display(reader: Reader) -> None:
    """An ellipse from the middle between the marks to one of them has the area of its two radii."""
    reader.open_series(SEGMENTED)
    seen = reader.marks()
    start, end = np.mean(seen, axis=0).round().tolist(), np.round(seen[1]).tolist()
    said, kept = reader.measure("e", start, end)
    area = math.pi * math.prod(_between(seen, SEGMENTED, start, end))
    assert area == pytest.approx(math.pi * math.prod(SEGMENTED.sides()) / 4, rel=0.05)
    assert said == pytest.approx(area, rel=0.01)
    assert (kept["value"], kept["unit"]) == (pytest.approx(area, rel=0.01), "mm2")


def _outline(found: np.ndarray) -> np.ndarray:
    """Top, left, bottom, right of the rectangle that is true, whatever little is true elsewhere."""
    lines = [found.sum(axis=axis) for axis in (1, 0)]
    inside = [np.flatnonzero(line > line.max() / 2) for line in lines]
    return np.array([where[0] for where in inside] + [where[-1] + 1 for where in inside])


def _overlay_lies_on_the_lesion(reader: Reader) -> None:
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


def test_the_overlay_lies_on_the_segmented_pixels_on_every_display(reader: Reader) -> None:
    """The segmentation of the block covers the block."""
    reader.open_series(SEGMENTED)
    reader.show_mask()
    _overlay_lies_on_the_lesion(reader)


def test_lengths_and_overlay_are_right_after_the_window_went_from_display_to_display(traveller: Reader) -> None:
    """Nothing is opened anew: the ratio changes under the picture, with or without the window's size."""
    traveller.open_series(SEGMENTED)
    traveller.show_mask()
    for ratio, width in ((2, 1120), (1.25, 1120), (3, 1200), (1.5, 1300), (1, 1120)):
        traveller.move_to_display(ratio, width=width)
        _measures(traveller, SEGMENTED)
        _overlay_lies_on_the_lesion(traveller)


def test_a_line_begun_on_one_display_is_right_on_the_other(traveller: Reader) -> None:
    """A length is of two points of the patient: it stays what it is when the window moves before it is saved."""
    traveller.move_to_display(1.5)
    traveller.open_series(SEGMENTED)
    traveller.drag("l", *traveller.marks())
    traveller.move_to_display(2, height=460)
    traveller.save()
    expect(traveller.page.locator(".notice.good")).to_contain_text("Measurements saved")
    assert traveller.kept()[-1]["value"] == pytest.approx(math.hypot(*SEGMENTED.sides()), rel=0.02)


def test_the_picture_follows_the_mouse_and_what_is_measured_on_it_stays_right(traveller: Reader) -> None:
    """Zoom and pan do on any display, with pixels that are not square, what they should; *Reset* undoes them."""
    for ratio in (1, 2):
        traveller.move_to_display(ratio)
        traveller.open_series(SEGMENTED)
        traveller.show_mask()
        first = traveller.marks()
        box = traveller.viewport.bounding_box()
        middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        traveller.drag("z", middle, (middle[0], middle[1] - 30))
        smaller = traveller.marks()
        assert 0.5 < math.dist(*smaller) / math.dist(*first) < 0.75
        traveller.drag("g", middle, (middle[0] + 50, middle[1] + 20))
        moved = traveller.marks()
        for before, after in zip(smaller, moved, strict=True):
            assert after == pytest.approx((before[0] + 50, before[1] + 20), abs=2)
        _measures(traveller, SEGMENTED)
        _overlay_lies_on_the_lesion(traveller)
        traveller.page.get_by_role("button", name="Reset").click()
        traveller.page.keyboard.press("1")  # the window that it was opened with
        for before, after in zip(first, traveller.marks(), strict=True):
            assert after == pytest.approx(before, abs=1)


@pytest.mark.parametrize("choice", ["Save", "Discard"])
def test_the_sign_off_asks_what_becomes_of_a_line_that_is_not_saved_on_whichever_series(
    stage: Stage, browser: Browser, choice: str
) -> None:
    """It is never lost without a word: kept or discarded as the reader says, and not signed until they have said it."""
    study = marked_study(stage, 304 if choice == "Save" else 305, PLATES[:2])
    study = stage.put(study.model_copy(update={"findings": ()}))
    reader = _open(stage, browser, study, "processor", 1)
    reader.open_series(PLATES[0])
    reader.drag("l", *reader.marks())
    expect(reader.viewport.locator("svg text")).to_have_text(re.compile(r"\d mm"))
    reader.open_series(PLATES[1])  # what was drawn on the other series counts as well
    reader.page.keyboard.press("s")
    dialog = reader.page.get_by_role("dialog")
    expect(dialog).to_contain_text("1 measurement is drawn and not saved")
    dialog.get_by_role("button", name="Sign", exact=True).click()
    expect(dialog).to_be_visible()  # the choice has no default
    dialog.get_by_label(choice).check()
    reader.page.keyboard.press("Enter")
    expect(reader.page.locator(".panel")).to_contain_text("Signed by")
    kept = [measured["value"] for measured in reader.kept()]
    assert kept == ([pytest.approx(math.hypot(*PLATES[0].sides()), rel=0.02)] if choice == "Save" else [])
    reader.open_series(PLATES[0])
    expect(reader.viewport.locator("svg text")).to_have_count(0)
    reader.page.context.close()


def test_an_image_without_a_scale_is_measured_in_pixels(stage: Stage, browser: Browser) -> None:
    """Where nothing says what a pixel measures, no millimetres are kept."""
    study = marked_study(stage, 302, (Plate(3, (1, 1)),), PixelSpacing=None)
    reader = _open(stage, browser, study, "processor", 1.5)
    reader.drag("l", *reader.marks())
    reader.save()
    expect(reader.page.locator(".notice.good")).to_contain_text("Measurements saved")
    kept = reader.kept()[-1]
    assert (kept["unit"], kept["value"]) == ("px", pytest.approx(math.dist(*MARKS), rel=0.02))
    reader.page.context.close()


def _region() -> Dataset:
    region = Dataset()
    region.RegionSpatialFormat = region.RegionDataType = 1
    region.RegionFlags = 0
    region.RegionLocationMinX0 = region.RegionLocationMinY0 = 0
    region.RegionLocationMaxX1 = region.RegionLocationMaxY1 = SIDE - 1
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3  # cm
    region.PhysicalDeltaX = region.PhysicalDeltaY = 0.02
    return region


def test_what_has_its_scales_by_region_is_not_kept_and_the_line_stays(stage: Stage, browser: Browser) -> None:
    """An ultrasound's lengths are in its regions' centimetres: none is kept as millimetres, and the page says so."""
    changes = {"Modality": "US", "PixelSpacing": None, "SequenceOfUltrasoundRegions": [_region()]}
    study = marked_study(stage, 303, (Plate(3, (1, 1)),), **changes)
    reader = _open(stage, browser, study, "processor", 1)
    reader.drag("l", *reader.marks())
    reader.save()
    expect(reader.page.get_by_role("alert")).to_contain_text("no single scale")
    expect(reader.viewport.locator("svg line")).not_to_have_count(0)
    assert reader.kept() == []
    reader.page.context.close()
