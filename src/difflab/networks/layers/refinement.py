"""Blocks of RefineNet (Lin et al. 2017, arXiv 1611.06612), as the networks of NCSN have them.

A cascade of stages makes ever coarser features; on the way back each stage joins its own with those of the coarser one. Song and Ermon
2019 (arXiv 1907.05600, appendix A) put a norm before every convolution, replace max by average pooling and strides by dilations, and use
the ELU; Song and Ermon 2020 (arXiv 2006.09011, appendix B) leave out the norms on the way back. So a block is handed two
functions: `norm`, channels -> module(h, vector), and `pool`, an image -> an image of the same size.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from difflab.networks.layers.residual_block import Chain
from difflab.networks.network import BlockCondition

_POOLED = 5


Norm: TypeAlias = Callable[[int], nn.Module]
"""Channels -> module(h, vector), told the `BlockCondition`'s vector."""

Pool: TypeAlias = Callable[[Tensor], Tensor]


class Unnormalised(nn.Module):
    """No norm.

    Args:
        channels: Channels of the image.
    """

    def __init__(self, channels: int):
        super().__init__()

    def forward(self, h: Tensor, emb: Tensor) -> Tensor:
        return h


def max_pool(h: Tensor) -> Tensor:
    """The largest of 5 x 5 neighbours."""
    return F.max_pool2d(h, _POOLED, stride=1, padding=_POOLED // 2)


def average_pool(h: Tensor) -> Tensor:
    """The mean of 5 x 5 neighbours, zeros beyond the border."""
    return F.avg_pool2d(h, _POOLED, stride=1, padding=_POOLED // 2)


def halved(h: Tensor) -> Tensor:
    """Means of 2 x 2 pixels; the last row or column of an odd size is left out."""
    return F.avg_pool2d(h, 2)


def _conv(in_channels: int, out_channels: int, dilation: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, padding=dilation, dilation=dilation, bias=bias)


class PreActivatedBlock(nn.Module):
    """skip(h) + Conv(ELU(Norm(Conv(ELU(Norm(h)))))), of a stage on the way down.

    Args:
        in_channels: Channels of the image h.
        out_channels: Channels of the result.
        norm: Makes the norms.
        dilation: Of the convolutions; 1 for none.
        changes: Whether the stage begins with it. The branch then widens in its second convolution and not in its first, and the image is
            halved; with a dilation it keeps its size instead.
    """

    def __init__(self, in_channels: int, out_channels: int, norm: Norm, dilation: int, changes: bool):
        super().__init__()
        self.halves = changes and dilation == 1
        inner = in_channels if changes else out_channels
        self.norm_in = norm(in_channels)
        self.conv_in = _conv(in_channels, inner, dilation)
        self.norm_out = norm(inner)
        self.conv_out = _conv(inner, out_channels, dilation)
        self.skip = nn.Identity()
        if changes or in_channels != out_channels:
            self.skip = (
                nn.Conv2d(in_channels, out_channels, 1) if dilation == 1 else _conv(in_channels, out_channels, dilation)
            )

    def forward(self, h: Float[Tensor, "b c h w"], emb: BlockCondition) -> Float[Tensor, "b d h2 w2"]:
        branch = self.conv_in(F.elu(self.norm_in(h, emb.vector)))
        out = self.skip(h) + self.conv_out(F.elu(self.norm_out(branch, emb.vector)))
        return halved(out) if self.halves else out


class ResidualConvUnit(nn.Module):
    """h + Conv(ELU(Norm(Conv(ELU(Norm(h)))))), convolutions without bias.

    Args:
        channels: Channels of the image.
        norm: Makes the norms.
    """

    def __init__(self, channels: int, norm: Norm):
        super().__init__()
        self.norms = nn.ModuleList([norm(channels) for _ in range(2)])
        self.convs = nn.ModuleList([_conv(channels, channels, bias=False) for _ in range(2)])

    def forward(self, h: Float[Tensor, "b c h w"], emb: BlockCondition) -> Float[Tensor, "b c h w"]:
        branch = h
        for norm, conv in zip(self.norms, self.convs, strict=True):
            branch = conv(F.elu(norm(branch, emb.vector)))
        return h + branch


class MultiResolutionFusion(nn.Module):
    """sum_i of Conv(Norm(h_i)), each enlarged bilinearly to the size of the finest.

    Args:
        in_channels: Of each of the images.
        channels: Channels of the result.
        norm: Makes the norms.
    """

    def __init__(self, in_channels: Sequence[int], channels: int, norm: Norm):
        super().__init__()
        self.norms = nn.ModuleList([norm(ch) for ch in in_channels])
        self.convs = nn.ModuleList([_conv(ch, channels) for ch in in_channels])

    def forward(self, images: Sequence[Tensor], emb: BlockCondition) -> Float[Tensor, "b c h w"]:
        made = [conv(norm(h, emb.vector)) for conv, norm, h in zip(self.convs, self.norms, images, strict=True)]
        first, *others = made
        for h in others:
            first = first + _enlarged(h, first.shape[2:])
        return first


def _enlarged(h: Tensor, size: Sequence[int]) -> Tensor:
    return h if h.shape[2:] == size else F.interpolate(h, size=tuple(size), mode="bilinear", align_corners=True)


class ChainedResidualPooling(nn.Module):
    """ELU(h) + p_1 + p_2, p_k = Conv(Pool(Norm(p_(k-1)))), p_0 = ELU(h): the surroundings, in ever wider windows.

    Args:
        channels: Channels of the image.
        norm: Makes the norms.
        pool: What pools.
    """

    def __init__(self, channels: int, norm: Norm, pool: Pool):
        super().__init__()
        self.pool = pool
        self.norms = nn.ModuleList([norm(channels) for _ in range(2)])
        self.convs = nn.ModuleList([_conv(channels, channels, bias=False) for _ in range(2)])

    def forward(self, h: Float[Tensor, "b c h w"], emb: BlockCondition) -> Float[Tensor, "b c h w"]:
        out = path = F.elu(h)
        for norm, conv in zip(self.norms, self.convs, strict=True):
            path = conv(self.pool(norm(path, emb.vector)))
            out = out + path
        return out


class RefineBlock(nn.Module):
    """Residual units on each image, fusion, chained pooling, residual units.

    Args:
        in_channels: Of the stage's own image and of the coarser stage's, which the coarsest has not.
        channels: Channels of the result.
        units: Residual units at the end: 1, of the finest stage 3.
        norm: Makes the norms.
        pool: What pools.
        gradient_checkpointing: See `Chain`.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int,
        units: int,
        norm: Norm,
        pool: Pool,
        gradient_checkpointing: bool,
    ):
        super().__init__()
        self.adapted = nn.ModuleList(
            [Chain([ResidualConvUnit(ch, norm) for _ in range(2)], gradient_checkpointing) for ch in in_channels]
        )
        self.fusion = MultiResolutionFusion(in_channels, channels, norm) if len(in_channels) > 1 else None
        self.pooling = ChainedResidualPooling(channels, norm, pool)
        self.output = Chain([ResidualConvUnit(channels, norm) for _ in range(units)], gradient_checkpointing)

    def forward(self, images: Sequence[Tensor], emb: BlockCondition) -> Float[Tensor, "b c h w"]:
        adapted = [units(h, emb) for h, units in zip(images, self.adapted, strict=True)]
        h = adapted[0] if self.fusion is None else self.fusion(adapted, emb)
        return self.output(self.pooling(h, emb), emb)
