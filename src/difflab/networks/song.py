"""NCSN++ and DDPM++ (Song et al. 2021, "Score-Based Generative Modeling", arXiv 2011.13456, appendix H), and DDPM's own network.

EDM trains the same network under the name SongUNet (Karras et al. 2022, arXiv 2206.00364, table 7).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from difflab.networks.layers.fan_average import FanAverageConv2d, FanAverageLinear
from difflab.networks.layers.noise_features import NoiseFeatures
from difflab.networks.layers.progressive import ProgressiveInput, ProgressiveOutput
from difflab.networks.layers.resample import Resample
from difflab.networks.layers.residual_block import Chain
from difflab.networks.layers.song_block import SongAttention, SongBlock, norm_of
from difflab.networks.layers.trunk import (
    check_attention,
    check_halvings,
    fastest_format,
    level_channels,
    level_resolutions,
)
from difflab.networks.network import Network, block_condition
from difflab.networks.unet import EMBEDDING_MULTIPLE, placed
from difflab.types import Condition, ImageSize


class SongUNet(Network):
    """The network F(x, time, cond) -> [B, out_channels, H, W].

    Down: per level `depth` residual blocks, each followed by attention at the chosen resolutions; between levels the resolution is halved
    and the image may enter again. Middle: block, attention, block. Up: per level depth + 1 blocks on the features joined with those left on
    the way down, then attention once. What a condition says is added to the features of the noise level, before the two layers that
    every block is told the result of. Last layers of branches begin near zero.

    Args:
        image_size: Side of square training images, or [H, W] (other sizes that the levels divide work too).
        in_channels: Channels of the image.
        out_channels: Channels of the result: those of the image, and as many again for a learned variance.
        embedders: Name -> (dim=) -> module(cond) -> vector [B, dim].
        noise_features: (width) -> module(time): SinusoidFeatures (DDPM++), FourierFeatures (NCSN++).
        resample: Between levels: BigGANResample (DDPM++), FIRResample (NCSN++), DDPMResample (DDPM).
        progressive_input: (in_channels, channels, residual_scale) -> how the image enters the lower levels.
        progressive_output: (channels, out_channels, norm, residual_scale) -> how the result leaves.
        width: Channels of a level with multiplier 1.
        channel_mult: Level i has width * channel_mult[i] channels.
        depth: Residual blocks per level.
        attention_resolutions: Image sizes (of the shorter side) at which there is attention, beside that in the middle.
        dropout: Probability, in the residual blocks.
        residual_scale: Factor of all residual sums: 1 / sqrt(2), or 1.
        smallest_group: Channels of a norm's groups at least: 4, or 1 in DDPM.
        gradient_checkpointing: See `Chain`.
    """

    def __init__(
        self,
        image_size: ImageSize,
        in_channels: int,
        out_channels: int,
        *,
        embedders: Mapping[str, Callable[..., nn.Module]],
        noise_features: Callable[[int], NoiseFeatures],
        resample: Resample,
        progressive_input: Callable[[int, Sequence[int], float], ProgressiveInput],
        progressive_output: Callable[..., ProgressiveOutput],
        width: int = 128,
        channel_mult: Sequence[float] = (1, 2, 2, 2),
        depth: int = 4,
        attention_resolutions: Sequence[int] = (16,),
        dropout: float = 0.0,
        residual_scale: float = 0.5**0.5,
        smallest_group: int = 4,
        gradient_checkpointing: bool = False,
    ):
        super().__init__()
        if in_channels < 1 or out_channels < 1 or depth < 1:
            raise ValueError(
                f"in_channels={in_channels}, out_channels={out_channels} and depth={depth} must be at least 1"
            )
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is a probability below 1, got {dropout}")
        if residual_scale <= 0:
            raise ValueError(f"residual_scale must be positive (1, or 1 / sqrt(2)), got {residual_scale}")
        self.image_size, self.in_channels, self.out_channels = image_size, in_channels, out_channels
        self.memory_format: torch.memory_format | None = None
        emb_dim, norm = EMBEDDING_MULTIPLE * width, norm_of(smallest_group)
        block = partial(SongBlock, emb_dim=emb_dim, norm=norm, dropout=dropout, residual_scale=residual_scale)
        attention = partial(SongAttention, norm=norm, residual_scale=residual_scale)
        chain = partial(Chain, gradient_checkpointing=gradient_checkpointing)
        channels = level_channels(width, channel_mult)
        resolutions = level_resolutions(image_size, len(channels))
        check_attention(attention_resolutions, image_size, resolutions)
        looks = [resolution in set(attention_resolutions) for resolution in resolutions]

        self.noise_features = noise_features(width)
        dim = self.noise_features.dim
        self.embedders = nn.ModuleDict({name: embedder(dim=dim) for name, embedder in embedders.items()})
        self.hidden = FanAverageLinear(dim, emb_dim)
        self.told = FanAverageLinear(emb_dim, emb_dim)

        self.conv_in = FanAverageConv2d(in_channels, width, 3)
        self.progressive_input = progressive_input(in_channels, channels[:-1], residual_scale)
        ch, left, down, halve = width, [width], [], []
        for level, out in enumerate(channels):
            if level:
                halve.append(chain([resample.down(ch, block)]))
                ch = self.progressive_input.channels[level - 1]
                left.append(ch)
            steps = []
            for _ in range(depth):
                steps.append(chain([block(ch, out), *([attention(out)] if looks[level] else [])]))
                ch = out
                left.append(ch)
            down.append(nn.ModuleList(steps))
        self.down, self.halved = nn.ModuleList(down), nn.ModuleList(halve)
        self.middle = chain([block(ch, ch), attention(ch), block(ch, ch)])

        up, double = [], []
        for level in reversed(range(len(channels))):
            out, steps = channels[level], []
            for i in range(depth + 1):
                last = looks[level] and i == depth
                steps.append(chain([block(ch + left.pop(), out), *([attention(out)] if last else [])]))
                ch = out
            up.append(nn.ModuleList(steps))
            if level:
                double.append(chain([resample.up(ch, block)]))
        self.up, self.doubled = nn.ModuleList(up), nn.ModuleList(double)
        self.progressive_output = progressive_output(channels[::-1], out_channels, norm, residual_scale)
        self.attention_places = placed([self.down, self.middle, self.up])

    def forward(
        self, x: Float[Tensor, "b c h w"], time: Float[Tensor, " b"], cond: Condition
    ) -> Float[Tensor, "b o h w"]:
        check_halvings(x, len(self.down))
        dtype = self.conv_in.weight.dtype
        emb = block_condition(self.noise_features(time).to(dtype), self.embedders, cond, activation=self._embedding)
        image = x.to(dtype).contiguous(memory_format=self.memory_format or fastest_format(x.device))
        h = self.conv_in(image)
        left = [h]
        for level, steps in enumerate(self.down):
            if level:
                image, h = self.progressive_input(level - 1, image, self.halved[level - 1](h, emb))
                left.append(h)
            for step in cast(nn.ModuleList, steps):
                h = step(h, emb)
                left.append(h)
        h, result = self.middle(h, emb), None
        for level, steps in enumerate(self.up):
            if level:
                h = self.doubled[level - 1](h, emb)
            for step in cast(nn.ModuleList, steps):
                h = step(torch.cat([h, left.pop()], dim=1), emb)
            result, h = self.progressive_output(level, result, h)
        return self.progressive_output.end(result, h).to(x.dtype)

    def _embedding(self, features: Tensor) -> Tensor:
        return F.silu(self.told(F.silu(self.hidden(features))))
