"""The forward process of a diffusion, begun on the small image."""

from __future__ import annotations

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from difflab.conditioning.augmentations.augmentation import EPS, LEVEL, Augmentation
from difflab.noise import Noise
from difflab.process import perturb
from difflab.schedules import NoiseSchedule


class ForwardNoise(Augmentation):
    """alpha_s image + sigma_s eps, with s uniform on [0, max_time] of a schedule: the variance-preserving form of Cascaded Diffusion
    (arXiv 2106.15282, section 4.2, "non-truncated") and of Imagen (arXiv 2205.11487, section 2.3, whose aug_level is s). level = sigma_s.

    schedule   time -> (alpha, sigma)
    max_time   in training; 1 is noise alone
    time       in sampling, 0 .. max_time; 0 trusts the small image
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
