"""What models that draw an image in one pass have in common: x_0 = G(x_T, cond), and the two halves of small convolutional networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64
from torch import Tensor, nn

from difflab.networks import Network
from difflab.networks.layers import AdaptiveGroupNorm, BigGANResample, GroupNorm, ResidualBlock
from difflab.networks.network import BlockCondition, block_condition
from difflab.noisy_model import DenoisingModel
from difflab.parameterizations import X0
from difflab.schedules import NoiseSchedule
from difflab.types import AlphaSigma, Condition, ImageSize, sides

Embedders = Mapping[str, Callable[..., nn.Module]]
"""Name -> (dim=) -> module(cond) -> vector [B, dim]: conf/embedder."""

EMBEDDING = 64
"""Dimensions of what blocks are told of the condition."""


class AtOnce(NoiseSchedule):
    """The image at t = 0, and noise alone at every other time: nothing lies between them."""

    steps = None

    def __call__(self, t: Float64[Tensor, " b"]) -> AlphaSigma:
        noise = (t > 0).double()
        return AlphaSigma(1 - noise, noise)

    def network_time(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return t

    def time(self, u: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return torch.ones_like(u)


class Generator(DenoisingModel):
    """A model of which x_0 = G(x_T, cond): a `DenoisingModel` that is asked at t = 1 alone.

    x_T is standard normal and has as many numbers as the image, so that whatever draws, trains and measures denoisers does so with it.

    Args:
        network: G, or the part of it that has weights.
    """

    def __init__(self, network: Network):
        super().__init__(network, AtOnce(), X0())

    def made(self, x_T: Float[Tensor, "b c h w"], cond: Condition) -> Float[Tensor, "b c h w"]:
        """The network's output for noise."""
        return self.network(x_T, x_T.new_ones(len(x_T)), cond)


def told(embedders: nn.ModuleDict, cond: Condition, beside: Float[Tensor, "b e"]) -> BlockCondition:
    """What blocks are told of a condition, and of something beside it; of a time nothing, since there is none."""
    return block_condition(beside, embedders, cond, F.silu)


def nothing(x: Tensor) -> Float[Tensor, "b e"]:
    """What stands beside the condition of images x where that is all."""
    return x.new_zeros(len(x), EMBEDDING)


def embedding(embedders: Embedders) -> nn.ModuleDict:
    """The embedders, built for these networks."""
    return nn.ModuleDict({name: embedder(dim=EMBEDDING) for name, embedder in embedders.items()})


BLOCK = partial(ResidualBlock, emb_dim=EMBEDDING, norm=AdaptiveGroupNorm)
"""That of the UNet with AdaGN, so that rivals differ from a denoiser in what they do and not in their layers."""


class ToImage(Network):
    """A vector in the shape of an image becomes an image, by a linear layer and residual blocks at half the size and at the whole.

    Each block is told the vector again, with the condition: what it says of all pixels alike would else be lost in the norms (BigGAN,
    arXiv 1809.11096, skip-z).

    Args:
        image_size: Side of square images, or [H, W].
        in_channels: Channels of the image, and of the noise.
        embedders: Of the condition.
        width: Channels at the whole size; twice as many at half of it.
        depth: Residual blocks of each size.
    """

    def __init__(self, image_size: ImageSize, in_channels: int, embedders: Embedders, width: int, depth: int = 1):
        super().__init__()
        self.image_size, self.in_channels, self.out_channels = image_size, in_channels, in_channels
        height, breadth = halved(image_size)
        self.small = (2 * width, height, breadth)
        self.embedders = embedding(embedders)
        self.beside = nn.Linear(4 * in_channels * height * breadth, EMBEDDING)
        self.first = nn.Linear(4 * in_channels * height * breadth, 2 * width * height * breadth)
        self.blocks = nn.ModuleList(
            [*(BLOCK(2 * width, 2 * width) for _ in range(depth)), BigGANResample().up(2 * width, BLOCK)]
            + [BLOCK(2 * width if i == 0 else width, width) for i in range(depth)]
        )
        self.norm, self.last = GroupNorm(width), nn.Conv2d(width, in_channels, 3, padding=1)

    def forward(self, x: Tensor, time: Tensor, cond: Condition) -> Tensor:
        vector = x.flatten(1)
        about, h = told(self.embedders, cond, self.beside(vector)), self.first(vector).unflatten(1, self.small)
        for block in self.blocks:
            h = block(h, about)
        return self.last(F.silu(self.norm(h).to(h.dtype)))


def halved(image_size: ImageSize) -> tuple[int, int]:
    """Half of height and width. A ValueError for what is no image, or cannot be halved."""
    axes = sides(image_size)
    if len(axes) != 2 or any(side % 2 for side in axes):
        raise ValueError(f"image_size={image_size}: these networks are of images whose height and width are even")
    return axes[0] // 2, axes[1] // 2
