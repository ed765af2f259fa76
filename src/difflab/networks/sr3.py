"""The network of the open implementation of SR3 (Janspiry 2021, also in its Palette); the authors published no code.

It is told a continuous noise level as WaveGrad is (arXiv 2009.00713, section 3) and has the blocks of DDPM. The paper describes those of
BigGAN, with rescaled sums (arXiv 2104.07636, section 2.3), which `UNet` has.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from difflab.networks.layers.attention import Attention, Pointwise, attend
from difflab.networks.layers.embeddings import sinusoids
from difflab.networks.layers.norms import GroupNorm
from difflab.networks.layers.resample import ConvResample
from difflab.networks.layers.residual_block import Chain, unchanged
from difflab.networks.layers.trunk import Trunk
from difflab.networks.network import BlockCondition, Network, block_condition, zeroed
from difflab.networks.unet import EMBEDDING_MULTIPLE, placed
from difflab.types import AttentionSite, Condition, ImageSize


class NoiseLevelEmbedding(nn.Module):
    """Linear(SiLU(Linear(sinusoids(level)))), [B] -> [B, width]; as narrow as the network's first level, and not activated.

    Args:
        width: Number of sinusoids, and size of the embedding.
    """

    def __init__(self, width: int):
        super().__init__()
        self.width = width
        self.hidden = nn.Linear(width, EMBEDDING_MULTIPLE * width)
        self.output = nn.Linear(EMBEDDING_MULTIPLE * width, width)

    def forward(self, level: Float[Tensor, " b"]) -> Float[Tensor, "b width"]:
        return self.output(F.silu(self.hidden(sinusoids(level, self.width).to(self.hidden.weight.dtype))))


class SR3Block(nn.Module):
    """skip(h) + Conv(Dropout(SiLU(GroupNorm(Conv(SiLU(GroupNorm(h))) + Linear(emb))))).

    Args:
        in_channels: Channels of the image h.
        out_channels: Channels of the result.
        emb_dim: Size of the embedding.
        norm_groups: Groups of the norms; None for `GroupNorm`'s own.
        dropout: Probability of a channel's pixel to be dropped before the last convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        emb_dim: int,
        norm_groups: int | None,
        dropout: float,
        resize: Callable[[Tensor], Tensor] = unchanged,
    ):
        super().__init__()
        if resize is not unchanged:
            raise ValueError("a block of SR3 keeps the resolution: convolutions halve and double it")
        self.told = nn.Linear(emb_dim, out_channels)
        self.norm_in = GroupNorm(in_channels, groups=norm_groups)
        self.conv_in = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.norm_out = GroupNorm(out_channels, groups=norm_groups)
        self.conv_out = zeroed(nn.Conv2d(out_channels, out_channels, 3, padding=1))
        self.skip = nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)
        self.dropout = dropout

    def forward(self, h: Float[Tensor, "b c h w"], emb: BlockCondition) -> Float[Tensor, "b d h w"]:
        branch = self.conv_in(F.silu(self.norm_in(h).to(h.dtype)))
        branch = branch + self.told(emb.vector)[:, :, None, None].to(branch.dtype)
        branch = F.silu(self.norm_out(branch).to(branch.dtype))
        return self.skip(h) + self.conv_out(F.dropout(branch, self.dropout, self.training))


class SR3Attention(Attention):
    """h + Linear(Attention(q, k, v)), one head, with q, k, v = Linear(GroupNorm(h)) without biases.

    Args:
        channels: Channels of the image.
        norm_groups: Groups of the norm; None for `GroupNorm`'s own.
    """

    is_cross = False

    def __init__(self, channels: int, norm_groups: int | None):
        super().__init__()
        self.norm = GroupNorm(channels, groups=norm_groups)
        self.qkv = Pointwise(channels, 3 * channels, bias=False)
        self.out = zeroed(Pointwise(channels, channels))

    def forward(self, h: Float[Tensor, "b c *size"], emb: BlockCondition) -> Float[Tensor, "b c *size"]:
        tokens = self.qkv(self.norm(h).to(h.dtype)).flatten(2).transpose(1, 2)
        q, k, v = (part[:, None] for part in tokens.chunk(3, dim=2))
        site = AttentionSite(self.place, self.is_cross, tuple(h.shape[2:]), emb.t)
        mixed = attend(q, k, v, site, emb.controls)[:, 0].transpose(1, 2).unflatten(2, h.shape[2:])
        return h + self.out(mixed)


class SR3UNet(Network):
    """The network F(x, level, cond) -> [B, out_channels, H, W].

    Levels, skips and places of attention are those of `UNet`; convolutions halve and double the resolution. Last layers of all branches and
    the output start at zero. Its weights are in the order of the open implementation's.

    Args:
        image_size: Side of square training images, or [H, W] (other sizes that the levels divide work too).
        in_channels: Channels of the image.
        out_channels: Channels of the result.
        embedders: Name -> (dim=) -> module(cond) -> vector [B, dim], added to the embedding of the noise level.
        width: Channels of a level with multiplier 1.
        channel_mult: Level i has width * channel_mult[i] channels.
        depth: Residual blocks per level.
        attention_resolutions: Image sizes (of the shorter side) at which there is attention, beside that in the middle.
        norm_groups: Groups of the norms; None for `GroupNorm`'s own: 32 where they divide the channels.
        dropout: In the residual blocks.
        gradient_checkpointing: See `Chain`.
    """

    def __init__(
        self,
        image_size: ImageSize,
        in_channels: int,
        out_channels: int,
        embedders: Mapping[str, Callable[..., nn.Module]],
        width: int = 64,
        channel_mult: Sequence[float] = (1, 2, 4, 8, 8),
        depth: int = 3,
        attention_resolutions: Sequence[int] = (16,),
        norm_groups: int | None = None,
        dropout: float = 0.0,
        gradient_checkpointing: bool = False,
    ):
        super().__init__()
        if out_channels < 1:
            raise ValueError(f"out_channels must be at least 1, got {out_channels}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is a probability below 1, got {dropout}")
        self.image_size, self.in_channels, self.out_channels = image_size, in_channels, out_channels
        block = partial(SR3Block, emb_dim=width, norm_groups=norm_groups, dropout=dropout)
        attention, resample = partial(SR3Attention, norm_groups=norm_groups), ConvResample()

        self.noise_level = NoiseLevelEmbedding(width)
        self.embedders = nn.ModuleDict({name: embedder(dim=width) for name, embedder in embedders.items()})
        self.trunk = trunk = Trunk(
            image_size,
            in_channels,
            width,
            channel_mult,
            depth,
            attention_resolutions,
            block,
            attention,
            resample,
            gradient_checkpointing,
        )
        ch, left, steps = trunk.features[-1], trunk.features[:-1], []
        for level in reversed(range(len(trunk.channels))):
            for i in range(depth + 1):
                blocks: list[nn.Module] = [block(ch + left.pop(), trunk.channels[level])]
                ch = trunk.channels[level]
                if trunk.resolutions[level] in trunk.attention_resolutions:
                    blocks.append(attention(ch))
                if level and i == depth:
                    blocks.append(resample.up(ch, block))
                steps.append(Chain(blocks, gradient_checkpointing))
        self.up = nn.ModuleList(steps)
        self.attention_places = placed([trunk.steps, trunk.middle, self.up])
        self.norm_out = GroupNorm(ch, groups=norm_groups)
        self.conv_out = zeroed(nn.Conv2d(ch, out_channels, 3, padding=1))

    def forward(
        self, x: Float[Tensor, "b c h w"], time: Float[Tensor, " b"], cond: Condition
    ) -> Float[Tensor, "b o h w"]:
        emb = block_condition(self.noise_level(time), self.embedders, cond, activation=unchanged)
        *features, h = self.trunk(x.to(self.conv_out.weight.dtype), emb)
        for step in self.up:
            h = step(torch.cat([h, features.pop()], dim=1), emb)
        return self.conv_out(F.silu(self.norm_out(h).to(h.dtype))).to(x.dtype)
