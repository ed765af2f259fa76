"""The residual block, and a chain of layers."""

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from difflab.networks.layers.norms import GroupNorm
from difflab.networks.layers.resample import DoublingConv2d, double
from difflab.networks.network import BlockCondition, zeroed


class Chain(nn.ModuleList):
    """Layers one after the other, h -> block_n(... block_1(h, emb) ..., emb).

    Args:
        blocks: The layers, each (h, emb) -> h.
        gradient_checkpointing: Keep only each block's input for the backward pass and compute the rest again. Gradients are those of the
            plain network, with dropout too: the masks are drawn again from the same generator state (guided-diffusion's own checkpointing
            draws new ones, and its gradients are then not the loss's).
    """

    def __init__(self, blocks: Iterable[nn.Module], gradient_checkpointing: bool):
        super().__init__(blocks)
        self.gradient_checkpointing = gradient_checkpointing

    def forward(self, h: Tensor, emb: BlockCondition) -> Tensor:
        recompute = self.gradient_checkpointing and torch.is_grad_enabled()
        for block in self:
            h = checkpoint(block, h, emb, use_reentrant=False) if recompute else block(h, emb)
        return h


def unchanged(h: Tensor) -> Tensor:
    """The resize of a block that keeps the resolution."""
    return h


class ResidualBlock(nn.Module):
    """The residual block (skip(h) + branch(h, emb)) residual_scale.

    Here branch = Conv(Dropout(SiLU(norm(Conv(resize(SiLU(GroupNorm(h)))), emb)))) and skip = Conv1x1(resize(h)), or resize(h) where the
    number of channels stays.

    Args:
        in_channels: Channels of the image h.
        out_channels: Channels of the result.
        emb_dim: Size of the (activated) embedding of time and condition.
        norm: (channels, emb_dim) -> module(h, emb): how the embedding enters.
        dropout: Probability of a channel's pixel to be dropped before the last convolution.
        residual_scale: 1, or 1 / sqrt(2) to keep the variance (Song et al. 2021; "rescale resblock" in ADM's table 1).
        resize: Halve or double the resolution of both paths, after the first activation (BigGAN).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        emb_dim: int,
        norm: Callable[[int, int], nn.Module],
        dropout: float = 0.0,
        residual_scale: float = 1.0,
        resize: Callable[[Tensor], Tensor] = unchanged,
    ):
        super().__init__()
        self.norm_in = GroupNorm(in_channels)
        if resize is double:  # the layer does it by the way
            self.conv_in, self.resize_in = DoublingConv2d(in_channels, out_channels), unchanged
        else:
            self.conv_in, self.resize_in = nn.Conv2d(in_channels, out_channels, 3, padding=1), resize
        self.norm_out = norm(out_channels, emb_dim)
        self.conv_out = zeroed(nn.Conv2d(out_channels, out_channels, 3, padding=1))
        self.skip = nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)
        self.dropout, self.residual_scale, self.resize = dropout, residual_scale, resize

    def forward(self, h: Float[Tensor, "b c h w"], emb: BlockCondition) -> Float[Tensor, "b d i j"]:
        branch = self.conv_in(self.resize_in(F.silu(self.norm_in(h).to(h.dtype))))
        branch = F.silu(self.norm_out(branch, emb.vector))
        branch = self.conv_out(F.dropout(branch, self.dropout, self.training))
        total = self.skip(self.resize(h)) + branch
        # a product with one would cost a pass over the image
        return total if self.residual_scale == 1 else total * self.residual_scale
