"""MONAI Model Zoo bundles drop in: segmentation, detection and classification, in the zoo's layout, random weights.

The configurations are written here in the shape of `spleen_ct_segmentation`, `lung_nodule_ct_detection` and
`breast_density_classification`: the same keys, transforms, networks and references. What their weights would find is
not tested: nobody can install them here. With READFIRST_ZOO=model-zoo/models the zoo's own files run as well.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

if os.environ.get("CI") != "true":
    pytest.importorskip("torch", reason="torch is not installed (model_container/requirements-bundles.txt)")
    pytest.importorskip("monai", reason="monai is not installed (model_container/requirements-bundles.txt)")

from model_container.engines.engine import ModelFailed
from model_container.engines.monai.engine import BundleEngine
from model_container.engines.registry import ModelRegistry, digests
from model_container.images.radiograph import read_projection
from model_container.images.volume import Volume
from readfirst.cli import build
from readfirst.domain.analysis.findings import Code
from readfirst.domain.analysis.models import Channel, Gate, Manifest, RiskRule
from tests.model.files import radiograph

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

    from model_container.engines.monai.torchvision_shim import stand_in_for_torchvision

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
        files=digests(folder), channels=(Channel(index=index, kind="thing", concept=THING, category=3),),
        risk=RiskRule(min_probability=0.5, report_from=0.0, text="any"),
        **{"gate": Gate(modalities=("CT",), body_parts=("CHEST",)), **further},
    )  # fmt: skip


@pytest.fixture(scope="module")
def volume():
    """A small volume, off centre and not cubic, so that a swapped axis shows."""
    hu = np.random.default_rng(1).normal(20, 60, (16, 48, 64)).astype(np.int16)
    positions = np.array([[-30.0, 12.0, -80.0 + 2.5 * k] for k in range(16)])
    return Volume(hu, positions, np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), (1.4, 1.4), 2.5, (), (0,) * 16)


def test_a_zoo_segmentation_runs_unchanged_and_its_findings_lie_in_the_volume(tmp_path, volume):
    manifest = bundle(tmp_path / "spleen", SEGMENTATION, "segmentation", 1)
    loaded, engine = ModelRegistry(tmp_path, allowed=[manifest]).load(manifest.digest)
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
    engine = ModelRegistry(tmp_path, allowed=[manifest]).load(manifest.digest)[1]
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
    engine = ModelRegistry(tmp_path, allowed=[manifest]).load(manifest.digest)[1]
    try:
        (found,) = engine.read(volume, lambda _: None).detections
    finally:
        engine.close()
    assert 0 < found.probability < 1 and found.mask is None and found.diameter_mm == 0
    assert 0 <= found.key_slice < 16


FEET = """import torch

class Feet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, x):  # batch, channel, column, row: how bright the lower half is
        grey = x[..., x.shape[-1] // 2 :].mean((1, 2, 3)) * self.weight
        return torch.stack((0.5 - grey, grey - 0.5), 1) * 4
"""
RADIOGRAPHS = CLASSIFICATION | {
    "network_def": {"_target_": "scripts.feet.Feet"},
    "preprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "LoadImaged", "keys": "image"},
            {"_target_": "EnsureChannelFirstd", "keys": "image"},
            scaled(0, 4095) | {"keys": "image"},
            {"_target_": "Resized", "keys": "image", "spatial_size": [64, 64]},
        ],
    },
}
IN_COLOURS = {"settings": {"preprocessing#transforms#2#a_max": 255}, "pictures": (2047.5, 4095)}


@pytest.mark.parametrize("further", [{}, IN_COLOURS], ids=["a plane of grey values", "a picture in three colours"])
def test_a_classification_of_radiographs_drops_in_and_sees_them_upright_in_one_polarity(tmp_path, further):
    """A network that answers how bright the lower half is: what it says is what it was shown."""
    import torch

    folder = tmp_path / "chest-x-ray"
    (folder / "scripts").mkdir(parents=True)
    (folder / "scripts" / "__init__.py").write_text("")
    (folder / "scripts" / "feet.py").write_text(FEET)
    further = {"gate": Gate(modalities=("DX", "CR"), body_parts=("CHEST",)), **further}
    manifest = bundle(folder, RADIOGRAPHS, "classification", 1, {"weight": torch.ones(1)}, **further)
    engine = ModelRegistry(tmp_path, allowed=[manifest]).load(manifest.digest)[1]
    pixels = np.full((160, 128), 1000, "<u2")
    pixels[80:] = 3500
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    plain = radiograph(PixelData=pixels.tobytes(), **window)
    turned = radiograph(PixelData=(4095 - pixels).tobytes(), PhotometricInterpretation="MONOCHROME1", **window)
    try:
        answers = [engine.read(read_projection(content), lambda _: None).detections for content in (plain, turned)]
    finally:
        engine.close()
    for (found,) in answers:
        assert found.probability == pytest.approx(1 / (1 + np.exp(-4 * (3500 / 4095 - 0.5))), abs=0.01)
        assert found.mask is None and found.key_slice == 0


# What a bundle's own code tries, and what is said of it; the volume's first voxel chooses, so that one process serves.
MISCHIEF = [
    ("__import__('socket').create_connection(('127.0.0.1', 9))", "may not do: socket"),
    ("os.system('true')", r"may not do: os\.system"),
    ("open('/etc/readfirst-was-here', 'w')", "may not do: open outside of"),
    ("os.rename(__import__('tempfile').mkstemp()[1], '/etc/readfirst-was-here')", r"may not do: os\.rename outside of"),
    ("os.symlink('/etc/passwd', '/etc/readfirst-was-here')", r"may not do: os\.symlink outside of"),
    ("open('/proc/%d/environ' % os.getppid())", "may not do: reading another process"),
    ("os.kill(os.getppid(), 15)", r"may not do: os\.kill"),
    ("int('a patient\\'s name')", r"its network or inferer fails \(ValueError in scripts/mischief\.py:\d+\)$"),
    ("{'pred': image}", "answers with a dict instead of one tensor"),
    ("image[..., 1:]", "answers with another size than it was given"),
    ("image", "has 1 channels, from 0; the manifest names 1"),
    ("torch.full_like(torch.cat((image, image), 1), float('nan'))", "its answer holds values that are not numbers"),
    ("__import__('time').sleep(3600)", "it took longer than 0.02 minutes"),
    ("os._exit(3)", r"its process ended \(exit status 3\)"),
    ("os.abort()", r"its process ended \(SIGABRT\)"),
    ("(os.write(1, b'{\"ok\": true}\\n'), print('hello'), torch.cat((-image, image), 1))[2]", None),
]  # fmt: skip


@pytest.fixture(scope="module")
def mischief(tmp_path_factory):
    import torch

    folder = tmp_path_factory.mktemp("zoo") / "mischief"
    (folder / "scripts").mkdir(parents=True)
    (folder / "scripts" / "__init__.py").write_text("")
    (folder / "scripts" / "mischief.py").write_text(
        "import os\nimport torch\n\nclass Inferer:\n    def __call__(self, image, network):\n"
        "        tries = [" + ", ".join(f"lambda: {expression}" for expression, _ in MISCHIEF) + "]\n"
        "        return tries[int(image.flatten()[0])]()\n"
    )
    config = SEGMENTATION | {
        "network_def": {"_target_": "torch.nn.Linear", "in_features": 1, "out_features": 1},
        "preprocessing": loading(), "inferer": {"_target_": "scripts.mischief.Inferer"},
    }  # fmt: skip
    weights = torch.nn.Linear(1, 1).state_dict()
    manifest = bundle(folder, config, "segmentation", 1, weights)
    engine = BundleEngine(folder, manifest)
    yield engine
    engine.close()


@pytest.mark.parametrize(("number", "what"), list(enumerate(w for _, w in MISCHIEF)), ids=[e for e, _ in MISCHIEF])
def test_whatever_a_bundle_s_code_tries_the_study_s_answer_says_it_without_content_and_the_next_study_runs(
    mischief, volume, number, what, monkeypatch
):
    """What ends its process ends this study alone: the cases run one after the other, in the same engine."""
    noted = replace(volume, hu=np.full_like(volume.hu, number))
    if what is None:
        assert mischief.read(noted, lambda _: None).detections
        return
    if "longer than" in what:
        monkeypatch.setattr(mischief, "manifest", mischief.manifest.model_copy(update={"patience_minutes": 0.02}))
    with pytest.raises(ModelFailed, match=f"^the bundle failed: .*{what}") as refused:
        mischief.read(noted, lambda _: None)
    assert "patient" not in str(refused.value)
    assert not Path("/etc/readfirst-was-here").exists()


def test_channels_that_may_overlap_are_told_apart_and_a_hundred_others_are_never_brought_back(tmp_path, volume):
    """A sigmoid says of each voxel everything that it is; a whole body's softmax the one thing that it is."""
    import torch

    bodies = (
        "import torch\n\nclass Echo(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.weight = torch.nn.Parameter(torch.ones(1))\n\n    def forward(self, x):\n"
        "        y = torch.zeros_like(x).repeat(1, 105, 1, 1, 1) - 20\n        y[:, 0] = 1\n"
        "        y[:, 7] = y[:, 9] = (x[:, 0] - 0.5) * 20 * self.weight\n        y[:, 9] += 1\n        return y\n"
    )
    hu = np.zeros((16, 48, 64), np.int16)
    hu[4:9, 10:22, 30:50] = 100
    found = {}
    for how in ("softmax", "sigmoid"):
        folder = tmp_path / how
        (folder / "scripts").mkdir(parents=True)
        (folder / "scripts" / "__init__.py").write_text("")
        (folder / "scripts" / "echo.py").write_text(bodies)
        _, inverted, discrete, save = SEGMENTATION["postprocessing"]["transforms"]
        config = SEGMENTATION | {
            "key": "image",
            "network_def": {"_target_": "scripts.echo.Echo"},
            "preprocessing": loading({"_target_": "Spacingd", "pixdim": "$[1.0, 1.0, 2.0]"}, scaled(0, 100)),
            "postprocessing": {"_target_": "Compose", "transforms": [
                {"_target_": "Activationsd", "keys": "pred", how: True}, discrete,
                inverted | {"orig_keys": "@key", "nearest_interp": True}, save]},
            "checkpointloader": {"_target_": "CheckpointLoader", "load_path": "$@bundle_root + '/models/low.pt'"},
        }  # fmt: skip
        manifest = bundle(folder, config, "segmentation", 7, {"weight": torch.zeros(1)})
        torch.save({"weight": torch.ones(1)}, folder / "models" / "low.pt")  # which the configuration names
        both = (*manifest.channels, manifest.channels[0].model_copy(update={"index": 9, "kind": "other"}))
        engine = BundleEngine(folder, manifest.model_copy(update={"channels": both}))
        try:
            reading = engine.read(replace(volume, hu=hu), lambda _: None)
        finally:
            engine.close()
        found[how] = {d.channel.kind: d.centre for d in reading.detections}
    assert set(found["softmax"]) == {"other"} and set(found["sigmoid"]) == {"thing", "other"}
    for centre in (*found["softmax"].values(), *found["sigmoid"].values()):
        assert centre == pytest.approx((6, 15.5, 39.5), abs=0.6)


@pytest.mark.parametrize(("config", "task"), [(SEGMENTATION, "segmentation"), (DETECTION, "detection")], ids=str)
def test_a_network_that_gives_no_numbers_fails_and_does_not_say_that_there_is_nothing(tmp_path, volume, config, task):
    import torch

    folder = tmp_path / "empty"
    manifest = bundle(folder, config, task, 0)
    weights = torch.load(folder / "models" / "model.pt")
    torch.save({k: w * float("nan") if w.is_floating_point() else w for k, w in weights.items()},
               folder / "models" / "model.pt")  # fmt: skip
    engine = BundleEngine(folder, manifest)
    try:
        with pytest.raises(ModelFailed, match="its network gives values that are not numbers"):
            engine.read(volume, lambda _: None)
    finally:
        engine.close()


def test_an_operator_may_run_an_approved_bundle_on_noise_and_reads_what_its_code_says(tmp_path):
    four = SEGMENTATION | {"network_def": SEGMENTATION["network_def"] | {"in_channels": 4}}
    folder, approvals = tmp_path / "four", tmp_path / "approved.json"
    manifest = bundle(folder, four, "segmentation", 1)
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    command = ["model", "check", str(folder), "--run", "--approvals", str(approvals)]
    approvals.write_text("[]")
    refused = CliRunner().invoke(build(("model",)), command)
    assert refused.exit_code == 1 and "not approved" in refused.output and "run:" not in refused.output
    approvals.write_text(f"[{manifest.model_dump_json()}]")
    said = CliRunner().invoke(build(("model",)), command)
    assert said.exit_code == 1 and "It does not run" in said.output and "to have 4 channels" in said.output


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


def without_probabilities(folder, manifest):
    steps = {"_target_": "Compose", "transforms": SEGMENTATION["postprocessing"]["transforms"][1:]}
    (folder / "configs" / "inference.json").write_text(json.dumps(SEGMENTATION | {"postprocessing": steps}))
    return manifest


def other_weights(folder, manifest):
    loader = {"_target_": "CheckpointLoader", "load_path": "$@bundle_root + '/models/low.pt'"}
    (folder / "configs" / "inference.json").write_text(json.dumps(SEGMENTATION | {"handlers": [loader]}))
    return manifest


def loader_that_names_nothing(folder, manifest):
    loader = {"_target_": "CheckpointLoader", "load_path": "$@nothing + '/models/low.pt'"}
    (folder / "configs" / "inference.json").write_text(json.dumps(SEGMENTATION | {"handlers": [loader]}))
    return manifest


def setting_without_a_place(folder, manifest):
    return manifest.model_copy(update={"settings": {"no#such#place": 3}})


def other_network(folder, manifest):
    return manifest.model_copy(update={"settings": {"network_def#out_channels": 3}})


def calls_home(folder, manifest):
    device = "$__import__('urllib.request').request.urlopen('http://127.0.0.1:9')"
    return manifest.model_copy(update={"settings": {"device": device}})


@pytest.mark.parametrize(
    ("spoil", "what"),
    [(poisoned, "its weights are not plain weights"),
     (without_network, "its configuration has no network"),
     (without_probabilities, "its postprocessing gives no probabilities"),
     (other_weights, "its weights are missing: models/low.pt"),
     (loader_that_names_nothing, "its loader names no file of weights"),
     (setting_without_a_place, "its settings have no place in its configuration"),
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
    engine = ModelRegistry(tmp_path, allowed=[manifest]).load(manifest.digest)[1]
    try:
        assert engine.read(volume, lambda _: None).detections
    finally:
        engine.close()


def test_no_credential_reaches_a_bundle(tmp_path, volume, monkeypatch):
    monkeypatch.setenv("STUDIES", "AccountKey=secret")
    config = SEGMENTATION | {"known": "$1 / int('STUDIES' not in os.environ)", "inferer": {
        "_target_": "SlidingWindowInferer", "roi_size": "$[96 * int(@known)] * 3"}}  # fmt: skip
    engine = BundleEngine(tmp_path / "spy", bundle(tmp_path / "spy", config, "segmentation", 1))
    try:
        assert engine.read(volume, lambda _: None)
    finally:
        engine.close()
