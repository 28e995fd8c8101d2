"""A segmentation's pixels arrive at the page as runs, each with its finding and its slice."""

from __future__ import annotations

import io

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.sr.codedict import codes

from readfirst.domain.analysis.segment_rle import is_moved, pixels_between, segment_rle
from tests.portal.stage import chest

SLICES = 6


def segmentation(pixels: np.ndarray, *, empty_frames: bool) -> pydicom.Dataset:
    sources = [pydicom.dcmread(io.BytesIO(data)) for data in chest("2.25.5", "2.25.5.3", SLICES)]
    for source in sources:
        source.PatientBirthDate = source.PatientSex = source.AccessionNumber = ""
        source.StudyDate = source.StudyTime = source.StudyID = source.ReferringPhysicianName = ""
    segments = [
        hd.seg.SegmentDescription(
            segment_number=n, segment_label=f"lung-nodule {n}",
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Nodule, algorithm_type="AUTOMATIC",
            algorithm_identification=hd.AlgorithmIdentificationSequence(
                name="a", family=codes.DCM.ArtificialIntelligence, version="1"
            ),
            tracking_id=f"lung-nodule {n}", tracking_uid=f"2.25.9{n}",
        )
        for n in range(1, pixels.shape[-1] + 1)
    ]  # fmt: skip
    return hd.seg.Segmentation(
        source_images=sources, pixel_array=pixels, segmentation_type="BINARY", segment_descriptions=segments,
        series_instance_uid="2.25.6", series_number=9, sop_instance_uid="2.25.7", instance_number=1,
        manufacturer="m", manufacturer_model_name="n", software_versions="1", device_serial_number="1",
        omit_empty_frames=not empty_frames,
    )  # fmt: skip


@pytest.mark.parametrize("segments", [1, 2])
@pytest.mark.parametrize("empty_frames", [True, False])
def test_every_pixel_comes_back_under_its_finding_and_its_slice(segments: int, empty_frames: bool) -> None:
    pixels = np.zeros((SLICES, 256, 256, segments), np.uint8)
    pixels[2, 10:13, 20:25, 0] = 1
    pixels[3, 10, [5, 6, 9], 0] = 1
    if segments == 2:
        pixels[4, 100:102, 50:60, 1] = 1
    found = segment_rle(segmentation(pixels, empty_frames=empty_frames), ["1", "2"])
    assert found["1"] == {
        "2.25.5.3.3": [(10, 20, 5), (11, 20, 5), (12, 20, 5)],
        "2.25.5.3.4": [(10, 5, 2), (10, 9, 1)],
    }
    assert found.get("2") == ({"2.25.5.3.5": [(100, 50, 10), (101, 50, 10)]} if segments == 2 else None)


def moved(seg: pydicom.Dataset, rows: float, columns: float) -> dict[str, list[float]]:
    """Moves the frames' corners against their slices by pixels; where the slices lie."""
    places, spacing = {}, seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing
    for groups in seg.PerFrameFunctionalGroupsSequence:
        source = groups.DerivationImageSequence[0].SourceImageSequence[0]
        source.SpatialLocationsPreserved = "NO"
        place = [float(v) for v in groups.PlanePositionSequence[0].ImagePositionPatient]
        places[str(source.ReferencedSOPInstanceUID)] = place
        corner = [place[0] - columns * float(spacing[1]), place[1] - rows * float(spacing[0]), place[2]]
        groups.PlanePositionSequence[0].ImagePositionPatient = corner
    return places


@pytest.mark.parametrize(("rows", "columns"), [(3, 2), (3.4, 1.6), (2.5, 1.51), (0, 0)])
def test_of_a_slice_that_was_moved_onto_a_grid_the_runs_are_in_its_own_pixels(rows: float, columns: float) -> None:
    pixels = np.zeros((SLICES, 256, 256, 1), np.uint8)
    pixels[2, 10:12, 20:25, 0] = 1
    seg = segmentation(pixels, empty_frames=True)
    assert not is_moved(seg)
    places = moved(seg, rows, columns)
    top, left = 10 - (2 if rows == 2.5 else round(rows)), 20 - round(columns)
    assert is_moved(seg) and segment_rle(seg, ["1"], places) == {
        "1": {"2.25.5.3.3": [(top, left, 5), (top + 1, left, 5)]}
    }
    assert segment_rle(seg, ["1"], {}) == {}, (
        "where nobody knows where the slice lies, nothing is drawn in a wrong place"
    )


@pytest.mark.parametrize("noise", [-1e-6, 0, 1e-6])
def test_half_a_pixel_falls_to_one_side_however_places_are_rounded(noise: float) -> None:
    directions = ((0, 1, 0), (1, 0, 0))
    for half in (-1.5, -0.5, 0.5, 1.5):
        there = (7 + (half + noise) * 0.7, 5 + (half + noise) * 1.4, 3)
        assert pixels_between((7, 5, 3), there, directions, (1.4, 0.7)) == [half - 0.5] * 2
