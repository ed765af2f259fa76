"""The number that tells how noisy an image is -> the features that the first layer of NCSN++ and DDPM++ sees of it."""

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

_LONGEST_PERIOD = 10_000


class NoiseFeatures(nn.Module, ABC):
    """time [B] -> [B, dim], float32.

    Attributes:
        dim: Number of features.
    """

    dim: int

    @abstractmethod
    def forward(self, time: Float[Tensor, " b"]) -> Float[Tensor, "b dim"]: ...


class SinusoidFeatures(NoiseFeatures):
    """[sin(time f_0), ..., cos(time f_0), ...] with f_k = 10000^(-k / (n - 1)), k = 0 .. n - 1, n = width / 2: DDPM's own.

    The last frequency is 1 / 10000 itself, where ADM's sinusoids stop one before (`TimeEmbedding`).

    Args:
        width: Channels of the network's first level, and number of features.
    """

    def __init__(self, width: int):
        super().__init__()
        if width < 4 or width % 2:
            raise ValueError(f"width={width}: sinusoids of {width} features need an even number of at least 4")
        self.dim = width

    def forward(self, time: Float[Tensor, " b"]) -> Float[Tensor, "b dim"]:
        half = self.dim // 2
        steps = torch.arange(half, dtype=torch.float32, device=time.device)
        angle = time.float()[:, None] * torch.exp(steps * (-math.log(_LONGEST_PERIOD) / (half - 1)))
        return torch.cat([angle.sin(), angle.cos()], dim=1)


class FourierFeatures(NoiseFeatures):
    """[sin(2 pi w_0 time), ..., cos(2 pi w_0 time), ...] with w_k from N(0, scale^2) (Tancik et al. 2020; Song et al. 2021, appendix H.2).

    The frequencies do not learn. They are the same for all seeds, so that rows and replicates differ in nothing by them, and saved with the
    weights, as released models have their own.

    Args:
        width: Channels of the network's first level; there are as many frequencies, and twice as many features.
        scale: Standard deviation of the frequencies. 16 suits times that are logarithms of noise levels, as variance exploding has them.
    """

    frequencies: Tensor

    def __init__(self, width: int, scale: float = 16.0):
        super().__init__()
        if width < 1 or scale <= 0:
            raise ValueError(f"width={width} must be at least 1 and scale={scale} positive")
        self.dim = 2 * width
        self.register_buffer("frequencies", torch.empty(width))
        drawn = torch.randn(width, generator=torch.Generator().manual_seed(0), device="cpu")
        self.frequencies.copy_(scale * drawn)

    def forward(self, time: Float[Tensor, " b"]) -> Float[Tensor, "b dim"]:
        angle = time.float()[:, None] * self.frequencies.float() * (2 * math.pi)
        return torch.cat([angle.sin(), angle.cos()], dim=1)
