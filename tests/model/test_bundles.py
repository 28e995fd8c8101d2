"""MONAI Model Zoo bundles drop in: segmentation, detection and classification, in the zoo's layout, random weights.

The configurations are written here in the shape of `spleen_ct_segmentation`, `lung_nodule_ct_detection` and
`breast_density_classification`: the same keys, transforms, networks and references. What their weights would find is
not tested: nobody can install them here. With READFIRST_ZOO=model-zoo/models the zoo's own files run as well.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

if os.environ.get("CI") != "true":
    pytest.importorskip("torch", reason="torch is not installed (model_container/requirements-bundles.txt)")
    pytest.importorskip("monai", reason="monai is not installed (model_container/requirements-bundles.txt)")

from model_container.bundles import Shelf, digests
from model_container.monai_bundle import BundleEngine
from model_container.reading import ModelFailed
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
    "feature_extractor": "$monai.apps.detection.networks.retinanet_network.resnet_fpn_feature_extractor("
    "@backbone,3,False,[1,2],None)",
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


CLASSIFICATION = {
    "import": ["$import glob", "$import os", "$import torchvision"],
    "bundle_root": ".",
    "data": {"_target_": "scripts.createList.CreateImageLabelList", "filename": "./configs/sample_image_data.json"},
    "device": DEVICE,
    "network_def": {"_target_": "TorchVisionFCModel", "model_name": "inception_v3", "num_classes": 4},
    "network": "$@network_def.to(@device)",
    "preprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "LoadImaged", "keys": "image"},
            {"_target_": "EnsureChannelFirstd", "keys": "image"},
            {"_target_": "ScaleIntensityd", "keys": "image", "minv": 0.0, "maxv": 1.0},
            {"_target_": "Resized", "keys": "image", "spatial_size": [299, 299]},
        ],
    },
    "inferer": {"_target_": "SimpleInferer"},
    "postprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "Activationsd", "keys": "pred", "sigmoid": True},
            {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.5},
        ],
    },
}  # fmt: skip
# The zoo's network needs torchvision: an operator replaces it, and approves the setting with the bundle.
NEWER = {
    "preprocessing#transforms#2": {"_target_": "EnsureChannelFirstd", "keys": "image"}
}  # MONAI 1.3's has a key more
SMALL = {"network_def": {"_target_": "DenseNet", "spatial_dims": 2, "in_channels": 3, "out_channels": 4,
                         "init_features": 8, "growth_rate": 4, "block_config": [2, 2]}}  # fmt: skip


def bundle(folder, config, task, index, weights=None, **further):
    """Writes a bundle with these weights, or random ones for the configuration's own network; returns its manifest."""
    import torch
    from monai.bundle import ConfigParser

    from model_container.layers import stand_in_for_torchvision

    stand_in_for_torchvision()
    torch.manual_seed(5)
    for name in ("configs", "models"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    if weights is None:
        parser = ConfigParser(json.loads(json.dumps(config)))
        for name, value in further.get("settings", {}).items():
            parser[name] = value
        weights = parser.get_parsed_content("network").state_dict()
    torch.save(weights, folder / "models" / "model.pt")
    return Manifest(
        name=folder.name, version="1", title="zoo", engine="monai-bundle", task=task, intended_use="detection",
        files=digests(folder), gate=Gate(modalities=("CT",), body_parts=("CHEST",)),
        channels=(Channel(index=index, kind="thing", concept=THING, category=3),),
        risk=RiskRule(min_probability=0.5, report_from=0.0, text="any"), **further,
    )  # fmt: skip


@pytest.fixture(scope="module")
def volume():
    """A small volume, off centre and not cubic, so that a swapped axis shows."""
    hu = np.random.default_rng(1).normal(20, 60, (16, 48, 64)).astype(np.int16)
    positions = np.array([[-30.0, 12.0, -80.0 + 2.5 * k] for k in range(16)])
    return Volume(hu, positions, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (1.4, 1.4), 2.5, (), (0,) * 16)


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


def test_a_zoo_detection_runs_unchanged_and_its_boxes_are_findings(tmp_path, volume):
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
    blocked = Volume(hu, volume.positions, volume.along_columns, volume.along_rows, (1.4, 1.4), 2.5, (), (0,) * 16)
    engine = BundleEngine(folder, manifest)
    try:
        (found,) = engine.read(blocked, lambda _: None).detections
    finally:
        engine.close()
    assert found.centre == pytest.approx((6, 15.5, 39.5), abs=0.6)
    assert found.mask.voxels.sum() == pytest.approx(5 * 12 * 20, rel=0.2)


def test_a_zoo_classification_runs_on_every_slice_with_the_setting_that_was_approved(tmp_path, volume):
    further = {"settings": SMALL, "pictures": (-600, 1500)}
    manifest = bundle(tmp_path / "density", CLASSIFICATION, "classification", 2, **further)
    assert manifest.digest != manifest.model_copy(update={"settings": {}}).digest
    engine = Shelf(tmp_path, allowed=[manifest]).load(manifest.digest)[1]
    try:
        (found,) = engine.read(volume, lambda _: None).detections
    finally:
        engine.close()
    assert 0 < found.probability < 1 and found.mask is None and found.diameter_mm == 0
    assert 0 <= found.key_slice < 16


@pytest.mark.parametrize(
    ("expression", "what"),
    [("__import__('socket').create_connection(('127.0.0.1', 9))", "it tried what a bundle may not do: socket"),
     ("__import__('os').system('true')", r"it tried what a bundle may not do: os\.system"),
     ("open('/etc/readfirst-was-here', 'w')", "it tried what a bundle may not do: open outside of"),
     ("1 / 0", "(RuntimeError|ZeroDivisionError)$")],
)  # fmt: skip
def test_a_bundle_that_opens_a_connection_starts_a_program_writes_or_breaks_fails_with_that_and_without_content(
    tmp_path, volume, expression, what
):
    config = SEGMENTATION | {"inferer": f"${expression}"}
    engine = BundleEngine(tmp_path / "bad", bundle(tmp_path / "bad", config, "segmentation", 1))
    try:
        with pytest.raises(ModelFailed, match=f"^the bundle failed: {what}"):
            engine.read(volume, lambda _: None)
    finally:
        engine.close()


def poisoned(folder, manifest):
    import torch

    class Evil:
        def __reduce__(self):
            return (print, ("owned",))

    torch.save({"model": Evil()}, folder / "models" / "model.pt")
    return manifest


def without_network(folder, manifest):
    config = {name: value for name, value in SEGMENTATION.items() if name != "network"}
    (folder / "configs" / "inference.json").write_text(json.dumps(config))
    return manifest


def other_network(folder, manifest):
    return manifest.model_copy(update={"settings": {"network_def#out_channels": 3}})


def calls_home(folder, manifest):
    device = "$__import__('urllib.request').request.urlopen('http://127.0.0.1:9')"
    return manifest.model_copy(update={"settings": {"device": device}})


@pytest.mark.parametrize(
    ("spoil", "what"),
    [(poisoned, "its weights are no plain weights"),
     (without_network, "its device, preprocessing or network cannot be built"),
     (other_network, "its weights do not fit its network"),
     (calls_home, "its device.* cannot be built .it tried what a bundle may not do: socket")],
)  # fmt: skip
def test_a_bundle_that_cannot_be_loaded_says_why(tmp_path, spoil, what):
    folder = tmp_path / "spoilt"
    manifest = spoil(folder, bundle(folder, SEGMENTATION, "segmentation", 1))
    with pytest.raises(ModelFailed, match=what):
        BundleEngine(folder, manifest)


@pytest.mark.skipif("READFIRST_ZOO" not in os.environ, reason="READFIRST_ZOO names no checkout of the zoo")
@pytest.mark.parametrize(
    ("name", "task", "index", "further"),
    [("spleen_ct_segmentation", "segmentation", 1, {}),
     ("lung_nodule_ct_detection", "detection", 0, {"settings": NEWER}),
     ("breast_density_classification", "classification", 0, {"settings": SMALL, "pictures": (-600, 1500)})],
)  # fmt: skip
def test_the_zoo_s_own_configuration_runs_unchanged(tmp_path, volume, name, task, index, further):
    """With a checkout of Project-MONAI/model-zoo, whose files are not part of this repository."""
    config = json.loads((Path(os.environ["READFIRST_ZOO"]) / name / "configs/inference.json").read_text())
    manifest = bundle(tmp_path / name, config, task, index, **further)
    engine = Shelf(tmp_path, allowed=[manifest]).load(manifest.digest)[1]
    try:
        assert engine.read(volume, lambda _: None).detections
    finally:
        engine.close()


def test_no_credential_reaches_a_bundle(tmp_path, volume, monkeypatch):
    monkeypatch.setenv("STUDIES", "AccountKey=secret")
    config = SEGMENTATION | {"inferer": "$1 / (0 if 'STUDIES' not in os.environ else 1)"}
    engine = BundleEngine(tmp_path / "spy", bundle(tmp_path / "spy", config, "segmentation", 1))
    try:
        with pytest.raises(ModelFailed, match=r"RuntimeError|ZeroDivisionError"):
            engine.read(volume, lambda _: None)
    finally:
        engine.close()
