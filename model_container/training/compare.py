"""The same network the usual way, for `readfirst bench inference`: torch and MONAI, eager, called whole for every box.

`use_torch()` gives the job's engine that network, all else being the same; `python -m model_container.training.compare
FOLDER` prints the milliseconds of the network for all boxes of a study, eager and channels last, as JSON.
"""

from __future__ import annotations

import io
import json
import sys
import time
from pathlib import Path

import numpy as np
import pydicom
import torch
from numpy.typing import NDArray

from model_container.engines.chest import engine
from model_container.engines.chest.candidates import find_lungs, find_spots, to_scene
from model_container.engines.chest.engine import boxes_at
from model_container.engines.registry import MODELS
from model_container.images.volume import read_volume
from model_container.training.network import NoduleNet, trained

_BATCH = 16


class TorchNetwork:
    """Stands in for `chest.Network`."""

    device, batch, at_once = "cpu", _BATCH, 1  # torch itself uses all cores

    def __init__(self, folder: Path) -> None:
        self._net = trained(folder / "model.safetensors")

    def judge(self, boxes: NDArray[np.float32], about: NDArray[np.float32]) -> NDArray[np.float32]:
        """As the ONNX network answers."""
        return self.outline(boxes, about)[0]

    def outline(
        self, boxes: NDArray[np.float32], about: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """As the ONNX network answers."""
        with torch.inference_mode():
            logits, masks = self._net(torch.from_numpy(boxes), torch.from_numpy(about))
            return logits.numpy(), masks.sigmoid().numpy()


def use_torch() -> None:
    """From now on, engines of this process load the network into torch."""
    engine.Network = TorchNetwork  # type: ignore[assignment, misc]


def boxes_of(folder: Path) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Every box of the first look, in batches, as the network takes them."""
    files = [path.read_bytes() for path in folder.iterdir()]
    files.sort(key=lambda content: float(pydicom.dcmread(io.BytesIO(content)).ImagePositionPatient[2]))
    volume = read_volume(files)
    scene = to_scene(volume)
    places = [(spot.at, spot.diameter) for spot in find_spots(scene, find_lungs(scene))]
    boxes, about = (torch.from_numpy(part) for part in boxes_at(scene, places, volume.spacing))
    return list(zip(boxes.split(_BATCH), about.split(_BATCH), strict=True))


def run(net: NoduleNet, batches: list[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """Judges every box, without outlines; returns seconds."""
    started = time.perf_counter()
    with torch.inference_mode():
        for boxes, about in batches:
            net.look(boxes, about)
    return time.perf_counter() - started


def main() -> None:
    batches, net = boxes_of(Path(sys.argv[1])), trained(MODELS / "readfirst-chest" / "model.safetensors")
    answer = {}
    for name, layout in (("eager", torch.contiguous_format), ("channels last", torch.channels_last)):
        net = net.to(memory_format=layout)
        run(net, batches)
        answer[name] = run(net, batches) * 1000
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
