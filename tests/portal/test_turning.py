"""The picture is turned, mirrored, inverted and enlarged, and what is measured, drawn and read on it stays right.

As in test_measuring.py, where things lie is seen in a screenshot.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from readfirst.domain.reading.study_record import StudyRecord
from tests.portal.browser import CHROMIUM
from tests.portal.plates import BLOCK, MARKS, PLATES, SEGMENTED, Plate, marked_study
from tests.portal.reader import Reader, open_study, overlay_lies_on_the_lesion
from tests.portal.stage import Stage
from tests.waiting import eventually

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.skipif(not CHROMIUM, reason="chromium is needed")]
LEFT_RIGHT, TOP_BOTTOM, CLOCKWISE = np.diag([-1, 1]), np.diag([1, -1]), np.array([[0, -1], [1, 0]])  # on (x, y)
KEYS = {"f": LEFT_RIGHT, "v": TOP_BOTTOM, "r": CLOCKWISE}
SIDES = {"right": (1, 0), "left": (-1, 0), "bottom": (0, 1), "top": (0, -1)}


@pytest.fixture(scope="module")
def study(stage: Stage) -> StudyRecord:
    return marked_study(stage, 311, PLATES)


@pytest.fixture(params=["processor", "card"])
def reader(request: pytest.FixtureRequest, stage: Stage, browser: Browser, study: StudyRecord) -> Iterator[Reader]:
    made = open_study(stage, browser, study, request.param, 1.5)
    yield made
    made.page.context.close()


def _letters(reader: Reader) -> dict[str, str]:
    return {side: reader.page.locator(f".frame.main .side.{side}").text_content() or "" for side in SIDES}


def _axial(turn: np.ndarray) -> dict[str, str]:
    """The letters of a picture whose rows lead to the patient's left and whose columns lead to the back."""
    found = {}
    for side, way in SIDES.items():
        x, y = turn.T @ way
        found[side] = {(1, 0): "L", (-1, 0): "R", (0, 1): "P", (0, -1): "A"}[(round(x), round(y))]
    return found


def _lies(reader: Reader, turn: np.ndarray, plate: Plate) -> None:
    """Seen from the middle between the marks, the block lies where the turn has brought it."""
    (one, other), (pixels, ratio, corner) = reader.marks(), reader.look()
    edge = round(36 * ratio)
    inner = np.abs(pixels[edge:-edge].mean(axis=2) - 144) < 12
    rows, columns = (np.flatnonzero(inner.sum(axis=axis) > inner.sum(axis=axis).max() / 2) for axis in (1, 0))
    block = np.array([columns.mean() + 0.5, rows.mean() + edge + 0.5]) / ratio + corner
    seen = block - np.mean([one, other], axis=0)
    down, across = plate.spacing
    middle = [(s.start + s.stop - 1) / 2 - (MARKS[0][i] + MARKS[1][i]) / 2 for i, s in enumerate(BLOCK)]
    scale = math.dist(one, other) / math.hypot(*plate.sides())
    assert seen == pytest.approx(turn @ (middle[1] * across, middle[0] * down) * scale, abs=2)


def test_however_it_is_turned_lengths_overlay_and_letters_are_right(reader: Reader) -> None:
    reader.open_series(SEGMENTED)
    reader.show_mask()
    turn = np.eye(2)
    assert _letters(reader) == _axial(turn)
    for key in "frvrrfv":
        reader.page.keyboard.press(key)
        turn = KEYS[key] @ turn
        _lies(reader, turn, SEGMENTED)
        assert _letters(reader) == _axial(turn)
        overlay_lies_on_the_lesion(reader)
        start, end = (tuple(np.round(mark)) for mark in reader.marks())
        said, kept = reader.measure("l", start, end)
        assert said == pytest.approx(math.hypot(*SEGMENTED.sides()), rel=0.02)
        assert kept["value"] == pytest.approx(said, rel=0.01)
    reader.page.get_by_role("button", name="Reset").click()
    reader.page.keyboard.press("1")
    _lies(reader, np.eye(2), SEGMENTED)


def test_a_picture_that_is_turned_stays_so_through_slices_and_on_another_display(reader: Reader) -> None:
    reader.open_series(SEGMENTED)
    reader.show_mask()
    reader.page.keyboard.press("r")
    reader.page.keyboard.press("f")
    turn = LEFT_RIGHT @ CLOCKWISE
    reader.page.keyboard.press("j")
    expect(reader.page.locator(".frame.main .slice")).to_have_text("2 / 2")
    _lies(reader, turn, SEGMENTED)
    reader.move_to_display(2, height=460)
    reader.page.keyboard.press("k")
    _lies(reader, turn, SEGMENTED)
    overlay_lies_on_the_lesion(reader)
    assert _letters(reader) == _axial(turn)


def test_an_oblique_picture_has_the_letters_of_its_own_axes(reader: Reader) -> None:
    """Its rows lead to the left and the back, its columns to the feet."""
    reader.open_series(PLATES[2])
    eventually(lambda: _letters(reader)["right"] == "LP")
    assert _letters(reader) == {"left": "RA", "right": "LP", "top": "H", "bottom": "F"}


def test_the_scale_bar_is_as_long_as_it_says(reader: Reader) -> None:
    """Beside the marks, whose distance is known; also after it was enlarged."""
    for plate in PLATES:
        reader.open_series(plate)
        for key in ("0", "o"):
            reader.page.keyboard.press(key)
            one, other = reader.marks()
            across, said = abs(one[0] - other[0]) / plate.sides()[0], reader.page.locator(".corner.scale span")
            figure, unit = said.text_content().split()
            length = reader.page.locator(".corner.scale i").bounding_box()["width"]
            assert length == pytest.approx(float(figure) * (10 if unit == "cm" else 1) * across, rel=0.03)


def test_one_to_one_has_a_pixel_of_the_image_on_each_pixel_of_the_screen(reader: Reader) -> None:
    reader.open_series(PLATES[1])
    reader.page.keyboard.press("o")
    one, other = reader.marks()
    assert np.abs(np.subtract(one, other)) * 1.5 == pytest.approx(np.abs(np.subtract(*MARKS))[::-1], abs=2)
    expect(reader.page.locator(".read .zoom")).to_have_text("100 %")


def test_the_window_is_read_on_the_image_and_can_be_inverted(reader: Reader) -> None:
    reader.open_series(PLATES[1])
    read = reader.page.locator(".read .window")
    for key, said in (("2", "W 400 L 40"), ("1", "W 1500 L −600")):
        reader.page.keyboard.press(key)
        expect(read).to_contain_text(said)
    plain = reader.look()[0]
    reader.page.keyboard.press("i")
    inverted = eventually(lambda: [look for look in [reader.look()[0]] if (look != plain).any()])[0]
    down, across = (side // 2 for side in plain.shape[:2])
    inner = np.s_[down - 60 : down + 60, across - 60 : across + 60]
    assert np.median(plain[inner] + inverted[inner]) == pytest.approx(255, abs=3)
    reader.page.keyboard.press("i")
    eventually(lambda: (reader.look()[0] == plain).all())


def test_the_magnifier_enlarges_what_is_under_the_mouse_while_it_is_pressed(reader: Reader) -> None:
    reader.open_series(PLATES[1])
    plain, (x, y) = reader.look()[0], reader.marks()[0]
    reader.page.keyboard.press("q")
    reader.page.mouse.move(x, y)
    reader.page.mouse.down()
    reader.wait(450)
    reader.page.mouse.move(x + 1, y, steps=2)
    larger = eventually(lambda: [look for look in [reader.look()[0]] if (look != plain).any()])[0]
    assert (larger.min(axis=2) > 225).sum() > 2 * (plain.min(axis=2) > 225).sum()
    reader.page.mouse.up()
    eventually(lambda: (reader.look()[0] == plain).all())


def test_the_slices_play_until_they_are_stopped(reader: Reader) -> None:
    reader.open_series(PLATES[1])
    where = reader.page.locator(".frame.main .slice")
    reader.page.keyboard.press("y")
    for slice_ in ("1 / 2", "2 / 2", "1 / 2"):
        expect(where).to_have_text(slice_)
    reader.page.get_by_role("button", name="Play").click()
    expect(reader.page.get_by_role("button", name="Play")).to_have_attribute("aria-pressed", "false")
    stopped = where.text_content()
    reader.wait(500)
    assert where.text_content() == stopped


def test_the_image_fills_the_screen_and_comes_back(reader: Reader) -> None:
    reader.page.keyboard.press("d")
    eventually(lambda: reader.page.evaluate("document.fullscreenElement?.className") == "viewer")
    expect(reader.page.locator(".frame.main .corner.top").first).to_contain_text("NOT FOR DIAGNOSIS")
    reader.page.keyboard.press("d")
    eventually(lambda: reader.page.evaluate("document.fullscreenElement === null"))


def test_the_place_along_the_stack_is_read_on_the_image(reader: Reader) -> None:
    reader.open_series(PLATES[1])
    reader.page.keyboard.press("k")
    expect(reader.page.locator(".frame.main .slice")).to_have_text("1 / 2")
    before = reader.page.locator(".frame.main .at").text_content()
    reader.page.keyboard.press("j")
    expect(reader.page.locator(".frame.main .slice")).to_have_text("2 / 2")
    figures = [
        float(re.match(r"−?[\d.]+", t)[0].replace("−", "-"))
        for t in (before, reader.page.locator(".frame.main .at").text_content())
    ]
    assert abs(figures[1] - figures[0]) == pytest.approx(2.5)
