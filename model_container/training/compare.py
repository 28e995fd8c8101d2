"""The same network the usual way, for `readfirst bench`: torch and MONAI, eager, batch by batch.

`python -m model_container.training.compare cold FOLDER` reads and segments the files of a folder once;
`… warm FOLDER` prints the milliseconds of the network for all boxes of a study, eager and channels last, as JSON.
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import torch
from safetensors.torch import load_file

from model_container.bundles import MODELS
from model_container.chest import boxes_at
from model_container.lungs import find_lungs, find_spots, to_scene
from model_container.training.network import NoduleNet
from model_container.volume import read_volume

_BATCH = 16


def boxes_of(folder: Path) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Every box of the first look, in batches, as the network takes them."""
    files = [path.read_bytes() for path in folder.iterdir()]
    files.sort(key=lambda content: float(pydicom.dcmread(io.BytesIO(content)).ImagePositionPatient[2]))
    volume = read_volume(files)
    scene = to_scene(volume)
    places = [(spot.at, spot.diameter) for spot in find_spots(scene, find_lungs(scene))]
    boxes, about = (torch.from_numpy(part) for part in boxes_at(scene, places, volume.spacing))
    return list(zip(boxes.split(_BATCH), about.split(_BATCH), strict=True))


def network() -> NoduleNet:
    """The committed weights."""
    net = NoduleNet().eval()
    net.load_state_dict(load_file(MODELS / "readfirst-chest" / "model.safetensors"))
    return net


def run(judge: Callable[[torch.Tensor, torch.Tensor], Any], batches: list[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """Judges every box; returns seconds."""
    started = time.perf_counter()
    with torch.inference_mode():
        for boxes, about in batches:
            judge(boxes, about)
    return time.perf_counter() - started


def main() -> None:
    how, folder = sys.argv[1], Path(sys.argv[2])
    batches, net = boxes_of(folder), network()
    if how == "cold":
        run(net, batches)  # whole, as a network is called; that outlines can wait for the verdict is part of our way
        return
    answer = {}
    for name, layout in (("eager", torch.contiguous_format), ("channels last", torch.channels_last)):
        net = net.to(memory_format=layout)
        run(net.look, batches)
        answer[name] = run(net.look, batches) * 1000
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
