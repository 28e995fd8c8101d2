"""MONAI Model Zoo bundles drop in: a 3D segmentation and a 3D detection, in the zoo's own layout, random weights.

The configurations are written here in the shape of `spleen_ct_segmentation` and `lung_nodule_ct_detection`: the same
keys, transforms, networks and references. What their weights would find is not tested: nobody can install them here.
"""

from __future__ import annotations

import json
import os

import numpy as np
import pytest

if os.environ.get("CI") != "true":
    pytest.importorskip("torch", reason="torch is not installed (model_container/requirements-bundles.txt)")
    pytest.importorskip("monai", reason="monai is not installed (model_container/requirements-bundles.txt)")

from model_container.bundles import Shelf, digests
from model_container.monai_bundle import BundleEngine, BundleFailed
from model_container.volume import Volume
from readfirst.domain.findings import Code
from readfirst.domain.models import Channel, Gate, Manifest, RiskRule

pytestmark = [pytest.mark.torch, pytest.mark.slow, pytest.mark.timeout(300)]

DEVICE = "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')"


def loading(*further):
    keys = {"keys": "image"}
    return {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "LoadImaged"} | keys,
            {"_target_": "EnsureChannelFirstd"} | keys,
            {"_target_": "Orientationd", "axcodes": "RAS"} | keys,
            *[step | keys for step in further],
            {"_target_": "EnsureTyped"} | keys,
        ],
    }


def scaled(low, high):
    return {"_target_": "ScaleIntensityRanged", "a_min": low, "a_max": high, "b_min": 0, "b_max": 1, "clip": True}


SEGMENTATION = {
    "imports": ["$import glob", "$import os"],
    "bundle_root": ".",
    "output_dir": "$@bundle_root + '/eval'",
    "dataset_dir": "/workspace/data",
    "datalist": "$list(sorted(glob.glob(@dataset_dir + '/imagesTs/*.nii.gz')))",
    "device": DEVICE,
    "network_def": {
        "_target_": "UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 2,
        "channels": [16, 32, 64, 128, 256], "strides": [2, 2, 2, 2], "num_res_units": 2, "norm": "batch",
    },
    "network": "$@network_def.to(@device)",
    "preprocessing": loading(
        {"_target_": "Spacingd", "pixdim": [1.5, 1.5, 2.0], "mode": "bilinear"}, scaled(-57, 164)
    ),
    "dataset": {"_target_": "Dataset", "data": "$[{'image': i} for i in @datalist]", "transform": "@preprocessing"},
    "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "num_workers": 4},
    "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [96, 96, 96], "sw_batch_size": 4, "overlap": 0.5},
    "postprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "Activationsd", "keys": "pred", "softmax": True},
            {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "image",
             "nearest_interp": False, "to_tensor": True},
            {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
            {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir"},
        ],
    },
    "evaluator": {"_target_": "SupervisedEvaluator", "device": "@device", "network": "@network"},
}  # fmt: skip

THING = Code(value="1", scheme="99T", meaning="Thing")
FPN = """
import torch
from collections import OrderedDict

class Fpn(torch.nn.Module):
    out_channels = 256

    def __init__(self, backbone):
        super().__init__()
        self.body = backbone
        self.inner = torch.nn.ModuleList([torch.nn.Conv3d(c, 256, 1) for c in (256, 512)])

    def forward(self, x):
        body = self.body
        first = body.layer1(body.maxpool(body.act(body.bn1(body.conv1(x)))))
        maps = [self.inner[0](first), self.inner[1](body.layer2(first))]
        maps.append(torch.nn.functional.max_pool3d(maps[-1], 1, 2))
        return OrderedDict((str(k), m) for k, m in enumerate(maps))
"""

DETECTION = {
    "imports": ["$import glob", "$import os"],
    "bundle_root": "./",
    "test_datalist": "$monai.data.load_decathlon_datalist('/nowhere/dataset_fold0.json')",
    "device": DEVICE,
    "infer_patch_size": [512, 512, 192],
    "anchor_generator": {
        "_target_": "monai.apps.detection.utils.anchor_utils.AnchorGeneratorWithAnchorShape",
        "feature_map_scales": [1, 2, 4], "base_anchor_shapes": [[6, 8, 4], [8, 6, 5], [10, 10, 6]],
    },
    "backbone": "$monai.networks.nets.resnet.resnet50("
    "spatial_dims=3,n_input_channels=1,conv1_t_stride=[2,2,1],conv1_t_size=[7,7,7])",
    # The zoo calls a helper of MONAI's that needs torchvision, which has no build for this place: FPN stands for it.
    "feature_extractor": {"_target_": "scripts.fpn.Fpn", "backbone": "@backbone"},
    "network_def": {
        "_target_": "RetinaNet", "spatial_dims": 3, "num_classes": 1, "num_anchors": 3,
        "feature_extractor": "@feature_extractor", "size_divisible": [16, 16, 8],
    },
    "network": "$@network_def.to(@device)",
    "detector": {"_target_": "RetinaNetDetector", "network": "@network", "anchor_generator": "@anchor_generator"},
    "detector_ops": [
        "$@detector.set_target_keys(box_key='box', label_key='label')",
        "$@detector.set_box_selector_parameters("
        "score_thresh=0.02,topk_candidates_per_level=1000,nms_thresh=0.22,detections_per_img=300)",
        "$@detector.set_sliding_window_inferer("
        "roi_size=@infer_patch_size,overlap=0.25,sw_batch_size=1,mode='constant',device='cpu')",
    ],
    "preprocessing": loading(scaled(-1024.0, 300.0)),
    "inferer": {"_target_": "scripts.detection_inferer.RetinaNetInferer", "detector": "@detector"},
    "evaluator": {"_target_": "scripts.evaluator.DetectionEvaluator", "inferer": "@inferer"},
}  # fmt: skip


def bundle(folder, config, task, index, weights=None):
    """Writes a bundle with these weights, or random ones for the configuration's own network; returns its manifest."""
    import torch
    from monai.bundle import ConfigParser

    torch.manual_seed(5)
    for name in ("configs", "models"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    if weights is None:
        weights = ConfigParser(json.loads(json.dumps(config))).get_parsed_content("network").state_dict()
    torch.save(weights, folder / "models" / "model.pt")
    return Manifest(
        name=folder.name, version="1", title="zoo", engine="monai-bundle", task=task, intended_use="detection",
        files=digests(folder), gate=Gate(modalities=("CT",), body_parts=("CHEST",)),
        channels=(Channel(index=index, kind="thing", concept=THING, category=3),),
        risk=RiskRule(min_probability=0.5, report_from=0.0, text="any"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def volume():
    """A small volume, off centre and not cubic, so that a swapped axis shows."""
    hu = np.random.default_rng(1).normal(20, 60, (16, 48, 64)).astype(np.int16)
    positions = np.array([[-30.0, 12.0, -80.0 + 2.5 * k] for k in range(16)])
    return Volume(hu, positions, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (1.4, 1.4), 2.5, (), (1,) * 16)


def test_a_zoo_segmentation_runs_unchanged_and_its_findings_lie_in_the_volume(tmp_path, volume):
    manifest = bundle(tmp_path / "spleen", SEGMENTATION, "segmentation", 1)
    loaded, engine = Shelf(tmp_path, allowed=[manifest]).load(manifest.digest)
    shares = []
    try:
        reading = engine.read(volume, shares.append)
        again = engine.read(volume, lambda _: None)
    finally:
        engine.close()
    assert loaded == manifest and shares == [0.0, 1.0]
    assert reading.detections and reading.detections[0].mask.voxels.any()
    for found in reading.detections:
        assert 0 < found.probability <= 1
        assert all(a >= 0 and a + n <= size for a, n, size in zip(
            found.mask.start, found.mask.voxels.shape, volume.hu.shape, strict=True))  # fmt: skip
    assert [d.probability for d in again.detections] == [d.probability for d in reading.detections]


def test_a_zoo_detection_runs_and_its_boxes_are_findings(tmp_path, volume, monkeypatch):
    scripts = tmp_path / "nodules" / "scripts"
    scripts.mkdir(parents=True)
    (scripts / "fpn.py").write_text(FPN)
    monkeypatch.syspath_prepend(str(scripts.parent))
    manifest = bundle(tmp_path / "nodules", DETECTION, "detection", 0)
    engine = Shelf(tmp_path, allowed=[manifest]).load(manifest.digest)[1]
    try:
        reading = engine.read(volume, lambda _: None)
    finally:
        engine.close()
    assert reading.detections
    assert all(0.02 <= d.probability <= 1 and d.diameter_mm > 0 for d in reading.detections)


def test_the_place_of_a_known_shape_survives_the_way_through_the_bundle(tmp_path, volume):
    """A network that answers with its own input: what is dense must come back where it was."""
    import torch

    config = SEGMENTATION | {
        "network_def": {"_target_": "scripts.echo.Echo"},
        "network": "$@network_def.to(@device)",
        "preprocessing": loading(
            {"_target_": "Spacingd", "pixdim": [1.0, 1.0, 2.0], "mode": "bilinear"}, scaled(0, 100)
        ),
    }
    folder = tmp_path / "echo"
    (folder / "scripts").mkdir(parents=True)
    (folder / "scripts" / "__init__.py").write_text("")
    (folder / "scripts" / "echo.py").write_text(
        "import torch\n\nclass Echo(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.weight = torch.nn.Parameter(torch.ones(1))\n\n"
        "    def forward(self, x):\n        return torch.cat((0.5 - x, x - 0.5), 1) * 20 * self.weight\n"
    )
    manifest = bundle(folder, config, "segmentation", 1, {"weight": torch.ones(1)})
    hu = np.zeros((16, 48, 64), np.int16)
    hu[4:9, 10:22, 30:50] = 100
    blocked = Volume(hu, volume.positions, volume.along_columns, volume.along_rows, (1.4, 1.4), 2.5, (), (1,) * 16)
    engine = BundleEngine(folder, manifest)
    try:
        (found,) = engine.read(blocked, lambda _: None).detections
    finally:
        engine.close()
    assert found.centre == pytest.approx((6, 15.5, 39.5), abs=0.6)
    assert found.mask.voxels.sum() == pytest.approx(5 * 12 * 20, rel=0.2)


@pytest.mark.parametrize(
    ("expression", "kind"),
    [("__import__('socket').create_connection(('127.0.0.1', 9))", "PermissionError"),
     ("__import__('os').system('true')", "PermissionError"),
     ("1 / 0", "ZeroDivisionError")],
)  # fmt: skip
def test_a_bundle_that_opens_a_connection_starts_a_program_or_breaks_fails_without_content(
    tmp_path, volume, expression, kind
):
    config = SEGMENTATION | {"inferer": f"${expression}"}
    engine = BundleEngine(tmp_path / "bad", bundle(tmp_path / "bad", config, "segmentation", 1))
    try:
        with pytest.raises(BundleFailed, match=f"^the bundle failed: (RuntimeError|{kind})$"):
            engine.read(volume, lambda _: None)
    finally:
        engine.close()


def test_weights_that_hold_more_than_weights_are_not_loaded(tmp_path):
    import torch

    manifest = bundle(tmp_path / "evil", SEGMENTATION, "segmentation", 1)

    class Evil:
        def __reduce__(self):
            return (print, ("owned",))

    torch.save({"model": Evil()}, tmp_path / "evil" / "models" / "model.pt")
    with pytest.raises(BundleFailed):
        BundleEngine(tmp_path / "evil", manifest)


def test_no_credential_reaches_a_bundle(tmp_path, volume, monkeypatch):
    monkeypatch.setenv("STUDIES", "AccountKey=secret")
    config = SEGMENTATION | {"inferer": "$1 / (0 if 'STUDIES' not in os.environ else 1)"}
    engine = BundleEngine(tmp_path / "spy", bundle(tmp_path / "spy", config, "segmentation", 1))
    try:
        with pytest.raises(BundleFailed, match=r"RuntimeError|ZeroDivisionError"):
            engine.read(volume, lambda _: None)
    finally:
        engine.close()
