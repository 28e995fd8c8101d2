"""What is measured by the other tools is what lies in the patient, is kept as such, and can be taken back."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from readfirst.domain.reading.study_record import StudyRecord
from tests.portal.browser import CHROMIUM
from tests.portal.plates import BLOCK, MARKS, PLATES, Plate, Point, marked_study
from tests.portal.reader import Reader, open_study
from tests.portal.stage import Stage

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.skipif(not CHROMIUM, reason="chromium is needed")]


@pytest.fixture(scope="module")
def study(stage: Stage) -> StudyRecord:
    return marked_study(stage, 321, PLATES)


@pytest.fixture(params=["processor", "card"])
def reader(request: pytest.FixtureRequest, stage: Stage, browser: Browser, study: StudyRecord) -> Iterator[Reader]:
    made = open_study(stage, browser, study, request.param, 1.5)
    yield made
    made.page.context.close()


def _place(reader: Reader, row: float, column: float) -> Point:
    """Where a pixel of the image lies on the page, by the marks."""
    seen = reader.marks()
    part = [(column - MARKS[0][1]) / (MARKS[1][1] - MARKS[0][1]), (row - MARKS[0][0]) / (MARKS[1][0] - MARKS[0][0])]
    return tuple(float(seen[0][i] + part[i] * (seen[1][i] - seen[0][i])) for i in (0, 1))


def _kept(reader: Reader) -> dict:
    reader.wait(300)  # figures follow the hand ten times a second
    before = len(reader.kept())
    reader.save()
    expect(reader.page.locator(".notice.good")).to_contain_text("Measurements saved")
    assert len(reader.kept()) == before + 1
    return reader.kept()[-1]


def _angle(plate: Plate, one: Point, corner: Point, other: Point) -> float:
    """Between two directions of (row, column), in degrees."""
    u, v = (np.subtract(end, corner) * plate.spacing for end in (one, other))
    return math.degrees(math.acos(u @ v / np.linalg.norm(u) / np.linalg.norm(v)))


@pytest.mark.parametrize("plate", PLATES[:2], ids=["wide pixels", "square pixels"])
def test_an_angle_is_the_patient_s_also_where_pixels_are_not_square(reader: Reader, plate: Plate) -> None:
    reader.open_series(plate)
    ends = ((70, 60), (150, 110), (80, 200))
    one, corner, other = (_place(reader, *end) for end in ends)
    reader.drag("A", one, corner)
    reader.page.mouse.move(*other, steps=5)
    reader.page.mouse.click(*other)
    expect(reader.viewport.locator("svg text")).to_contain_text("°")
    kept = _kept(reader)
    assert (kept["tool"], kept["unit"]) == ("angle", "deg")
    assert kept["value"] == pytest.approx(_angle(plate, *ends), abs=1.5)
    expect(reader.page.locator(".panel")).to_contain_text(f"Angle {kept['value']:.1f}"[:9])


def test_a_bidirectional_measurement_keeps_its_long_and_its_short_axis(reader: Reader) -> None:
    reader.open_series(PLATES[1])
    reader.drag("B", _place(reader, 70, 60), _place(reader, 180, 200))
    kept = _kept(reader)
    assert kept["value"] == pytest.approx(math.hypot(*PLATES[1].sides()), rel=0.02)
    assert 0 < kept["short"] < kept["value"] and kept["unit"] == "mm" and len(kept["points"]) == 4
    expect(reader.page.locator(".panel")).to_contain_text(re.compile(r"Bidirectional [\d.]+ × [\d.]+ mm"))


def test_an_area_says_the_mean_and_the_spread_of_what_lies_inside(reader: Reader) -> None:
    """The block has -500 HU throughout, what surrounds it -1350."""
    reader.open_series(PLATES[1])
    rows, columns = ((side.start + side.stop - 1) / 2 for side in BLOCK)
    reader.drag("e", _place(reader, rows, columns), _place(reader, rows + 6, columns + 9))
    expect(reader.viewport.locator("svg text")).to_contain_text("-500")
    kept = _kept(reader)
    assert (kept["mean_hu"], kept["sd_hu"]) == (pytest.approx(-500, abs=1), pytest.approx(0, abs=1))
    expect(reader.page.locator(".panel")).to_contain_text("mean -500 HU, SD 0")


def test_an_arrow_is_kept_where_it_points_and_asks_for_no_words(reader: Reader) -> None:
    reader.open_series(PLATES[1])
    reader.drag("W", _place(reader, 70, 60), _place(reader, 120, 120))
    kept = _kept(reader)
    assert (kept["tool"], kept["unit"], len(kept["points"])) == ("arrow", "none", 2)


def test_what_is_drawn_can_be_taken_back_and_done_again(reader: Reader) -> None:
    reader.open_series(PLATES[1])
    reader.drag("l", *reader.marks())
    label = reader.viewport.locator("svg text")
    expect(label).to_have_count(1)
    reader.page.keyboard.press("Control+z")
    expect(label).to_have_count(0)
    reader.page.keyboard.press("Control+Shift+z")
    expect(label).to_have_count(1)
    reader.page.get_by_role("button", name="Undo").click()
    expect(label).to_have_count(0)
    reader.save()
    expect(reader.page.locator(".panel .notice.good")).to_have_count(0)
