"""How the default model is made: seeded, repeatable, and what runs is what was trained."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed (model_container/training/requirements.txt)")
pytest.importorskip("monai", reason="monai is not installed (model_container/training/requirements.txt)")
pytest.importorskip("safetensors", reason="safetensors is not installed (model_container/training/requirements.txt)")

import torch

from model_container.engines.chest.crops import OUTSIDE, SHAPE
from model_container.engines.chest.engine import Network
from model_container.engines.registry import MODELS
from model_container.training.network import trained
from model_container.training.slabs import TRAINING, make_slab
from model_container.training.train import train
from readfirst.domain.analysis.models import default_model


@pytest.fixture
def boxes():
    rng = np.random.default_rng(3)
    hu = rng.normal(-600, 400, (5, *SHAPE)).astype(np.float32)
    hu[2, :6] = OUTSIDE  # beyond the first slice
    return hu, np.array([(1, 1.25), (1.4, 2.5), (2.2, 5), (3.1, 1), (5, 3)], np.float32)


def test_what_runs_is_what_was_trained(boxes):
    """The committed ONNX files hold the committed weights, and the two halves are one network."""
    folder = MODELS / default_model().name
    net = trained(folder / "model.safetensors")
    with torch.inference_mode():
        logits, masks = net(*(torch.from_numpy(part) for part in boxes))
    network = Network(folder)
    ours, shares = network.outline(*boxes)
    assert np.abs(ours - logits.numpy()).max() < 1e-3
    assert np.abs(shares - masks.sigmoid().numpy()).max() < 1e-3
    assert network.judge(*boxes) == pytest.approx(ours)


def test_training_again_gives_the_same_weights(tmp_path):
    for name in ("once", "again"):
        (tmp_path / name).mkdir()
        train(tmp_path / name, slabs=2, worlds=12, iterations=3)
    once, again = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("once", "again"))
    assert once == again


@pytest.mark.parametrize("index", range(4))
def test_lesions_of_a_training_slab_do_not_touch_one_another(index):
    lesions = make_slab(TRAINING, index).lesions
    for k, one in enumerate(lesions):
        assert all(math.dist(one.centre, o.centre) > (one.diameter + o.diameter) / 2 for o in lesions[:k])
