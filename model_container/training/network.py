"""The default model's network: a small 2.5D U-Net whose input is plain Hounsfield units."""

from __future__ import annotations

import torch
from monai.networks.nets import BasicUNet
from torch import Tensor, nn
from torch.nn import functional

NEIGHBOURS = 2  # slices above and below the one that is segmented
SLICES = 2 * NEIGHBOURS + 1
CLASSES = ("background", "lung", "mediastinum", "bone", "nodule")
FEATURES = (16, 24, 40, 72, 96, 16)


class ChestNet(nn.Module):
    """Input: [batch, 5, rows, columns] in HU, 1.5 mm pixels, 2.5 mm slices. Output: class logits of the middle slice.

    The windows are part of the graph, so that nobody can feed it differently from its training.
    """

    def __init__(self) -> None:
        super().__init__()
        self.unet = BasicUNet(
            spatial_dims=2, in_channels=2 * SLICES, out_channels=len(CLASSES), features=FEATURES, norm="batch"
        )

    def forward(self, hu: Tensor) -> Tensor:
        lung = functional.hardtanh((hu + 312) / 712)  # -1024 to 400 HU
        soft = functional.hardtanh((hu - 170) / 330)  # -160 to 500 HU
        return self.unet(torch.cat((lung, soft), dim=1))
