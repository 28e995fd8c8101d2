"""The same network the usual way, for `readfirst bench`: torch and MONAI, eager, slice by slice.

`python -m model_container.training.compare cold FOLDER` reads and segments the files of a folder once;
`… warm FOLDER` prints the milliseconds per slice, eager and channels last, as JSON.
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
from safetensors.torch import load_file

from model_container.bundles import MODELS
from model_container.chest import to_network
from model_container.training.network import NEIGHBOURS, ChestNet
from model_container.volume import read_volume


def slices_of(folder: Path) -> list[torch.Tensor]:
    """Every slice with its neighbours, as the network takes them."""
    files = [path.read_bytes() for path in folder.iterdir()]
    files.sort(key=lambda content: float(pydicom.dcmread(io.BytesIO(content)).ImagePositionPatient[2]))
    hu, _ = to_network(read_volume(files))
    around = np.arange(-NEIGHBOURS, NEIGHBOURS + 1)
    return [torch.from_numpy(hu[np.clip(z + around, 0, len(hu) - 1)])[None] for z in range(len(hu))]


def network() -> ChestNet:
    """The committed weights."""
    net = ChestNet().eval()
    net.load_state_dict(load_file(MODELS / "readfirst-chest" / "model.safetensors"))
    return net


def run(net: ChestNet, stacks: list[torch.Tensor], layout: torch.memory_format) -> float:
    """Segments every slice; returns seconds."""
    started = time.perf_counter()
    with torch.inference_mode():
        for stack in stacks:
            net(stack.to(memory_format=layout)).softmax(1)
    return time.perf_counter() - started


def main() -> None:
    how, folder = sys.argv[1], Path(sys.argv[2])
    stacks, net = slices_of(folder), network()
    if how == "cold":
        run(net, stacks, torch.contiguous_format)
        return
    stacks, answer = stacks[:8], {}
    for name, layout in (("eager", torch.contiguous_format), ("channels last", torch.channels_last)):
        net = net.to(memory_format=layout)
        run(net, stacks, layout)
        answer[name] = run(net, stacks, layout) / len(stacks) * 1000
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
