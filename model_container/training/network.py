"""The default model's network: a small 3D encoder and decoder whose input is plain Hounsfield units.

Every 3x3x3 convolution is two: 3x3 within the slices, then 3 across them. Slices are folded into the batch, so both are
plain 2D convolutions, which runtimes do several times faster on CPUs than 3D ones (`readfirst bench inference`).
"""

from __future__ import annotations

from pathlib import Path

import torch
from monai.networks.blocks.convolutions import Convolution
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from model_container.engines.chest.crops import OUTSIDE

FEATURES = (16, 48, 96)


def _convolution(inputs: int, outputs: int, width: int, stride: int = 1) -> Convolution:
    return Convolution(
        2, inputs, outputs, kernel_size=width, strides=stride, act="relu", norm="batch", adn_ordering="NA", bias=False
    )


class Unit(nn.Module):
    """[batch, slices, channels, rows, columns] to the same, with `stride` in all three directions."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.within = _convolution(inputs, outputs, 3, stride)
        self.across = _convolution(3 * outputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.within(x.flatten(0, 1)).unflatten(0, (-1, x.shape[1]))
        x = functional.pad(x, (0, 0, 0, 0, 0, 0, 1, 1))
        last = x.shape[1]
        near = [x[:, k : last - 2 + k : self.stride] for k in range(3)]  # the slice before, itself, the one after
        joined = torch.cat(near, 2)
        return self.across(joined.flatten(0, 1)).unflatten(0, (-1, joined.shape[1]))


def _doubled(x: Tensor) -> Tensor:
    """Every slice, row and column twice."""
    wide = functional.interpolate(x.flatten(0, 1), scale_factor=2.0).unflatten(0, (-1, x.shape[1]))
    return wide[:, :, None].expand(-1, -1, 2, -1, -1, -1).flatten(1, 2)


class NoduleNet(nn.Module):
    """Input: boxes [batch, 24, 32, 32] in HU, and per box [batch, 2] its voxel and the study's slices in mm.

    Output: per box the logit that a nodule or mass lies in its centre, and per voxel the logit that it belongs to one.
    The windows are part of the graph, so that nobody can feed it differently from its training.
    """

    def __init__(self) -> None:
        super().__init__()
        first, second, third = FEATURES
        self.stem = nn.Sequential(Unit(5, first, 2), Unit(first, first))
        self.down = nn.Sequential(Unit(first, second, 2), Unit(second, second), Unit(second, second))
        self.deep = nn.Sequential(Unit(second, third, 2), Unit(third, third), Unit(third, third))
        self.judge = nn.Sequential(nn.Linear(3 * third, 48), nn.ReLU(), nn.Linear(48, 1))
        self.up = Unit(third + second, second)
        self.fine = Unit(second + first, first)
        self.outline = nn.Conv2d(first, 8, 1)  # a voxel's eight parts: 2 slices, 2 rows, 2 columns

    def forward(self, hu: Tensor, about: Tensor) -> tuple[Tensor, Tensor]:
        logit, *seen = self.look(hu, about)
        return logit, self.draw(*seen)

    def look(self, hu: Tensor, about: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The logits, and what was seen on the way at three resolutions: `draw` needs it."""
        x = hu[:, :, None]
        lung = functional.hardtanh((x + 400) / 600)  # -1000 to 200 HU
        soft = functional.hardtanh((x - 50) / 250)  # -200 to 300 HU
        known = (x > OUTSIDE / 2 - 100).to(x.dtype)
        scale = about.log()[:, None, :, None, None].expand(-1, hu.shape[1], -1, *hu.shape[2:])
        shallow = self.stem(torch.cat((lung * known, soft * known, known, scale), 2))
        middle = self.down(shallow)
        deep = self.deep(middle)
        centre = deep[:, :, :, 1:3, 1:3].mean((1, 3, 4))
        logit = self.judge(torch.cat((deep.amax((1, 3, 4)), deep.mean((1, 3, 4)), centre), 1))[:, 0]
        return logit, shallow, middle, deep

    def draw(self, shallow: Tensor, middle: Tensor, deep: Tensor) -> Tensor:
        """The outline of what `look` saw."""
        wide = self.up(torch.cat((_doubled(deep), middle), 2))
        wide = self.fine(torch.cat((_doubled(wide), shallow), 2))
        return self._parts(wide)

    def _parts(self, wide: Tensor) -> Tensor:
        slices, rows, columns = wide.shape[1], wide.shape[3], wide.shape[4]
        parts = self.outline(wide.flatten(0, 1)).unflatten(1, (2, 2, 2)).unflatten(0, (-1, slices))
        return parts.permute(0, 1, 2, 5, 3, 6, 4).reshape(-1, 2 * slices, 2 * rows, 2 * columns)


def trained(weights: Path) -> NoduleNet:
    """The network with these weights (safetensors), as it judges."""
    net = NoduleNet()
    net.load_state_dict(load_file(weights))
    net.eval()
    return net
