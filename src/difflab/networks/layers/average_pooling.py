"""Mean over the pixels of the last image, then a linear layer (the pool "adaptive" of ADM's classifiers)."""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from difflab.networks.layers.group_norm import GroupNorm
from difflab.networks.layers.pooling import Pooling
from difflab.networks.layers.zero import zeroed


class AveragePooling(Pooling):
    """Linear(mean over pixels of SiLU(GroupNorm(h))), h the last image; the linear layer starts at zero."""

    def __init__(self, features: Sequence[int], resolution: int, out_channels: int):
        super().__init__()
        self.norm = GroupNorm(features[-1])
        self.out = zeroed(nn.Linear(features[-1], out_channels))

    def forward(self, images: Sequence[Tensor]) -> Float[Tensor, "b o"]:
        h = images[-1]
        return self.out(F.silu(self.norm(h)).mean(dim=(2, 3)).to(h.dtype))
