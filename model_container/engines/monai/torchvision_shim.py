"""What MONAI's detection networks use of torchvision, where it is missing: two pieces, with its names of weights."""

from __future__ import annotations

from collections import OrderedDict
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

from torch import Tensor, nn


class NamedLayers(nn.ModuleDict):
    """A backbone up to the last layer that is asked for; gives the outputs of the named layers, by their new names."""

    def __init__(self, backbone: nn.Module, return_layers: dict[str, str]) -> None:
        missing = set(return_layers)
        kept = OrderedDict()
        for name, layer in backbone.named_children():
            if not missing:
                break
            kept[name] = layer
            missing.discard(name)
        if missing:
            raise ValueError(f"the backbone has no {sorted(missing)}")
        super().__init__(kept)
        self.wanted = dict(return_layers)

    def forward(self, x: Tensor) -> OrderedDict[str, Tensor]:
        """The layers' outputs, in order."""
        found = OrderedDict()
        for name, layer in self.items():
            x = layer(x)
            if name in self.wanted:
                found[self.wanted[name]] = x
        return found


def stand_in_for_torchvision() -> None:
    """Gives MONAI the two pieces where torchvision is missing."""
    if find_spec("torchvision"):
        return
    from monai.apps.detection.networks import retinanet_network
    from monai.networks.blocks import backbone_fpn_utils

    def trainable(_: bool, chosen: int | None, max_value: int, default_value: int) -> int:
        return default_value if chosen is None else min(chosen, max_value)  # no matter of inference

    getter: Any = SimpleNamespace(_utils=SimpleNamespace(IntermediateLayerGetter=NamedLayers))
    backbone_fpn_utils.torchvision_models = getter
    retinanet_network._validate_trainable_layers = trainable
