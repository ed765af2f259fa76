"""A run that needs no training: 8-bit images of a mixture of Gaussians, and a network that knows E[x_0 | x_t] of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor, nn

from difflab.data import GaussianMixture, MixtureImages
from difflab.networks import Network
from difflab.schedules import NoiseSchedule
from difflab.types import Condition

MIXTURE = GaussianMixture(
    [[[[0.3, -0.4], [0.1, 0.5]]], [[[-0.3, 0.2], [0.4, -0.2]]], [[[0.0, 0.5], [-0.5, -0.3]]]], [0.5, 0.2, 0.3], 0.15
)


class MixturePixels(MixtureImages):
    """Its draws, rounded to grey levels."""

    def __init__(self, length: int, seed: int = 0):
        super().__init__(MIXTURE, length, seed)

    def images(self, indices: Sequence[int] | Tensor) -> Tensor:
        return (super().images(indices) * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)


class KnowingMixture(Network):
    """E[x_0 | x_t], told t. What it could learn enters nothing.

    Args:
        schedule: The model's.
    """

    in_channels, out_channels, image_size = 1, 1, 2

    def __init__(self, schedule: NoiseSchedule):
        super().__init__()
        self.schedule = schedule
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, time: Tensor, cond: Condition) -> Tensor:
        return MIXTURE.denoise(x, *self.schedule(time.double())).to(x) + 0 * self.unused


def exact_bits(pixels: Tensor) -> np.ndarray:
    """-log2 P(pixels) per dimension, [B]: of the levels of the mixture's draws."""
    x = pixels.numpy() / 127.5 - 1
    low = np.where(pixels == 0, -np.inf, x - 1 / 255)[:, None]
    high = np.where(pixels == 255, np.inf, x + 1 / 255)[:, None]
    means = MIXTURE.means.numpy()
    level = norm.cdf((high - means) / MIXTURE.std) - norm.cdf((low - means) / MIXTURE.std)
    return -np.log2((MIXTURE.weights.numpy() * level.prod((2, 3, 4))).sum(1)) / x[0].size


KNOWN = (
    "data=mixture",
    "data.image_size=2",
    "data.num_classes=0",
    "data.batch_size=8",
    "data.dataset._target_=exact.MixturePixels",
    "~data.dataset.mixture",
    "data.dataset.length=2000",
    "network=mlp",
    "network._target_=exact.KnowingMixture",
    *(
        f"~network.{key}"
        for key in ("_convert_", "image_size", "in_channels", "out_channels", "embedders", "width", "depth")
    ),
    "+network.schedule=${schedule}",
    "embedder=[]",
    "parameterization=x0",
    "noise_conditioning=time",
    "noise_conditioning.scale=1.0",
    "variance=fixed_small",
    "objective=simple",
    "objective/weighting=unweighted",
    "ema=[]",
    "eval.tracks=[online]",
    "guidance=[]",
    "sampler=ddim",
    "sampler.grid.steps=4",
    "evaluation=losses",
    "eval.num_samples=4",
    "eval.batch_size=4",
    "eval.grid=4",
    "trainer.max_steps=1",
    "trainer.accelerator=cpu",
    "logger=none",
)
"""Overrides of a command that has both."""
