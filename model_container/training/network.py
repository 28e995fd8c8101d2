"""The default model's network: a small 3D encoder and decoder whose input is plain Hounsfield units."""

from __future__ import annotations

import torch
from monai.networks.blocks.convolutions import Convolution
from torch import Tensor, nn
from torch.nn import functional

from model_container.crops import OUTSIDE

FEATURES = (16, 32, 64)


def _unit(inputs: int, outputs: int, stride: int = 1) -> Convolution:
    return Convolution(3, inputs, outputs, strides=stride, act="relu", norm="batch", adn_ordering="NA", bias=False)


class NoduleNet(nn.Module):
    """Input: boxes [batch, 24, 32, 32] in HU, and per box [batch, 2] its voxel and the study's slices in mm.

    Output: per box the logit that a nodule or mass lies in its centre, and per voxel the logit that it belongs to one.
    The windows are part of the graph, so that nobody can feed it differently from its training.
    """

    def __init__(self) -> None:
        super().__init__()
        first, second, third = FEATURES
        self.stem = nn.Sequential(_unit(5, first, 2), _unit(first, first))
        self.down = nn.Sequential(_unit(first, second, 2), _unit(second, second), _unit(second, second))
        self.deep = nn.Sequential(_unit(second, third, 2), _unit(third, third), _unit(third, third))
        self.judge = nn.Sequential(nn.Linear(3 * third, 48), nn.ReLU(), nn.Linear(48, 1))
        self.up = _unit(third + second, second)
        self.fine = _unit(second + first, first)
        self.outline = nn.ConvTranspose3d(first, 1, 2, 2)

    def forward(self, hu: Tensor, about: Tensor) -> tuple[Tensor, Tensor]:
        x = hu[:, None]
        lung = functional.hardtanh((x + 400) / 600)  # -1000 to 200 HU
        soft = functional.hardtanh((x - 50) / 250)  # -200 to 300 HU
        known = (x > OUTSIDE / 2 - 100).to(x.dtype)
        scale = about.log()[:, :, None, None, None].expand(-1, -1, *hu.shape[1:])
        shallow = self.stem(torch.cat((lung * known, soft * known, known, scale), 1))
        middle = self.down(shallow)
        deep = self.deep(middle)
        centre = deep[:, :, :, 1:3, 1:3].mean((2, 3, 4))
        logit = self.judge(torch.cat((deep.amax((2, 3, 4)), deep.mean((2, 3, 4)), centre), 1))[:, 0]
        wide = self.up(torch.cat((functional.interpolate(deep, scale_factor=2.0), middle), 1))
        wide = self.fine(torch.cat((functional.interpolate(wide, scale_factor=2.0), shallow), 1))
        return logit, self.outline(wide)[:, 0]
