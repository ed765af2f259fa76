"""Blocks of NCSN++ and DDPM++: norms of small groups, the embedding added, every sum rescaled.

Song et al. 2021 (arXiv 2011.13456, appendix H.1); those of SongUNet in Karras et al. 2022 are the same.
"""

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from difflab.networks.layers.attention import Attention, attend
from difflab.networks.layers.fan_average import FanAverageConv2d, FanAverageLinear
from difflab.networks.layers.norms import GROUPS, GroupNorm
from difflab.networks.layers.residual_block import unchanged
from difflab.networks.network import BlockCondition
from difflab.types import AttentionSite

_EPS = 1e-6
_ATTENTION_SCALE = 0.1
"""Of the initial variance of q, k and v each."""

Norm = Callable[[int], GroupNorm]
"""channels -> its norm."""


def song_norm(channels: int, smallest_group: int) -> GroupNorm:
    """The norm of so many channels: at most 32 groups, of at least `smallest_group` channels each."""
    most = max(1, min(GROUPS, channels // smallest_group))
    return GroupNorm(channels, eps=_EPS, groups=next(n for n in range(most, 0, -1) if channels % n == 0))


def norm_of(smallest_group: int) -> Norm:
    """The norms of a network.

    Args:
        smallest_group: Channels that a group has at least: 4, or 1 in DDPM, where all norms have 32 groups.
    """
    if smallest_group < 1:
        raise ValueError(f"smallest_group={smallest_group}: a group of a norm has at least one channel")
    return partial(song_norm, smallest_group=smallest_group)


class SongBlock(nn.Module):
    """(skip(resize(h)) + Conv(Dropout(SiLU(norm(Conv(resize(SiLU(norm(h)))) + Linear(emb)))))) residual_scale.

    Where the resolution or the number of channels changes, skip is a 1x1 convolution.

    Args:
        in_channels: Channels of the image h.
        out_channels: Channels of the result.
        emb_dim: Size of the (activated) embedding.
        norm: Makes the norms.
        dropout: Probability of a channel's pixel to be dropped before the last convolution.
        residual_scale: Factor of the sum.
        resize: Changes the resolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        emb_dim: int,
        norm: Norm,
        dropout: float = 0.0,
        residual_scale: float = 1.0,
        resize: Callable[[Tensor], Tensor] = unchanged,
    ):
        super().__init__()
        self.norm_in = norm(in_channels)
        self.conv_in = FanAverageConv2d(in_channels, out_channels, 3)
        self.told = FanAverageLinear(emb_dim, out_channels)
        self.norm_out = norm(out_channels)
        self.conv_out = FanAverageConv2d(out_channels, out_channels, 3, scale=0)
        same = in_channels == out_channels and resize is unchanged
        self.skip = nn.Identity() if same else FanAverageConv2d(in_channels, out_channels, 1)
        self.dropout, self.residual_scale, self.resize = dropout, residual_scale, resize

    def forward(self, h: Float[Tensor, "b c h w"], emb: BlockCondition) -> Float[Tensor, "b d i j"]:
        branch = self.conv_in(self.resize(F.silu(self.norm_in(h).to(h.dtype))))
        branch = branch + self.told(emb.vector)[:, :, None, None].to(branch.dtype)
        branch = F.silu(self.norm_out(branch).to(branch.dtype))
        branch = self.conv_out(F.dropout(branch, self.dropout, self.training))
        return rescaled(self.skip(self.resize(h)) + branch, self.residual_scale)


class SongAttention(Attention):
    """(h + Linear(Attention(q, k, v))) residual_scale, one head, with q, k, v = Linear(norm(h)).

    Args:
        channels: Channels of the image.
        norm: Makes the norm.
        residual_scale: Factor of the sum.
    """

    is_cross = False

    def __init__(self, channels: int, norm: Norm, residual_scale: float = 1.0):
        super().__init__()
        self.norm = norm(channels)
        # three layers side by side have twice the mean fan of one
        self.qkv = FanAverageConv2d(channels, 3 * channels, 1, scale=2 * _ATTENTION_SCALE)
        self.out = FanAverageConv2d(channels, channels, 1, scale=0)
        self.residual_scale = residual_scale

    def forward(self, h: Float[Tensor, "b c *size"], emb: BlockCondition) -> Float[Tensor, "b c *size"]:
        tokens = self.qkv(self.norm(h).to(h.dtype)).flatten(2).transpose(1, 2)
        q, k, v = (part[:, None] for part in tokens.chunk(3, dim=2))
        site = AttentionSite(self.place, self.is_cross, tuple(h.shape[2:]), emb.t)
        mixed = attend(q, k, v, site, emb.controls)[:, 0].transpose(1, 2).unflatten(2, h.shape[2:])
        return rescaled(h + self.out(mixed), self.residual_scale)


def rescaled(total: Tensor, scale: float) -> Tensor:
    """The sum times the scale; a product with one would cost a pass over the image."""
    return total if scale == 1 else total * scale
