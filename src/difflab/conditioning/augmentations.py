"""Noise on the small image (conditioning augmentation)."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from difflab.noise import Noise
from difflab.process import perturb
from difflab.schedules import NoiseSchedule
from difflab.types import AlphaSigma

__all__ = ["AddedNoise", "Augmentation", "ForwardNoise", "Unchanged"]


class Augmentation(ABC):
    """Noise on the small image: (image, noise) -> (noised image, level), level [B] float64 being the standard deviation of the noise in it.

    The level is None for one that never adds any.

    Ho et al. 2021, "Cascaded Diffusion Models" (arXiv 2106.15282, section 4): an upsampler that was trained on real small images alone
    takes the flaws of drawn ones for details. Noise hides them. In training the level is drawn anew for each image, so that one model can
    be used with any; in sampling it is fixed. The network is told it if it has the embedder `level`.
    """

    @property
    @abstractmethod
    def described(self) -> str:
        """What a protocol says of the noise in sampling."""

    @abstractmethod
    def __call__(
        self, image: Float[Tensor, "b c s s"], noise: Noise
    ) -> tuple[Float[Tensor, "b c s s"], Float64[Tensor, " b"] | None]:
        """The image as it is in training: with a level drawn from `noise`."""

    @abstractmethod
    def in_sampling(
        self, image: Float[Tensor, "b c s s"], noise: Noise
    ) -> tuple[Float[Tensor, "b c s s"], Float64[Tensor, " b"] | None]:
        """The image as it is in sampling: with the fixed level. Each image's noise is a function of its seed."""


LEVEL, EPS = "conditioning level", "conditioning noise"
"""Purposes of what is drawn."""


class AddedNoise(Augmentation):
    """The image plus level eps: the variance-exploding form, in which the image keeps its contrast. The level is uniform on [0, max_level].

    Args:
        max_level: The largest level in training.
        level: The level in sampling, 0 .. max_level; 0 trusts the small image.
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


class ForwardNoise(Augmentation):
    """alpha_s image + sigma_s eps, with s uniform on [0, max_time] of a schedule, and level = sigma_s.

    The variance-preserving form of Cascaded Diffusion (arXiv 2106.15282, section 4.2, "non-truncated") and of Imagen (arXiv 2205.11487,
    section 2.3, whose aug_level is s).

    Args:
        schedule: Time -> (alpha, sigma).
        max_time: The latest time in training; 1 is noise alone.
        time: The time in sampling, 0 .. max_time; 0 trusts the small image.
    """

    def __init__(self, schedule: NoiseSchedule, max_time: float = 1.0, time: float = 0.0):
        if not 0 <= max_time <= 1 or not 0 <= time <= max_time:
            raise ValueError(
                f"conditioning augmentation: time={time} of sampling must lie in 0 .. max_time={max_time}, and this in 0 .. 1"
            )
        self.schedule = schedule
        self.max_time = max_time
        self.time = time

    @property
    def described(self) -> str:
        return f"time {self.time:g}"

    def __call__(self, image: Float[Tensor, "b c s s"], noise: Noise) -> tuple[Tensor, Float64[Tensor, " b"]]:
        return self._noised(image, self.max_time * noise.uniform(LEVEL), noise)

    def in_sampling(self, image: Float[Tensor, "b c s s"], noise: Noise) -> tuple[Tensor, Float64[Tensor, " b"]]:
        return self._noised(image, torch.full_like(noise.number, self.time, dtype=torch.float64), noise)

    def _noised(self, image: Tensor, s: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        eps, level = noise.normal(EPS, tuple(image.shape[1:])).to(image), self.schedule(s)
        return perturb(image, eps, level), level.sigma


class Unchanged(Augmentation):
    """The small image as it is: ADM's, Improved DDPM's and SR3's upsamplers."""

    @property
    def described(self) -> str:
        return "none"

    def __call__(self, image: Float[Tensor, "b c s s"], noise: Noise) -> tuple[Tensor, None]:
        return image, None

    def in_sampling(self, image: Float[Tensor, "b c s s"], noise: Noise) -> tuple[Tensor, None]:
        return image, None
