"""The default model: what it finds in real chest CT that it never saw, and what it refuses to judge."""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path

import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from model_container.engines.engine import OutOfScope, Reading
from model_container.engines.registry import ModelRegistry
from model_container.images.volume import read_volume
from model_container.phantoms.anatomy import scan
from model_container.phantoms.elsewhere import ELSEWHERE, render_elsewhere
from model_container.phantoms.shapes import Grid
from model_container.training.slabs import Slab
from readfirst.cli import build
from readfirst.domain.analysis.models import default_model
from readfirst.local.phantom import write_phantom_study
from tests.model.conftest import read_study
from tests.model.other_phantom import draw

ROOT = Path(__file__).parents[2]
REAL = Path(os.environ.get("READFIRST_DATA") or ROOT.parent / "shared" / "data") / "lidc"
needs_real = pytest.mark.skipif(not REAL.exists(), reason="the real CT slabs are not on this machine (READFIRST_DATA)")


@pytest.fixture(scope="module")
def engine():
    return ModelRegistry().load(default_model().digest)[1]


def seen(engine, folder):
    study = read_study(folder)
    volume = read_volume([study.contents[i.sop_uid] for i in study.selection.instances])
    return volume, engine.read(volume, lambda _: None)


@needs_real
@pytest.mark.parametrize(
    ("name", "place"), [("LIDC-IDRI-0001", (57, 87, -115)), ("LIDC-IDRI-0003", (73, 77, -191))]
)  # fmt: skip
def test_it_finds_the_mass_of_a_real_chest_and_calls_nothing_else_a_large_nodule(engine, name, place):
    volume, reading = seen(engine, REAL / name)
    assert isinstance(reading, Reading)
    large = [d for d in reading.detections if d.diameter_mm >= 15]
    assert len(large) == 1 and large[0].probability > 0.8
    assert np.linalg.norm(np.array(volume.point(*large[0].centre)) - place) < 8
    assert 20 <= large[0].diameter_mm <= 40 and reading.risk > 0.7


def alarming(detections):
    """The findings that make a study high risk."""
    rule = default_model().risk
    return [d for d in detections if d.probability >= rule.min_probability and d.diameter_mm >= rule.min_diameter_mm]


@pytest.mark.parametrize("seed", [11, 22, 24])
def test_it_finds_the_large_nodule_of_a_phantom_and_none_where_there_is_none(engine, tmp_path, seed):
    shape = {"seed": seed, "slices": 24, "size": 320}
    write_phantom_study(tmp_path / "ill", **shape)
    write_phantom_study(tmp_path / "well", nodules=(), **shape)
    (_, ill), (_, well) = (seen(engine, tmp_path / name) for name in ("ill", "well"))
    assert len(alarming(ill.detections)) == 1 and ill.risk > 0.8
    assert well.detections == () and well.risk < 0.3


def nearest(detections, volume, lesion):
    """The finding that lies on a lesion of the other phantoms."""
    step = np.array([volume.spacing, *volume.pixel])
    for detection in detections:
        if np.linalg.norm((np.array(detection.centre) - lesion.centre) * step) < lesion.diameter / 2 + 1:
            return detection
    return None


@pytest.mark.parametrize(("seed", "kind"), [(1, "free"), (2, "free"), (3, "wall"), (4, "wall")])
def test_it_finds_and_measures_nodules_in_chests_that_are_drawn_another_way(engine, seed, kind):
    volume, lesions = draw(seed, (26, 14, 9), kind=kind)
    reading = engine.read(volume, lambda _: None)
    found = [nearest(reading.detections, volume, lesion) for lesion in lesions]
    assert None not in found
    assert all(0.6 < d.diameter_mm / lesion.diameter < 1.6 for d, lesion in zip(found, lesions, strict=True))
    assert [d for d in alarming(reading.detections) if not any(d is one for one in found)] == []


@pytest.mark.parametrize("seed", [5, 6])
def test_a_healthy_chest_that_is_drawn_another_way_raises_no_alarm(engine, seed):
    volume, _ = draw(seed)
    reading = engine.read(volume, lambda _: None)
    assert alarming(reading.detections) == [] and reading.risk < 0.5


def flat(hu):
    """A volume without a patient."""
    return Slab(hu, np.zeros(hu.shape, np.uint8), (), tuple(2.5 * k for k in range(len(hu))), 1.5, (0.0, 0.0)).volume()


@pytest.mark.parametrize("kind", sorted(ELSEWHERE))
@pytest.mark.parametrize("seed", [3, 4])
def test_what_is_no_chest_is_refused_even_when_its_header_says_chest(engine, kind, seed):
    grid = Grid(272, 1.5, tuple(2.5 * k for k in range(16)))
    volume = render_elsewhere(kind, seed, grid)
    hu = np.round(scan(volume.hu, np.random.default_rng(1), noise=12, blur=0.5)).astype(np.int16)
    answer = engine.read(flat(hu), lambda _: None)
    assert isinstance(answer, OutOfScope) and answer.code == "no-chest-seen"


@pytest.mark.parametrize("value", [-1024, -850, 0, 3071])
def test_an_empty_picture_is_refused(engine, value):
    answer = engine.read(flat(np.full((12, 256, 256), value, np.int16)), lambda _: None)
    assert isinstance(answer, OutOfScope)


def test_noise_is_refused(engine):
    hu = np.random.default_rng(2).integers(-1024, 1500, (12, 256, 256)).astype(np.int16)
    answer = engine.read(flat(hu), lambda _: None)
    assert isinstance(answer, OutOfScope)


def rewrite(folder, change):
    """Changes every file of a study, or removes it where the change says so."""
    for path in sorted(folder.iterdir()):
        ds = pydicom.dcmread(path)
        if change(ds):
            ds.save_as(path)
        else:
            path.unlink()


def gone(keep):
    return lambda ds: keep(int(ds.InstanceNumber))


def changed(**values):
    def change(ds):
        for keyword, value in values.items():
            setattr(ds, keyword, value)
        return True

    return change


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (changed(BodyPartExamined="HEAD"), "body-part-out-of-scope"),
        (changed(BodyPartExamined="ABDOMEN"), "body-part-out-of-scope"),
        (changed(Modality="MR"), "modality-out-of-scope"),
        (changed(PatientAge="004Y"), "age-out-of-scope"),
        (changed(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), "no-original-axial-series"),
        (gone(lambda number: number == 1), "too-few-slices"),
        (gone(lambda number: number not in (5, 6)), "slices-missing"),
    ],
    ids=["head", "abdomen", "MR", "child", "localiser", "single slice", "missing slices"],
)
def test_the_command_refuses_with_a_reason_what_is_out_of_scope(tmp_path, change, code):
    write_phantom_study(tmp_path / "study", seed=2, slices=10, size=128)
    rewrite(tmp_path / "study", change)
    said = CliRunner().invoke(build(("analyse",)), ["analyse", str(tmp_path / "study"), str(tmp_path / "out")])
    assert said.exit_code == 2 and f"NOT ANALYSED ({code})" in said.output
    assert not (tmp_path / "out").exists()


def test_the_command_writes_result_pictures_and_dicom_and_changes_nothing_in_the_study(tmp_path):
    write_phantom_study(tmp_path / "study", seed=21, slices=16, size=256, nodules=(30.0,))
    before = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (tmp_path / "study").iterdir()}
    (tmp_path / "study" / "README.txt").write_text("not DICOM")
    said = CliRunner().invoke(build(("analyse",)), ["analyse", str(tmp_path / "study"), str(tmp_path / "out")])
    assert said.exit_code == 0, said.output
    assert {"result.json", "overlay-1.png", "seg.dcm", "sr.dcm", "sc-1.dcm"} <= {
        p.name for p in (tmp_path / "out").iterdir()
    }
    (tmp_path / "study" / "README.txt").unlink()
    assert {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (tmp_path / "study").iterdir()} == before


def test_the_card_tells_of_the_model_that_is_approved():
    card = ROOT / "docs" / "model-card"
    metrics, text, model = (
        json.loads((card / "metrics.json").read_text()),
        (card / "README.md").read_text(),
        default_model(),
    )
    assert (metrics["model"], metrics["digest"]) == (model.version, model.digest)
    assert f"readfirst-chest {model.version}" in text and model.digest[:12] in text and "NOT FOR DIAGNOSIS" in text
    for size, shares in metrics["sensitivity by size, mm [share, low, high, lesions]"].items():
        assert f"| {size} mm (n={shares['model'][3]:.0f}) | {shares['model'][0]:.2f} " in text


@needs_real
@pytest.mark.parametrize("turned", [False, True], ids=["as it is", "from head to feet"])
def test_the_order_of_the_files_changes_nothing(engine, tmp_path, turned):
    for k, path in enumerate(sorted((REAL / "LIDC-IDRI-0003").iterdir(), reverse=turned)):
        (tmp_path / f"{k:03d}").write_bytes(path.read_bytes())
    volume, reading = seen(engine, tmp_path)
    assert [h.SOPInstanceUID for h in volume.headers] == [
        pydicom.dcmread(io.BytesIO(p.read_bytes())).SOPInstanceUID
        for p in sorted((REAL / "LIDC-IDRI-0003").iterdir(), key=lambda p: float(p.stem[1:]))
    ]
    assert reading.detections[0].diameter_mm == pytest.approx(26, abs=4)
