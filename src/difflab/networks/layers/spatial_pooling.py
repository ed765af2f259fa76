"""A perceptron on the means of the images of all depths (the pools "spatial" and "spatial_v2" of ADM's classifiers)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from difflab.networks.layers.group_norm import GroupNorm
from difflab.networks.layers.pooling import Pooling


def _means(images: Sequence[Tensor]) -> Tensor:
    return torch.cat([h.mean(dim=(2, 3)) for h in images], dim=1)


class SpatialPooling(Pooling):
    """Linear(ReLU(Linear(means of all images)))."""

    def __init__(self, features: Sequence[int], resolution: int, out_channels: int, hidden: int = 2048):
        super().__init__()
        self.hidden = nn.Linear(sum(features), hidden)
        self.out = nn.Linear(hidden, out_channels)

    def forward(self, images: Sequence[Tensor]) -> Float[Tensor, "b o"]:
        return self.out(F.relu(self.hidden(_means(images))))


class NormalizedSpatialPooling(Pooling):
    """Linear(SiLU(GroupNorm(Linear(means of all images))))."""

    def __init__(self, features: Sequence[int], resolution: int, out_channels: int, hidden: int = 2048):
        super().__init__()
        self.hidden = nn.Linear(sum(features), hidden)
        self.norm = GroupNorm(hidden)
        self.out = nn.Linear(hidden, out_channels)

    def forward(self, images: Sequence[Tensor]) -> Float[Tensor, "b o"]:
        h = self.hidden(_means(images))
        return self.out(F.silu(self.norm(h)).to(h.dtype))
