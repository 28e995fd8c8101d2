"""The invented studies: what they show, what is planted in them, and that they are valid DICOM."""

from __future__ import annotations

import math
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pydicom
import pytest

from model_container.phantoms.anatomy import render
from model_container.phantoms.lesions import sample_clear_lesions, sample_lesion
from model_container.phantoms.shapes import LUNG, MEDIASTINUM, NODULE, Grid
from model_container.phantoms.thorax import sample_thorax, with_lesions
from readfirst.local.phantom import NoStudy, plant_identifiers, write_phantom_study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phantom")
    return folder, write_phantom_study(folder, seed=7, slices=6, size=128)


def test_every_planted_identifier_is_found_in_the_files(study):
    folder, planted = study
    content = b"".join(path.read_bytes() for path in folder.iterdir())
    assert len(planted) > 40
    assert [what for what, value in planted.items() if value.encode() not in content] == []


def test_the_same_seed_writes_the_same_bytes_and_another_seed_another_person(study, tmp_path):
    folder, planted = study
    again = write_phantom_study(tmp_path / "again", seed=7, slices=6, size=128)
    other = write_phantom_study(tmp_path / "other", seed=8, slices=6, size=128)
    assert again == planted
    assert (tmp_path / "again" / "IM00001").read_bytes() == (folder / "IM00001").read_bytes()
    assert other["patient id"] != planted["patient id"] and other["study uid"] != planted["study uid"]


def test_identifiers_can_be_given(tmp_path):
    planted = write_phantom_study(tmp_path, seed=1, slices=2, size=64, identifiers={"patient id": "ABC-1"})
    assert planted["patient id"] == "ABC-1"
    assert pydicom.dcmread(tmp_path / "IM00001").PatientID == "ABC-1"


def test_a_phantom_is_a_ct_of_a_chest_in_hounsfield_units(study):
    folder, _ = study
    ds = pydicom.dcmread(folder / "IM00003")
    hu = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
    middle = hu[32:96, 16:112]
    assert hu[0, 0] < -900
    assert ((middle > -950) & (middle < -700)).mean() > 0.15  # lungs
    assert ((middle > 0) & (middle < 450)).mean() > 0.1  # what lies between them


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian dicom3tools) is not installed")
def test_dciodvfy_finds_no_error_in_a_phantom(study):
    folder, _ = study
    said = subprocess.run(["dciodvfy", str(folder / "IM00001")], capture_output=True, text=True)
    assert [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")] == []


def test_planting_into_a_copy_changes_identifiers_and_uids_but_no_pixel(study, tmp_path):
    folder, before = study
    planted = plant_identifiers(folder, tmp_path / "copy", seed=99)
    old, new = pydicom.dcmread(folder / "IM00002"), pydicom.dcmread(tmp_path / "copy" / "IM00002")
    content = b"".join(path.read_bytes() for path in (tmp_path / "copy").iterdir())
    assert new.PixelData == old.PixelData
    assert new.StudyInstanceUID != old.StudyInstanceUID and new.PatientID == planted["patient id"] != old.PatientID
    assert [what for what, value in planted.items() if value.encode() not in content] == []
    assert before["study uid"].encode() not in content


def test_what_is_no_image_is_copied_as_it_is_and_a_folder_of_nothing_else_is_no_study(study, tmp_path):
    folder, _ = study
    with pytest.raises(NoStudy):
        (tmp_path / "letters").mkdir()
        (tmp_path / "letters" / "one.txt").write_text("a letter")
        plant_identifiers(tmp_path / "letters", tmp_path / "nothing", seed=1)
    shutil.copy(folder / "IM00001", tmp_path / "letters")
    plant_identifiers(tmp_path / "letters", tmp_path / "copy", seed=1)
    assert {path.name: path.suffix for path in (tmp_path / "copy").iterdir()} == {"IM00001": "", "IM00002.txt": ".txt"}


def test_a_lesion_lies_in_the_lung_and_its_voxels_are_known():
    rng = np.random.default_rng(5)
    thorax = replace(sample_thorax(rng), effusion=0.0)
    lesion = replace(sample_lesion(rng, thorax, (-20, 10), diameter=20), texture="solid", hu=40.0, cavity=0.0)
    grid = Grid(256, 1.5, tuple(np.arange(-40.0, 32.0, 2.5)))
    volume = render(with_lesions(thorax, [lesion]), grid)
    bare = render(thorax, grid)
    marked = volume.labels == NODULE
    changed = np.abs(volume.hu - bare.hu) > 100
    share_of_sphere = marked.sum() * 1.5**2 * 2.5 / (np.pi / 6 * 20**3)
    assert volume.lesions == [lesion]
    assert (bare.labels[marked] == LUNG).mean() > 0.95
    assert changed[marked].mean() > 0.5
    assert 0.3 < share_of_sphere < 1.5
    assert (bare.labels == MEDIASTINUM).any() and not (bare.labels == NODULE).any()


@pytest.mark.parametrize("seed", range(12))
def test_the_demonstration_s_nodules_lie_apart_and_in_no_fluid(seed):
    rng = np.random.default_rng(seed)
    thorax = replace(sample_thorax(rng), effusion=25.0)
    large, small = sample_clear_lesions(rng, thorax, (-36, 12), (26.0, 9.0))
    assert math.dist(large.centre, small.centre) > (26 + 9) / 2
    for lesion in (large, small):
        x, y, z = lesion.centre
        bare = render(thorax, Grid(160, 2.5, (z, z + 2.5)))
        across, down = np.meshgrid(bare.grid.axis(), bare.grid.axis())
        there = bare.hu[0][np.hypot(across - x, down - y) < lesion.diameter / 2]
        assert np.percentile(there, 5) < -600  # lung between its vessels; fluid would have the density of water


def test_a_phantom_may_be_as_long_as_a_body():
    thorax = replace(sample_thorax(np.random.default_rng(0)), streaks=1.0)
    assert render(thorax, Grid(32, 12.0, (-700.0, -697.5))).hu.shape == (2, 32, 32)
