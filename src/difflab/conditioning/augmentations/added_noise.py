"""Noise of a standard deviation that is uniform."""

from __future__ import annotations

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from difflab.conditioning.augmentations.augmentation import EPS, LEVEL, Augmentation
from difflab.noise import Noise
from difflab.process import perturb
from difflab.types import AlphaSigma


class AddedNoise(Augmentation):
    """image + level eps: the variance-exploding form, in which the image keeps its contrast. level is uniform on [0, max_level].

    max_level     in training
    level         in sampling, 0 .. max_level; 0 trusts the small image
    """

    def __init__(self, max_level: float, level: float = 0.0):
        if max_level < 0 or not 0 <= level <= max_level:
            raise ValueError(
                f"conditioning augmentation: level={level} of sampling must lie in 0 .. max_level={max_level}, the levels of training"
            )
        self.max_level = max_level
        self.level = level

    @property
    def described(self) -> str:
        return f"level {self.level:g}"

    def __call__(self, image: Float[Tensor, "b c s s"], noise: Noise) -> tuple[Tensor, Float64[Tensor, " b"]]:
        return _noised(image, self.max_level * noise.uniform(LEVEL), noise)

    def in_sampling(self, image: Float[Tensor, "b c s s"], noise: Noise) -> tuple[Tensor, Float64[Tensor, " b"]]:
        return _noised(image, torch.full_like(noise.number, self.level, dtype=torch.float64), noise)


def _noised(image: Tensor, level: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
    eps = noise.normal(EPS, tuple(image.shape[1:])).to(image)
    return perturb(image, eps, AlphaSigma(torch.ones_like(level), level)), level
