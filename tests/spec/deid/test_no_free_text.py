"""Chapter: a profile without descriptions keeps no free text, also where the standard's table lists none."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from readfirst.domain.deid.text.vocabulary import in_own_words
from readfirst.domain.pseudonyms import Pseudonyms
from tests.spec.deid.conftest import Cleaner
from tests.spec.deid.objects import code, plan
from tests.spec.deid.test_other_objects import taken


@pytest.fixture
def chest(ct: Dataset) -> Dataset:
    """The image of a part of the body that shows no face."""
    ct.BodyPartExamined = "CHEST"
    return ct


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("WindowCenterWidthExplanation", "JSMITH LUNG"),
        ("FilterType", "KOWALSKI WEDGE"),
        ("ManufacturerModelName", "Hilltop CT 2"),
        ("LUTExplanation", "for Dr. Zubrowska"),
        ("DerivationDescription", "by kowalski"),
        ("SequenceName", "zubrowska_t1"),
        ("Manufacturer", "Kowalski & Sons"),
        ("ReceiveCoilName", "Annas coil"),
        ("TimezoneOffsetFromUTC", "+0530"),
        ("StackID", "ward 7 kowalski"),
    ],
)
def test_a_text_of_its_own_words_goes(chest: Dataset, clean: Cleaner, keyword: str, value: str) -> None:
    setattr(chest, keyword, value)
    assert clean(chest, profile="strict").ds.get(keyword) in (None, "", "REMOVED")
    assert clean(chest, profile="triage-default").ds.get(keyword) is not None


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("WindowCenterWidthExplanation", "LUNG"),
        ("FilterType", "WEDGE"),
        ("Manufacturer", "SIEMENS"),
        ("ManufacturerModelName", "SOMATOM Definition AS+"),
        ("ConvolutionKernel", "Br40d"),
        ("ReceiveCoilName", "HeadNeck_20"),
        ("RescaleType", "HU"),
        ("StackID", "1"),
    ],
)
def test_a_text_of_known_words_stays(chest: Dataset, clean: Cleaner, keyword: str, value: str) -> None:
    setattr(chest, keyword, value)
    assert clean(chest, profile="strict").ds.get(keyword) == value


@pytest.mark.parametrize(
    ("given", "left"),
    [
        (code("DRSMITH01", "99LOCAL", "Smith chest protocol"), ("REMOVED", "99REMOVED", "REMOVED")),
        (code("51185008", "SCT", "Thorax of Kowalski"), ("51185008", "SCT", "Thoracic structure (body structure)")),
        (code("51185008", "SCT", "Thorax"), ("51185008", "SCT", "Thorax")),
        (code("123456789", "SCT", "seen by Kowalski"), ("123456789", "SCT", "REMOVED")),
        (code("KOWALSKI", "SCT", "Kowalski"), ("REMOVED", "99REMOVED", "REMOVED")),
        (code("T-D3000", "SRT", "Brustkorb"), ("T-D3000", "SRT", "Brustkorb")),
    ],
)
def test_a_code_keeps_what_anyone_can_look_up(
    chest: Dataset, clean: Cleaner, given: Dataset, left: tuple[str, ...]
) -> None:
    chest.PerformedProtocolCodeSequence = [given]
    (item,) = clean(chest, profile="strict").ds.PerformedProtocolCodeSequence
    assert (item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning) == left
    (same,) = clean(chest, profile="triage-default").ds.PerformedProtocolCodeSequence
    assert same.CodeValue == given.CodeValue


def test_the_label_of_a_segment_and_the_name_of_a_beam_go(chest: Dataset, clean: Cleaner, names: Pseudonyms) -> None:
    segment = Dataset()
    segment.SegmentNumber, segment.SegmentLabel, segment.SegmentAlgorithmType = 1, "lesion by kowalski", "MANUAL"
    chest.SegmentSequence = [segment]
    assert clean(chest, profile="strict").ds.SegmentSequence[0].SegmentLabel == "REMOVED"
    original = plan()
    original.BeamSequence[0].BeamName = "KOWALSKI LAO"
    assert "KOWALSKI" not in str(taken(original, names, "strict").ds.BeamSequence[0])


def test_two_optical_paths_stay_two(chest: Dataset, clean: Cleaner) -> None:
    paths = [Dataset(), Dataset()]
    for path, name in zip(paths, ("Kowalski red", "Kowalski green"), strict=True):
        path.OpticalPathIdentifier = name
    chest.OpticalPathSequence = paths
    left = [p.OpticalPathIdentifier for p in clean(chest, profile="strict").ds.OpticalPathSequence]
    assert len(set(left)) == 2
    assert "Kowalski" not in " ".join(left)


def test_only_an_attribute_with_a_vocabulary_has_words_of_its_own() -> None:
    assert in_own_words(0x00080070, "Philips Medical Systems")
    assert not in_own_words(0x00081030, "Philips Medical Systems")
    assert not in_own_words(0x00181160, "QUILLFEATHER")
