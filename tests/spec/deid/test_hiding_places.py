"""Chapter: hiding places. An invented person's identifiers, planted wherever a file can hold them, are gone."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from benchmarks.deid_privacy import metrics, ours
from benchmarks.planted_identifiers import Planted, planted, residuals, useful_kept
from readfirst.domain.pseudonyms import Pseudonyms
from tests.spec.deid.conftest import ROOT, Clean, Cleaner, attempt, profile_from

PLANTED = [p for seed in (7, 8) for p in planted(seed)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("file", PLANTED, ids=lambda p: p.kind)
def test_nothing_is_left_in(file: Planted) -> None:
    assert residuals(file.content, file.needles), "the file itself holds what is searched for"
    clean = ours(file.content)
    assert clean is not None
    assert residuals(clean, file.needles) == []


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("file", PLANTED, ids=lambda p: p.kind)
def test_nothing_is_left_by_the_basic_profile_alone_in(file: Planted, tmp_path: Path) -> None:
    """Without any option, texts in sequences that only refer to other objects are nobody's to keep either."""
    done = attempt(file.content, Pseudonyms(ROOT, "hilltop"), profile=profile_from(tmp_path))
    assert isinstance(done, Clean), done
    assert residuals(done.content, file.needles) == []


@pytest.mark.filterwarnings("ignore")
def test_what_the_reader_and_the_model_need_stays() -> None:
    with warnings.catch_warnings():
        for file in PLANTED:
            clean = ours(file.content)
            assert clean is not None
            kept, had = useful_kept(file.content, clean)
            assert kept == had, file.kind


@pytest.mark.filterwarnings("ignore")
def test_every_class_of_actions_is_right_in_9995_of_10000() -> None:
    for name, rate in metrics(persons=4).items():
        assert rate.right >= 0.9995 * rate.all, (name, rate)


def test_a_private_block_whose_creator_names_somebody_goes_in_any_character_set(ct: Dataset, clean: Cleaner) -> None:
    """Also where the file itself declares it safe; a block of the same group that names nobody stays."""
    ct.SpecificCharacterSet = ["", "ISO 2022 IR 149"]
    ct.PatientName = "Namgung^Younghee=남궁^영희"
    blocks = []
    for block, creator in ((0x10, "남궁^영희"), (0x11, "ACME 1.1")):
        declared = Dataset()
        declared.PrivateGroupReference, declared.PrivateCreatorReference = 0x0029, creator
        declared.BlockIdentifyingInformationStatus = "SAFE"
        blocks.append(declared)
        ct.add_new((0x0029, block), "LO", creator)
        ct.add_new((0x0029, block << 8), "DS", "3.5")
    ct.PrivateDataElementCharacteristicsSequence = blocks
    ds = clean(ct).ds
    assert [e.tag.element for e in ds if e.tag.is_private] == [0x11, 0x1100]
    assert [i.PrivateCreatorReference for i in ds.PrivateDataElementCharacteristicsSequence] == ["ACME 1.1"]
