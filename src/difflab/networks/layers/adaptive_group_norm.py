"""AdaGN: the embedding sets scale and shift of a normalised image (arXiv 2105.05233, section 3.1, eq. 1)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from difflab.networks.layers.group_norm import GroupNorm


class AdaptiveGroupNorm(nn.Module):
    """AdaGN(h, emb) = (1 + y_s) GroupNorm(h) + y_b with [y_s, y_b] = Linear(emb).

    channels  of the image
    emb_dim   of the (activated) embedding of time and condition
    """

    def __init__(self, channels: int, emb_dim: int):
        super().__init__()
        self.norm = GroupNorm(channels)
        self.linear = nn.Linear(emb_dim, 2 * channels)

    def forward(self, h: Float[Tensor, "b c h w"], emb: Float[Tensor, "b e"]) -> Float[Tensor, "b c h w"]:
        scale, shift = self.linear(emb)[:, :, None, None].chunk(2, dim=1)
        normalised = self.norm(h)
        # one pass over the image instead of two
        return torch.addcmul(shift.to(normalised), normalised, 1 + scale.to(normalised)).to(h.dtype)
