"""What is measured on the screen is what lies in the patient, on any display and whoever draws the picture.

The pictures carry two bright marks and a grey block at pixels that the tests know. Where they lie on the screen is
seen in a screenshot, as a reader sees it; nothing is taken from the viewer's own arithmetic.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, expect
from pydicom import Dataset

from readfirst.domain.reading.study_record import StudyRecord
from tests.portal.browser import CHROMIUM
from tests.portal.plates import MARKS, PLATES, SEGMENTED, Plate, Point, marked_study
from tests.portal.reader import Reader, open_study, overlay_lies_on_the_lesion
from tests.portal.stage import SIDE, Stage

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.skipif(not CHROMIUM, reason="chromium is needed")]


@pytest.fixture(scope="module")
def study(stage: Stage) -> StudyRecord:
    return marked_study(stage, 301, PLATES)


WAYS = ("processor", "card")
RATIOS = (1, 1.25, 1.5, 2, 3)


@pytest.fixture(
    scope="module", params=[(way, ratio) for way in WAYS for ratio in RATIOS], ids=lambda p: f"{p[0]}-{p[1]}"
)
def reader(request: pytest.FixtureRequest, stage: Stage, browser: Browser, study: StudyRecord) -> Iterator[Reader]:
    """Who opened the study on a display of that ratio, drawn that way."""
    made = open_study(stage, browser, study, *request.param)
    yield made
    made.page.context.close()


@pytest.fixture(scope="module", params=WAYS)
def traveller(request: pytest.FixtureRequest, stage: Stage, browser: Browser, study: StudyRecord) -> Iterator[Reader]:
    """Who opened the study on a display of ratio 1 and goes to others."""
    made = open_study(stage, browser, study, request.param, 1)
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


def test_the_overlay_lies_on_the_segmented_pixels_on_every_display(reader: Reader) -> None:
    """The segmentation of the block covers the block."""
    reader.open_series(SEGMENTED)
    reader.show_mask()
    overlay_lies_on_the_lesion(reader)


def test_lengths_and_overlay_are_right_after_the_window_went_from_display_to_display(traveller: Reader) -> None:
    """Nothing is opened anew: the ratio changes under the picture, with or without the window's size."""
    traveller.open_series(SEGMENTED)
    traveller.show_mask()
    for ratio, width in ((2, 1120), (1.25, 1120), (3, 1200), (1.5, 1300), (1, 1120)):
        traveller.move_to_display(ratio, width=width)
        _measures(traveller, SEGMENTED)
        overlay_lies_on_the_lesion(traveller)


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
        overlay_lies_on_the_lesion(traveller)
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
    reader = open_study(stage, browser, study, "processor", 1)
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
    reader = open_study(stage, browser, study, "processor", 1.5)
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
    reader = open_study(stage, browser, study, "processor", 1)
    reader.drag("l", *reader.marks())
    reader.save()
    expect(reader.page.get_by_role("alert")).to_contain_text("no single scale")
    expect(reader.viewport.locator("svg line")).not_to_have_count(0)
    assert reader.kept() == []
    reader.page.context.close()
