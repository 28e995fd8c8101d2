"""Trains the default model on phantoms and writes safetensors and ONNX: `python -m model_container.training.train`.

Seeded: the same versions on the same kind of processor give the same weights. Two cores and some minutes are enough.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from model_container.training.anatomy import NODULE
from model_container.training.network import CLASSES, NEIGHBOURS, SLICES, ChestNet
from model_container.training.slabs import TRAINING, Slab, make_set

CROP, BATCH = 160, 8


class Crops:
    """Random crops of random slabs, half of them around a lesion, turned, stretched, warped and shifted in density."""

    def __init__(self, slabs: Sequence[Slab], rng: np.random.Generator) -> None:
        self.slabs, self.rng = slabs, rng
        self.with_lesions = [k for k, slab in enumerate(slabs) if (slab.labels == NODULE).any()]

    def batch(self) -> tuple[Tensor, Tensor]:
        """[BATCH, 5, CROP, CROP] in HU, and the classes of the middle slices."""
        pairs = [self._one(k % 2 == 0) for k in range(BATCH)]
        hu, labels = (torch.stack(part) for part in zip(*pairs, strict=True))
        grid = self._warp()
        hu = F.grid_sample(hu, grid, padding_mode="border", align_corners=False)
        labels = F.grid_sample(labels[:, None], grid, mode="nearest", padding_mode="border", align_corners=False)
        return hu, labels[:, 0].long()

    def _one(self, near_lesion: bool) -> tuple[Tensor, Tensor]:
        rng = self.rng
        pool = self.with_lesions if near_lesion else range(len(self.slabs))
        slab = self.slabs[pool[int(rng.integers(len(pool)))]]
        depth, height, width = slab.hu.shape
        z, row, column = int(rng.integers(depth)), int(rng.integers(height)), int(rng.integers(width))
        if near_lesion:
            spots = np.argwhere(slab.labels == NODULE)
            z, row, column = spots[int(rng.integers(len(spots)))] + np.array([0, *rng.integers(-50, 51, 2)])
        top = int(np.clip(row - CROP // 2, 0, height - CROP))
        left = int(np.clip(column - CROP // 2, 0, width - CROP))
        zs = np.clip(np.arange(z - NEIGHBOURS, z + NEIGHBOURS + 1), 0, depth - 1)
        hu = slab.hu[zs, top : top + CROP, left : left + CROP].astype(np.float32)
        labels = slab.labels[z, top : top + CROP, left : left + CROP]
        if rng.random() < 0.5:
            hu = hu[::-1]  # head and feet swapped
        hu = hu * rng.uniform(0.96, 1.04) + rng.normal(0, 15) + rng.normal(0, rng.uniform(0, 12), hu.shape)
        return torch.from_numpy(np.ascontiguousarray(hu, np.float32)), torch.from_numpy(labels.astype(np.float32))

    def _warp(self) -> Tensor:
        rng = self.rng
        base = F.affine_grid(torch.eye(2, 3)[None].repeat(BATCH, 1, 1), [BATCH, 1, CROP, CROP], align_corners=False)
        angle, scale = rng.normal(0, 0.15, BATCH), np.exp(rng.normal(0, 0.1, (BATCH, 2)))
        flip = rng.choice([-1.0, 1.0], BATCH)
        turn = np.stack([np.cos(angle) * scale[:, 0] * flip, -np.sin(angle) * scale[:, 1],
                         np.sin(angle) * scale[:, 0] * flip, np.cos(angle) * scale[:, 1]], -1)  # fmt: skip
        moved = base @ torch.from_numpy(turn.reshape(BATCH, 1, 2, 2).astype(np.float32)).transpose(-1, -2)
        push = torch.from_numpy(rng.normal(0, 0.05, (BATCH, 2, 5, 5)).astype(np.float32))
        push = F.interpolate(push, (CROP, CROP), mode="bicubic", align_corners=False)
        return moved + push.permute(0, 2, 3, 1)


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy that cares for the rare class, and Dice of every class over the whole batch."""
    weights = torch.tensor([1.0, 1.0, 1.0, 1.0, 4.0])
    entropy = F.cross_entropy(logits, labels, weights)
    shares = logits.softmax(1)
    truth = F.one_hot(labels, len(CLASSES)).permute(0, 3, 1, 2).to(shares.dtype)
    overlap, sizes = (shares * truth).sum((0, 2, 3)), (shares + truth).sum((0, 2, 3))
    dice = 1 - (2 * overlap + 50) / (sizes + 50)
    return entropy + dice.mean() + dice[NODULE]


def train(out: Path, *, slabs: int, iterations: int, seed: int = 1, threads: int = 2) -> ChestNet:
    """Trains, or goes on from the last kept state in `out`."""
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    net = ChestNet().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-4)
    state, first = out / "training.pt", 0
    if state.exists():
        kept = torch.load(state, weights_only=True)
        net.load_state_dict(kept["net"])
        optimiser.load_state_dict(kept["optimiser"])
        first = kept["step"]
    crops = Crops(make_set(TRAINING, slabs, out / "cache", threads), np.random.default_rng([seed, first]))
    started = time.monotonic()
    for step in range(first, iterations):
        rate = 3e-3 * min(1.0, (step + 1) / 50) * 0.5 * (1 + math.cos(math.pi * step / iterations))
        for group in optimiser.param_groups:
            group["lr"] = max(rate, 1e-5)
        hu, labels = crops.batch()
        optimiser.zero_grad(set_to_none=True)
        loss = loss_of(net(hu.to(memory_format=torch.channels_last)), labels)
        loss.backward()
        optimiser.step()
        if step % 50 == 49:
            sys.stdout.write(f"step {step + 1} loss {loss.item():.3f} {time.monotonic() - started:.0f} s\n")
            sys.stdout.flush()
        if step % 250 == 249:
            torch.save({"net": net.state_dict(), "optimiser": optimiser.state_dict(), "step": step + 1}, state)
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, out / "model.safetensors")
    return net


class Shares(torch.nn.Module):
    """The network and its softmax: what the job runs."""

    def __init__(self, net: ChestNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, hu: Tensor) -> Tensor:
        return self.net(hu).softmax(1)


def export(weights: Path, target: Path) -> None:
    """Writes the network as ONNX with free batch, rows and columns; its output are class probabilities."""
    net = ChestNet()
    net.load_state_dict(load_file(weights))
    whole = Shares(net).eval()
    size = torch.export.Dim("rows16", min=2, max=96) * 16, torch.export.Dim("columns16", min=2, max=96) * 16
    batch = torch.export.Dim("batch", min=1, max=256)
    torch.onnx.export(
        whole, (torch.zeros(2, SLICES, 64, 96),), target, output_names=["classes"],
        dynamic_shapes=({0: batch, 2: size[0], 3: size[1]},), dynamo=True, external_data=False, verbose=False,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/model"))
    parser.add_argument("--slabs", type=int, default=600)
    parser.add_argument("--iterations", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    train(options.out, slabs=options.slabs, iterations=options.iterations, threads=options.threads)
    export(options.out / "model.safetensors", options.out / "model.onnx")


if __name__ == "__main__":
    main()
