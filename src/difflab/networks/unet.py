"""The UNet of ADM ("Diffusion Models Beat GANs", arXiv 2105.05233).

With other settings it is that of DDPM (arXiv 2006.11239) and Improved DDPM (arXiv 2102.09672).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from difflab.former_names import Neutral
from difflab.networks.layers.attention import Attention
from difflab.networks.layers.embeddings import TimeEmbedding
from difflab.networks.layers.norms import GroupNorm
from difflab.networks.layers.resample import Resample
from difflab.networks.layers.residual_block import Chain, ResidualBlock
from difflab.networks.layers.trunk import Trunk, attentions
from difflab.networks.network import Network, block_condition, zeroed
from difflab.types import Condition, ImageSize

EMBEDDING_MULTIPLE = 4
"""Embeddings of time and condition have this many times `width` dimensions."""


class UNet(Network):
    """The network F(x, time, cond) -> [B, out_channels, H, W]; knows nothing of diffusion.

    Down: `Trunk`. Up: per level depth + 1 residual blocks, each on the image joined with the one that the trunk left at this place, each
    followed by attention where the trunk has it. Last layers of all branches and the output start at zero.

    Args:
        image_size: Side of square training images, or [H, W] (other sizes that the levels divide work too).
        in_channels: Channels of the image.
        out_channels: Channels of the result: those of the image, and as many again for a learned variance.
        embedders: Name -> (dim=) -> module(cond) -> vector [B, dim], added to the embedding of time, or `Embedding` with tokens for
            cross-attention.
        norm: (channels, emb_dim) -> module(h, emb): AdaptiveGroupNorm, AdditiveGroupNorm.
        resample: Between levels: BigGANResample, ConvResample, PoolResample.
        attention: (channels) -> module(h, emb): HeadsFirstAttention, QKVFirstAttention.
        up_attention: Attention on the way up if it is to be another one, else None.
        width: Channels of a level with multiplier 1.
        channel_mult: Level i has width * channel_mult[i] channels.
        depth: Residual blocks per level.
        attention_resolutions: Image sizes at which there is attention.
        dropout: Probability, in the residual blocks.
        residual_scale: Factor of the sum in a residual block: 1, or 1 / sqrt(2).
        gradient_checkpointing: Less memory, about a third more computation, the same gradients.
        cross_attention: (channels) -> module(h, emb) after each attention over the image, which looks at the condition's tokens
            (`CrossAttention`); None for none.
        middle_attention: Whether there is attention in the middle. Without it, and with attention_resolutions=[], there is none at all.
        skips: Whether the way up sees the images that the trunk left. Without them the network is an autoencoder.
    """

    def __init__(
        self,
        image_size: ImageSize,
        in_channels: int,
        out_channels: int,
        *,
        embedders: Mapping[str, Callable[..., nn.Module]],
        norm: Callable[[int, int], nn.Module],
        resample: Resample,
        attention: Callable[[int], nn.Module],
        up_attention: Callable[[int], nn.Module] | None = None,
        width: int = 128,
        channel_mult: Sequence[float] = (1, 2, 2, 2),
        depth: int = 2,
        attention_resolutions: Sequence[int] = (16, 8),
        dropout: float = 0.0,
        residual_scale: float = 1.0,
        gradient_checkpointing: bool = False,
        cross_attention: Neutral[Callable[[int], nn.Module] | None] = None,
        middle_attention: Neutral[bool] = True,
        skips: Neutral[bool] = True,
    ):
        super().__init__()
        if out_channels < 1:
            raise ValueError(f"out_channels must be at least 1, got {out_channels}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is a probability below 1, got {dropout}")
        if residual_scale <= 0:
            raise ValueError(f"residual_scale must be positive (1, or 1 / sqrt(2)), got {residual_scale}")
        self.image_size, self.in_channels, self.out_channels = image_size, in_channels, out_channels
        emb_dim = EMBEDDING_MULTIPLE * width
        block = partial(ResidualBlock, emb_dim=emb_dim, norm=norm, dropout=dropout, residual_scale=residual_scale)
        up_attention = up_attention or attention

        self.time_embedding = TimeEmbedding(width, emb_dim)
        self.embedders = nn.ModuleDict({name: embedder(dim=emb_dim) for name, embedder in embedders.items()})
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
            cross_attention,
            middle_attention,
        )
        self.skips = skips
        ch, left, steps = trunk.features[-1], trunk.features[:-1], []
        for level in reversed(range(len(trunk.channels))):
            for i in range(depth + 1):
                blocks: list[nn.Module] = [block(ch + (left.pop() if skips else 0), trunk.channels[level])]
                ch = trunk.channels[level]
                if trunk.resolutions[level] in trunk.attention_resolutions:
                    blocks += attentions(ch, up_attention, cross_attention)
                if level and i == depth:
                    blocks.append(resample.up(ch, block))
                steps.append(Chain(blocks, gradient_checkpointing))
        self.up = nn.ModuleList(steps)
        self.attention_places = placed([trunk.steps, trunk.middle, self.up])
        self.norm_out = GroupNorm(ch)
        self.conv_out = zeroed(nn.Conv2d(ch, out_channels, 3, padding=1))

    def forward(
        self, x: Float[Tensor, "b c h w"], time: Float[Tensor, " b"], cond: Condition
    ) -> Float[Tensor, "b o h w"]:
        emb = block_condition(self.time_embedding(time), self.embedders, cond, activation=F.silu)
        *features, h = self.trunk(x.to(self.conv_out.weight.dtype), emb)
        for step in self.up:
            h = step(torch.cat([h, features.pop()], dim=1) if self.skips else h, emb)
        return self.conv_out(F.silu(self.norm_out(h).to(h.dtype))).to(x.dtype)


def placed(parts: Sequence[nn.Module]) -> frozenset[int]:
    """Tells the attentions before, in and after the middle their places, and returns these.

    What looks at the condition has the place of the attention over the image before it.
    """
    looks = [[layer for layer in part.modules() if isinstance(layer, Attention)] for part in parts]
    counts = [sum(not layer.is_cross for layer in part) for part in looks]
    places = iter([*range(-counts[0], 0), *range(counts[1]), *range(1, 1 + counts[2])])
    found = []
    for layer in chain(*looks):
        if not layer.is_cross:
            found.append(next(places))
        layer.place = found[-1]
    return frozenset(found)
