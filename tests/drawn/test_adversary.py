"""What holds for every file, whoever hides in it, wherever and in whatever form: after cleaning nobody shows, no
reference is broken, no number changed, and dciodvfy finds no new error. `READFIRST_ADVERSARY` sets how many files are
drawn; the long form is 5,000 headers and 300 pictures (`make adversary`)."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from pathlib import Path

import pytest
from pydicom import config
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from tests.drawn.adversary import scan
from tests.drawn.adversary.cases import draw, file_of
from tests.drawn.adversary.objects import KINDS
from tests.drawn.adversary.people import somebody, text_about
from tests.drawn.adversary.pictures import SCANNED, SHOWN, draw_picture
from tests.drawn.adversary.places import PLACES
from tests.drawn.adversary.trial import PROFILES, wrong_with, wrong_with_picture

COUNT = int(os.environ.get("READFIRST_ADVERSARY", "20"))
PICTURES = max(2, COUNT * 300 // 5000)
_BLOCK = 10
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("first", range(0, COUNT, _BLOCK))
def test_nobody_shows_and_nothing_else_is_harmed(first: int, tmp_path: Path) -> None:
    """Every drawn file in every profile."""
    wrong = {}
    for seed in range(first, min(first + _BLOCK, COUNT)):
        case = draw(seed)
        for profile in PROFILES:
            if found := wrong_with(case, profile, tmp_path):
                wrong[seed, profile, case.what] = found
    assert wrong == {}


@pytest.mark.parametrize("seed", range(PICTURES))
def test_nobody_shows_in_a_picture(seed: int) -> None:
    """Every drawn picture in one of the profiles, in turn."""
    picture = draw_picture(seed)
    assert wrong_with_picture(picture, PROFILES[seed % len(PROFILES)]) == [], picture.what


def test_the_draw_reaches_every_kind_of_object_place_and_picture() -> None:
    kinds = {*KINDS, *PLACES, "preamble", "padding", "file meta", "encoded"}
    assert _never_drawn(kinds, (draw(seed).what for seed in range(300))) == set()
    pictures = {*SCANNED, *SHOWN, "code", "45°", "JPEG 2000", "RLE", "unused bits"}
    assert _never_drawn(pictures, (draw_picture(seed).what for seed in range(120))) == set()


def _never_drawn(kinds: set[str], drawn: Iterable[str]) -> set[str]:
    """What is in none of the descriptions; it draws no more of them than it needs."""
    for what in drawn:
        kinds = {kind for kind in kinds if kind not in what}
        if not kinds:
            break
    return kinds


@pytest.mark.parametrize("place", PLACES)
def test_the_scan_sees_what_hides_in_each_place(place: str) -> None:
    """A scan that is blind would find nothing in clean copies either."""
    seen = 0
    for seed in range(8):
        rng = random.Random(f"{place}-{seed}")
        one = somebody(rng)
        with config.disable_value_validation():
            ds = PLACES[place](one, text_about(one, rng)[1], rng)
            ds.SpecificCharacterSet, ds.file_meta = "ISO_IR 192", FileMetaDataset()
            ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3"
            seen += bool(scan.leaks(file_of(ds, ExplicitVRLittleEndian), one))
    assert seen >= 3


def test_the_scan_sees_nobody_where_nobody_is() -> None:
    rng = random.Random(1)
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.StudyDescription = "1.2.840.10008.5.1.4.1.1.2", "1.2.3", "CT chest"
    assert scan.leaks(file_of(ds), somebody(rng)) == []
