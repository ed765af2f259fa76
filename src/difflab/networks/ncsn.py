"""The networks of NCSN (arXiv 1907.05600) and NCSNv2 (arXiv 2006.09011): a RefineNet that keeps what it sees."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from difflab.networks.layers.instance_norms import LevelInstanceNorm
from difflab.networks.layers.refinement import (
    Norm,
    Pool,
    PreActivatedBlock,
    RefineBlock,
    Unnormalised,
    average_pool,
    max_pool,
)
from difflab.networks.layers.residual_block import Chain
from difflab.networks.network import BlockCondition, Network, block_condition
from difflab.types import Condition, ImageSize, sides

EMBEDDING_MULTIPLE = 4
"""Embeddings of the condition have this many times `width` dimensions."""


class Cascade(nn.Module):
    """Stages on the way down, refinement on the way back, and the last convolution.

    Stage i has width * channel_mult[i] channels. Its first block halves the image (but for the first stage), unless the stage is dilated:
    it keeps the size then, and its convolutions look further. The refinement of stage i goes on with the channels of stage
    i - 1, that of the last stage with its own.

    Args:
        in_channels: Channels of the image.
        out_channels: Channels of the result.
        width: Channels of a stage with multiplier 1.
        channel_mult: Of each stage.
        dilations: Of each stage; 1 for none (`dilations`).
        depth: Residual blocks of a stage.
        norm: Makes the norms on the way down.
        refining_norm: Makes those on the way back.
        pool: What pools there.
        gradient_checkpointing: See `Chain`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        width: int,
        channel_mult: Sequence[float],
        dilations: Sequence[int],
        depth: int,
        norm: Norm,
        refining_norm: Norm,
        pool: Pool,
        gradient_checkpointing: bool,
    ):
        super().__init__()
        channels = [int(width * mult) for mult in channel_mult]
        self.conv_in = nn.Conv2d(in_channels, channels[0], 3, padding=1)
        self.stages, self.refined = nn.ModuleList(), nn.ModuleList()
        ch = channels[0]
        for i, (wide, dilation) in enumerate(zip(channels, dilations, strict=True)):
            blocks: list[nn.Module] = []
            for j in range(depth):
                blocks.append(PreActivatedBlock(ch, wide, norm, dilation, changes=i > 0 and j == 0))
                ch = wide
            self.stages.append(Chain(blocks, gradient_checkpointing))
        coarser: list[int] = []
        for i in reversed(range(len(channels))):
            goes_on = channels[max(i - 1, 0)] if coarser else channels[i]
            units = 1 if i else 3
            self.refined.append(
                RefineBlock([channels[i], *coarser], goes_on, units, refining_norm, pool, gradient_checkpointing)
            )
            coarser = [goes_on]
        self.norm_out = norm(channels[0])
        self.conv_out = nn.Conv2d(channels[0], out_channels, 3, padding=1)

    def forward(self, x: Float[Tensor, "b c h w"], emb: BlockCondition) -> Float[Tensor, "b o h w"]:
        h, features = self.conv_in(x), []
        for stage in self.stages:
            h = stage(h, emb)
            features.append(h)
        refined: list[Tensor] = []
        for block in self.refined:
            refined = [block([features.pop(), *refined], emb)]
        return self.conv_out(F.elu(self.norm_out(refined[0], emb.vector)))


def dilations(stages: int, dilated: int) -> list[int]:
    """1, ..., 1, 2, 4, ...: of the last `dilated` stages, or of all but the first."""
    last = min(dilated, stages - 1)
    return [1] * (stages - last) + [2 ** (i + 1) for i in range(last)]


def _check(image_size: ImageSize, width: int, channel_mult: Sequence[float], dilated: int, depth: int) -> None:
    if width < 1 or depth < 1 or dilated < 0 or not channel_mult:
        raise ValueError(
            f"a cascade has at least one stage, block and channel: width={width}, depth={depth}, dilated={dilated}, "
            f"channel_mult={list(channel_mult)}"
        )
    if len(sides(image_size)) != 2:
        raise ValueError(
            f"convolutions over images need two axes, and image_size={image_size} has {len(sides(image_size))}"
        )
    halvings = dilations(len(channel_mult), dilated)[1:].count(1)
    if min(sides(image_size)) < 2**halvings:
        raise ValueError(
            f"an image of {'x'.join(map(str, sides(image_size)))} cannot be halved {halvings} times: dilate more stages (network.dilated) "
            "or leave some out (network.channel_mult)"
        )


class _RefineNet(Network):
    """Base of both: a cascade, and the embeddings of a condition. A subclass has the arguments, and says what is told of the noise.

    Args:
        levels: How many numbers the norms are told of it.
        refining_norm: The norms on the way down -> those on the way back.
        pool: What pools there.
    """

    def __init__(
        self,
        image_size: ImageSize,
        in_channels: int,
        out_channels: int,
        embedders: Mapping[str, Callable[..., nn.Module]],
        width: int,
        channel_mult: Sequence[float],
        dilated: int,
        depth: int,
        gradient_checkpointing: bool,
        levels: int,
        refining_norm: Callable[[Norm], Norm],
        pool: Pool,
    ):
        super().__init__()
        _check(image_size, width, channel_mult, dilated, depth)
        self.image_size, self.in_channels, self.out_channels = image_size, in_channels, out_channels
        self.emb_dim = EMBEDDING_MULTIPLE * width if embedders else 0
        self.embedders = nn.ModuleDict({name: embedder(dim=self.emb_dim) for name, embedder in embedders.items()})
        norm = partial(LevelInstanceNorm, levels=levels, emb_dim=self.emb_dim)
        self.cascade = Cascade(
            in_channels,
            out_channels,
            width,
            channel_mult,
            dilations(len(channel_mult), dilated),
            depth,
            norm,
            refining_norm(norm),
            pool,
            gradient_checkpointing,
        )

    def cascaded(self, x: Tensor, level: Shaped[Tensor, "b levels"], cond: Condition) -> Tensor:
        """What the cascade makes of noised images.

        Args:
            x: The images.
            level: What its norms are told of the noise.
            cond: The condition, of which they are told the activated embedding.
        """
        like = self.cascade.conv_in.weight
        nothing = torch.zeros(len(level), self.emb_dim, dtype=like.dtype, device=like.device)
        embedded = block_condition(nothing, self.embedders, cond, activation=F.silu)
        told = BlockCondition(torch.cat([level.to(embedded.vector), embedded.vector], 1))
        return self.cascade(x.to(like.dtype), told).to(x.dtype)


class NCSN(_RefineNet):
    """The network of NCSN: a norm before each convolution has weights of its own for each noise level (Song and Ermon 2019, appendix A).

    It is told the number of the level, as `GeometricLadder` says it. A condition is added to the weights of all norms, beginning at zero.

    Args:
        image_size: Side of square training images, or [H, W] (other sizes that can be halved as often work too).
        in_channels: Channels of the image.
        out_channels: Channels of the result.
        embedders: Name -> (dim=) -> module(cond) -> vector [B, dim] of the condition.
        levels: How many there are.
        width: Channels of a stage with multiplier 1.
        channel_mult: Stage i has width * channel_mult[i] channels; its length is the number of stages.
        dilated: So many of the last stages, at most all but the first, keep the size, where others halve it: their convolutions look 2, 4
            ... pixels far.
        depth: Residual blocks per stage.
        gradient_checkpointing: Less memory, about a third more computation, the same gradients.
    """

    def __init__(
        self,
        image_size: ImageSize,
        in_channels: int,
        out_channels: int,
        embedders: Mapping[str, Callable[..., nn.Module]],
        levels: int = 10,
        width: int = 128,
        channel_mult: Sequence[float] = (1, 2, 2, 2),
        dilated: int = 2,
        depth: int = 2,
        gradient_checkpointing: bool = False,
    ):
        if levels < 1:
            raise ValueError(f"network.levels={levels}: as many as the schedule has steps")
        super().__init__(
            image_size,
            in_channels,
            out_channels,
            embedders,
            width,
            channel_mult,
            dilated,
            depth,
            gradient_checkpointing,
            levels=levels,
            refining_norm=lambda norm: norm,
            pool=average_pool,
        )
        self.levels = levels

    def forward(
        self, x: Float[Tensor, "b c h w"], time: Float[Tensor, " b"], cond: Condition
    ) -> Float[Tensor, "b o h w"]:
        level = time.round().clamp(0, self.levels - 1).long()
        return self.cascaded(x, F.one_hot(level, self.levels), cond)


class NCSNv2(_RefineNet):
    """The networks of NCSNv2, which are told no noise level (Song and Ermon 2020, technique 3 and appendix B).

    Its output over sigma is the score: `parameterization=epsilon`, up to the sign. Norms on the way down alone, max pooling on the way
    back. The paper's three networks are channel_mult of

        NCSNv2          (1, 2, 2, 2)          32 and 64 pixels
        NCSNv2-deeper   (1, 2, 2, 4, 4)       96 and 128 pixels
        NCSNv2-deepest  (1, 2, 2, 2, 4, 4)    256 pixels

    with two stages dilated. For 8 x 8 pixels (1, 2, 2) with one will do: a dilation of 4 would look past the 4 x 4 that are left.

    Args:
        image_size: See `NCSN`.
        in_channels: Channels of the image.
        out_channels: Channels of the result.
        embedders: See `NCSN`.
        width: Channels of a stage with multiplier 1.
        channel_mult: See `NCSN`.
        dilated: See `NCSN`.
        depth: Residual blocks per stage.
        gradient_checkpointing: Less memory, about a third more computation, the same gradients.
    """

    def __init__(
        self,
        image_size: ImageSize,
        in_channels: int,
        out_channels: int,
        embedders: Mapping[str, Callable[..., nn.Module]],
        width: int = 128,
        channel_mult: Sequence[float] = (1, 2, 2, 2),
        dilated: int = 2,
        depth: int = 2,
        gradient_checkpointing: bool = False,
    ):
        super().__init__(
            image_size,
            in_channels,
            out_channels,
            embedders,
            width,
            channel_mult,
            dilated,
            depth,
            gradient_checkpointing,
            levels=1,
            refining_norm=lambda norm: Unnormalised,
            pool=max_pool,
        )

    def forward(
        self, x: Float[Tensor, "b c h w"], time: Float[Tensor, " b"], cond: Condition
    ) -> Float[Tensor, "b o h w"]:
        return self.cascaded(x, time.new_ones(len(time), 1), cond)
