"""Trains the default model on phantoms and writes safetensors and ONNX: `python -m model_container.training.train`.

Seeded: the same versions on the same kind of processor give the same weights. Two free cores and
a quarter of an hour are enough.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from model_container.engines.chest.crops import SHAPE
from model_container.training.network import NoduleNet, trained
from model_container.training.samples import Samples

HITS, TRUE, OTHERS, WORLDS = 6, 5, 13, 8  # boxes of a batch: spots that are lesions, lesions, other spots, drawn boxes
_RATE = 3e-3


def loss_of(logits: Tensor, masks: Tensor, truth: Tensor, labels: Tensor) -> Tensor:
    """The verdict, and the outline where there is something to outline."""
    verdict = functional.binary_cross_entropy_with_logits(logits, labels * 0.98 + 0.01)
    voxels = functional.binary_cross_entropy_with_logits(masks, truth)
    mine = labels > 0.5
    shares, wanted = masks[mine].sigmoid(), truth[mine]
    overlap, sizes = (shares * wanted).sum((1, 2, 3)), (shares + wanted).sum((1, 2, 3))
    return verdict + 2 * voxels + 0.5 * (1 - (2 * overlap + 5) / (sizes + 5)).mean()


def train(out: Path, *, slabs: int, worlds: int, iterations: int, seed: int = 1, workers: int = 2) -> NoduleNet:
    """Trains from scratch and writes the weights."""
    torch.manual_seed(seed)
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # every value is written before it is read
    started = time.monotonic()
    samples = Samples(slabs, worlds, np.random.default_rng(seed), workers)
    _say(f"{len(samples.true)} lesions, {len(samples.hits)} spots on them, {len(samples.others)} others", started)
    net = NoduleNet()
    optimiser = torch.optim.AdamW(net.parameters(), lr=_RATE, weight_decay=1e-3)
    recent: list[float] = []
    # The next batch is made beside this one's step, by one thread: so the order, and what comes out, stay the same.
    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as ahead:
        coming = ahead.submit(samples.batch, HITS, TRUE, OTHERS, WORLDS)
        for step in range(iterations):
            (hu, about, truth, labels), chosen = coming.result()
            coming = ahead.submit(samples.batch, HITS, TRUE, OTHERS, WORLDS)
            rate = _RATE * min(1.0, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * step / iterations))
            for group in optimiser.param_groups:
                group["lr"] = max(rate, 1e-5)
            optimiser.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=_has_bfloat16()):
                logits, masks = net(hu, about)
            loss = loss_of(logits.float(), masks.float(), truth, labels)
            loss.backward()
            optimiser.step()
            worry = logits.detach()[HITS + TRUE : HITS + TRUE + OTHERS].float().sigmoid().double().numpy()
            wait([coming])
            samples.worry[chosen] = worry
            recent.append(loss.item())
            if step % 100 == 99:
                _say(f"step {step + 1} of {iterations}, loss {np.mean(recent[-100:]):.3f}", started)
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, out / "model.safetensors")
    return net


def _has_bfloat16() -> bool:
    """Whether the processor multiplies in bfloat16: half the time, and no worse a model."""
    return bool(torch.backends.cpu.get_cpu_capability() == "AVX512" and torch.cpu._is_avx512_bf16_supported())


def _say(text: str, started: float) -> None:
    sys.stdout.write(f"{time.monotonic() - started:5.0f} s  {text}\n")
    sys.stdout.flush()


class Look(torch.nn.Module):
    """The network's first half: what the job runs for every place."""

    def __init__(self, net: NoduleNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, hu: Tensor, about: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.net.look(hu, about)


class Draw(torch.nn.Module):
    """Its second half, for the few places that are likely: the outline as shares."""

    def __init__(self, net: NoduleNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, shallow: Tensor, middle: Tensor, deep: Tensor) -> Tensor:
        return self.net.draw(shallow, middle, deep).sigmoid()


def export(weights: Path, folder: Path) -> None:
    """Writes both halves as ONNX, each with a free batch: look.onnx and draw.onnx."""
    net = trained(weights)
    boxes = (torch.zeros(2, *SHAPE), torch.ones(2, 2))
    seen = net.look(*boxes)[1:]
    _write_onnx(Look(net), boxes, folder / "look.onnx", ["logit", "shallow", "middle", "deep"])
    _write_onnx(Draw(net), seen, folder / "draw.onnx", ["share"])


def _write_onnx(half: torch.nn.Module, inputs: tuple[Tensor, ...], target: Path, outputs: list[str]) -> None:
    batch = torch.export.Dim("batch", min=1, max=4096)
    torch.onnx.export(
        half.eval(), inputs, target, output_names=outputs, dynamic_shapes=tuple({0: batch} for _ in inputs),
        dynamo=True, external_data=False, verbose=False,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/model"))
    parser.add_argument("--slabs", type=int, default=320)
    parser.add_argument("--worlds", type=int, default=5000)
    parser.add_argument("--iterations", type=int, default=3000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    sizes = {"slabs": options.slabs, "worlds": options.worlds, "iterations": options.iterations}
    train(options.out, workers=options.workers, **sizes)
    export(options.out / "model.safetensors", options.out)


if __name__ == "__main__":
    main()
