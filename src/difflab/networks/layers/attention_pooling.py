"""Attention with the mean as query (CLIP, arXiv 2103.00020, section 2.4; the pool "attention" of ADM's classifiers)."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from difflab.networks.layers.group_norm import GroupNorm
from difflab.networks.layers.pooling import Pooling


class AttentionPooling(Pooling):
    """Tokens are the mean and all pixels of SiLU(GroupNorm(h)) plus a learned position; the logits are what the mean's token
    receives in one attention over all tokens.

    heads  channels -> number of heads: `HeadCount(4)` or `HeadWidth(64)`
    """

    def __init__(self, features: Sequence[int], resolution: int, out_channels: int, heads: Callable[[int], int]):
        super().__init__()
        channels = features[-1]
        self.heads = heads(channels)
        self.norm = GroupNorm(channels)
        self.position = nn.Parameter(torch.empty(channels, resolution**2 + 1))
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, out_channels)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.position, std=self.position.shape[0] ** -0.5)

    def forward(self, images: Sequence[Tensor]) -> Float[Tensor, "b o"]:
        h = images[-1]
        pixels = F.silu(self.norm(h)).flatten(2)
        tokens = torch.cat([pixels.mean(dim=2, keepdim=True), pixels], dim=2) + self.position
        qkv = self.qkv(tokens.transpose(1, 2).to(h.dtype)).unflatten(2, (3, self.heads, -1))
        q, k, v = (part.transpose(1, 2) for part in qkv.unbind(2))
        mixed = F.scaled_dot_product_attention(q[:, :, :1], k, v)
        return self.out(mixed.flatten(1))
