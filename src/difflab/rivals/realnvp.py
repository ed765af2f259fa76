"""RealNVP (Dinh et al. 2017, arXiv 1605.08803): an invertible network, whose density is known."""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from difflab.likelihoods import HasBits
from difflab.networks import Network
from difflab.networks.layers import GroupNorm
from difflab.networks.network import BlockCondition, zeroed
from difflab.noise import Noise
from difflab.objectives import Objective
from difflab.rivals.generator import BLOCK, Embedders, Generator, embedding, halved, nothing, told
from difflab.types import Condition, ImageSize, Losses, Prediction

LN2 = math.log(2)


class Coupling(nn.Module):
    """y = b x + (1 - b) (x exp(s(b x)) + t(b x)), which leaves alone what the mask b keeps (eq. 9).

    s = scale tanh(.) with a learned scale for each channel (section 4.1); the last convolution begins at zero, hence the flow as the
    identity.

    Args:
        mask: b, [C, H, W], of zeros and ones.
        width: Channels of the network that gives s and t.
        depth: Its residual blocks.
    """

    mask: Tensor

    def __init__(self, mask: Float[Tensor, "c h w"], width: int, depth: int):
        super().__init__()
        channels = len(mask)
        self.register_buffer("mask", mask, persistent=False)
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.blocks = nn.ModuleList(BLOCK(width, width) for _ in range(depth))
        self.norm, self.last = GroupNorm(width), zeroed(nn.Conv2d(width, 2 * channels, 3, padding=1))
        self.scale = nn.Parameter(torch.ones(channels, 1, 1))

    def terms(self, x: Tensor, about: BlockCondition) -> tuple[Tensor, Tensor]:
        """(s, t), which are zero where the mask keeps x; they depend on that alone."""
        h = self.first(self.mask * x)
        for block in self.blocks:
            h = block(h, about)
        s, t = self.last(F.silu(self.norm(h).to(h.dtype))).chunk(2, dim=1)
        moved = 1 - self.mask
        return moved * self.scale * s.tanh(), moved * t

    def forward(self, x: Tensor, about: BlockCondition) -> tuple[Tensor, Float[Tensor, " b"]]:
        """y and log |det dy/dx|."""
        s, t = self.terms(x, about)
        return x * s.exp() + t, s.flatten(1).sum(1)

    def inverse(self, y: Tensor, about: BlockCondition) -> Tensor:
        """The x of y."""
        s, t = self.terms(y, about)
        return (y - t) * (-s).exp()


class Flow(Network):
    """Noise -> logits of pixels, and back with the log-determinant.

    At the whole size couplings have checkerboard masks. Then 2 x 2 pixels become four channels (the squeezing of section 3.6), and pairs
    with channel masks and with checkerboards follow each other. No part of the image leaves on the way.

    Args:
        image_size: Side of square images, or [H, W].
        in_channels: Channels of the image.
        embedders: Of the condition.
        width: Channels of the couplings' networks.
        depth: Residual blocks of each.
        couplings: At the whole size, and twice as many at half of it.
    """

    def __init__(
        self,
        image_size: ImageSize,
        in_channels: int,
        embedders: Embedders,
        width: int,
        depth: int = 1,
        couplings: int = 4,
    ):
        super().__init__()
        self.image_size, self.in_channels, self.out_channels = image_size, in_channels, in_channels
        self.embedders = embedding(embedders)
        height, breadth = halved(image_size)
        whole = (in_channels, 2 * height, 2 * breadth)
        half = (4 * in_channels, height, breadth)
        self.fine = nn.ModuleList(Coupling(checkerboard(whole, i), width, depth) for i in range(couplings))
        self.coarse = nn.ModuleList(
            Coupling(channels_apart(half, i) if i // 2 % 2 == 0 else checkerboard(half, i), width, depth)
            for i in range(2 * couplings)
        )

    def forward(self, x: Tensor, time: Tensor, cond: Condition) -> Tensor:
        about, x = told(self.embedders, cond, nothing(x)), F.pixel_unshuffle(x, 2)
        for coupling in reversed(self.coarse):
            x = cast(Coupling, coupling).inverse(x, about)
        x = F.pixel_shuffle(x, 2)
        for coupling in reversed(self.fine):
            x = cast(Coupling, coupling).inverse(x, about)
        return x

    def back(self, y: Float[Tensor, "b c h w"], cond: Condition) -> tuple[Tensor, Float[Tensor, " b"]]:
        """The noise of which `forward` makes y, and log |det dz/dy|."""
        about, total = told(self.embedders, cond, nothing(y)), y.new_zeros(len(y))
        for coupling in self.fine:
            y, log_det = coupling(y, about)
            total = total + log_det
        y = F.pixel_unshuffle(y, 2)
        for coupling in self.coarse:
            y, log_det = coupling(y, about)
            total = total + log_det
        return F.pixel_shuffle(y, 2), total


def checkerboard(shape: tuple[int, int, int], turn: int) -> Tensor:
    """Ones where row + column + turn is even, [C, H, W]."""
    rows, columns = torch.arange(shape[1])[:, None], torch.arange(shape[2])
    return ((rows + columns + turn) % 2 == 0).float().expand(shape).clone()


def channels_apart(shape: tuple[int, int, int], turn: int) -> Tensor:
    """Ones in the first half of the channels, or by turns in the second, [C, H, W]."""
    first = torch.arange(shape[0]) < shape[0] // 2
    return (first == (turn % 2 == 0)).float()[:, None, None].expand(shape).clone()


class RealNVP(Generator, HasBits):
    """8-bit images x_0 = u / 127.5 - 1, whose y = (u + noise) / 256 with uniform noise is a density; logit(a + (1 - 2 a) y) = flow(z).

    Args:
        network: The flow.
        margin: a, which keeps the logit finite (section 4.1 has 0.05).
        levels: Grey levels that the data have, at equal distances from -1 to 1: the noise is as wide as one of them. Images drawn lie in
            the middle of a level.
    """

    def __init__(self, network: Flow, margin: float = 0.05, levels: int = 256):
        super().__init__(network)
        if not 0 < margin < 0.5 or levels < 2:
            raise ValueError(f"margin={margin} must lie between 0 and 0.5, and levels={levels} be at least 2")
        self.margin, self.levels = margin, levels

    @property
    def flow(self) -> Flow:
        """The network, by the name of what it is."""
        return cast(Flow, self.network)

    def forward(self, x_t: Tensor, t: Tensor, cond: Condition) -> Prediction:
        y = (self.made(x_t, cond).sigmoid() - self.margin) / (1 - 2 * self.margin)
        level = (y * self.levels).floor().clamp(0, self.levels - 1)
        return Prediction(2 * level / (self.levels - 1) - 1)

    def bits(self, x_0: Tensor, cond: Condition, noise: Noise) -> Tensor:
        """-log2 of the density of y, whose expectation over the noise is a bound on that of the probability of x_0 (Theis et al. 2016)."""
        level = (x_0 + 1) / 2 * (self.levels - 1)
        y = (level.round() + noise.uniform("dequantisation", tuple(x_0.shape[1:])).to(x_0)) / self.levels
        inside = self.margin + (1 - 2 * self.margin) * y
        z, log_det = self.flow.back(inside.logit(), cond)
        # of y's density: the prior of z, the flow, and d logit(inside) / dy
        slope = math.log(1 - 2 * self.margin) - inside.log() - (1 - inside).log()
        prior = -0.5 * (z.square() + math.log(2 * math.pi))
        log_p = (prior + slope).flatten(1).sum(1) + log_det
        return (-log_p / math.prod(x_0.shape[1:]) + math.log(self.levels)) / LN2


class ExactLikelihood(Objective[RealNVP]):
    """-log2 p(x_0) per dimension, of dequantised pixels (eq. 3)."""

    def __call__(self, model: RealNVP, x_0: Tensor, cond: Condition, noise: Noise) -> Losses:
        bits = model.bits(x_0, cond, noise)
        return Losses(bits, None, {"loss": bits})

    def check(self, model: RealNVP) -> None:
        pass
