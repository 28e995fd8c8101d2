"""Chapter: faces, judged from the picture and not from its label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import PositronEmissionTomographyImageStorage, SecondaryCaptureImageStorage

from readfirst.domain.deid.heads import region_shown
from readfirst.domain.deid.pixels.faces import could_show_face
from readfirst.domain.pseudonyms import Pseudonyms
from readfirst.domain.refusals import Reason, Refused
from readfirst.local.phantom import write_phantom_study
from tests.spec.deid.conftest import ROOT, Clean, attempt, file_of

pytest.importorskip("rapidocr", reason="OpenCV comes with the text detector")

SPACING = 0.8  # mm


def oval(values: np.ndarray, wide: float, deep: float, level: float, x: float = 0, y: float = 0) -> None:
    """Draws an oval of a size in mm, its middle off the picture's by x and y mm."""
    rows, columns = np.mgrid[0 : values.shape[0], 0 : values.shape[1]] * SPACING
    middle = values.shape[1] * SPACING / 2 + x, values.shape[0] * SPACING / 2 + y
    values[((columns - middle[0]) / (wide / 2)) ** 2 + ((rows - middle[1]) / (deep / 2)) ** 2 < 1] = level


def air() -> np.ndarray:
    return np.full((400, 400), -1000.0) + np.random.default_rng(3).normal(0, 15, (400, 400))


def skull() -> np.ndarray:
    values = air()
    for margin, level in ((0, 40), (14, 1000), (28, 35)):
        oval(values, 150 - margin, 185 - margin, level)
    return values


def jaw() -> np.ndarray:
    values = air()
    for wide, deep, level, y in ((135, 150, 50, 0), (20, 25, -1000, -10), (45, 40, 700, 35)):
        oval(values, wide, deep, level, y=y)
    return values


def belly(wide: float = 330, deep: float = 220) -> np.ndarray:
    values = air()
    oval(values, wide, deep, -90)
    oval(values, wide - 40, deep - 40, 50)
    oval(values, 45, 40, 500, y=deep / 4)
    return values


def thighs() -> np.ndarray:
    values = air()
    for side in (-80, 80):
        for wide, level in ((145, 40), (32, 1100), (16, 0)):
            oval(values, wide, wide + 5, level, x=side)
    return values


def chest(child: bool = False) -> np.ndarray:
    values = belly(180, 140) if child else belly()
    for side in (-1, 1):
        oval(values, 65 if child else 120, 95 if child else 150, -850, x=side * (40 if child else 72))
    return values


@pytest.mark.parametrize(
    ("values", "region"),
    [
        (skull(), "head"),
        (jaw(), "head"),
        (belly(), "trunk"),
        (chest(), "trunk"),
        (chest(child=True), "trunk"),
        (belly(190, 150), ""),
        (thighs(), ""),
        (np.random.default_rng(1).normal(0, 20, (400, 400)), ""),
    ],
    ids=["skull", "jaw", "abdomen", "chest", "a child's chest", "a child's abdomen", "thighs", "noise"],
)
def test_a_cross_section_says_itself_whether_it_is_of_a_head(values: np.ndarray, region: str) -> None:
    assert region_shown(values, (SPACING, SPACING), "CT") == region


def labelled(ct: Dataset, values: np.ndarray, part: str, series: str) -> Dataset:
    """Hounsfield units as a CT slice with these labels."""
    ct.Rows, ct.Columns = values.shape
    ct.PixelRepresentation, ct.RescaleIntercept, ct.RescaleSlope = 1, "0", "1"
    ct.PixelSpacing, ct.ImageOrientationPatient = [SPACING, SPACING], [1, 0, 0, 0, 1, 0]
    ct.BodyPartExamined, ct.StudyDescription, ct.SeriesDescription = part, "", series
    ct.PixelData = values.astype("<i2").tobytes()
    return ct


@pytest.mark.parametrize("profile", ["research-sharing", "strict"])
@pytest.mark.parametrize("part", ["CHEST", "AORTA"])
def test_a_head_under_another_label_is_not_shared(ct: Dataset, names: Pseudonyms, part: str, profile: str) -> None:
    refused = attempt(file_of(labelled(ct, skull(), part, "thin 1 mm")), names, profile=profile)
    assert isinstance(refused, Refused)
    assert refused.reason == Reason.VISUAL_FEATURES


def test_a_head_under_another_label_is_marked_in_triage(ct: Dataset, names: Pseudonyms) -> None:
    done = attempt(file_of(labelled(ct, skull(), "CHEST", "thin 1 mm")), names)
    assert isinstance(done, Clean)
    assert done.ds.RecognizableVisualFeatures == "YES"


@pytest.mark.parametrize("series", ["thin 1 mm", "Neck to pelvis"])
def test_a_trunk_is_shared_even_where_the_series_began_at_the_head(ct: Dataset, names: Pseudonyms, series: str) -> None:
    for values in (chest(), belly()):
        done = attempt(file_of(labelled(ct, values, "CHEST", series)), names, profile="research-sharing")
        assert isinstance(done, Clean)
        assert "RecognizableVisualFeatures" not in done.ds


@pytest.mark.parametrize(
    "series",
    ["skull base to mid-thigh", "Arch to vertex", "Ganzkörper", "Hals-Thorax", "WB", "TAP + cou", "H&N", "C-spine"],
)
def test_where_the_picture_cannot_tell_any_label_that_names_head_or_neck_counts(
    ct: Dataset, names: Pseudonyms, series: str
) -> None:
    noise = np.random.default_rng(1).normal(0, 20, (64, 64))
    ds = labelled(ct, noise, "ABDOMEN", series)
    ds.SOPClassUID, ds.Modality = PositronEmissionTomographyImageStorage, "PT"
    assert attempt(file_of(ds), names, profile="research-sharing") == Refused(Reason.VISUAL_FEATURES)


@pytest.mark.parametrize("series", ["Cardiac cine", "Iliac arteries", "Surface coil", "Nuclear renography"])
def test_a_word_that_only_contains_one_for_the_head_names_another_place(series: str) -> None:
    assert not could_show_face({0x00080060: "MR", 0x00180015: "ABDOMEN", 0x0008103E: series})


@pytest.mark.parametrize("how", ["secondary capture", "rendering"])
def test_a_picture_that_is_no_slice_could_be_a_rendered_face(ct: Dataset, names: Pseudonyms, how: str) -> None:
    ds = labelled(ct, belly(), "ABDOMEN", "result")
    if how == "rendering":
        ds.ImageType = ["DERIVED", "SECONDARY", "VOLUME"]
    else:
        ds.SOPClassUID, ds.Modality = SecondaryCaptureImageStorage, "SC"
    assert attempt(file_of(ds), names, profile="strict") == Refused(Reason.VISUAL_FEATURES)


def test_no_slice_of_the_chest_phantom_is_taken_for_a_head(tmp_path: Path) -> None:
    write_phantom_study(tmp_path, seed=2, slices=4)
    for path in sorted(tmp_path.iterdir()):
        ds = pydicom.dcmread(path)
        values = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
        assert region_shown(values, tuple(map(float, ds.PixelSpacing)), "CT") == "trunk"
        assert isinstance(attempt(path.read_bytes(), Pseudonyms(ROOT, "hilltop"), profile="research-sharing"), Clean)
