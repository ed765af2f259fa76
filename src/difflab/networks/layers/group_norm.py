"""Group normalisation in float32, whatever the precision of the images (Wu and He 2018, arXiv 1803.08494)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

GROUPS = 32
_SMALLEST_GROUP = 4


def group_count(channels: int) -> int:
    """32 groups, as in every published model, where 32 divides the channels; else as many groups of at least 4 channels."""
    if channels % GROUPS == 0:
        return GROUPS
    largest = max(1, min(GROUPS, channels // _SMALLEST_GROUP))
    return next(groups for groups in range(largest, 0, -1) if channels % groups == 0)


class GroupNorm(nn.Module):
    """(h - mean) / std * weight + bias with mean and std over groups of channels and all pixels.

    Computed and returned in float32 at least: under autocast and for half-precision weights too, since sums over a
    group of pixels lose digits there. The caller casts back when it is done with the normalised image.
    """

    def __init__(self, channels: int, eps: float = 1e-5):
        super().__init__()
        self.groups, self.eps = group_count(channels), eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, h: Float[Tensor, "b c *hw"]) -> Float[Tensor, "b c *hw"]:
        wide = torch.promote_types(h.dtype, torch.float32)
        return F.group_norm(h.to(wide), self.groups, self.weight.to(wide), self.bias.to(wide), self.eps)
