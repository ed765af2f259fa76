"""Where a walk begins."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.noise import Noise
from difflab.schedules import NoiseSchedule

__all__ = ["NormalPrior", "Prior", "UniformPrior"]


class Prior(ABC):
    """Where a walk begins: the distribution of x_T."""

    @abstractmethod
    def __call__(
        self, schedule: NoiseSchedule, t: Float64[Tensor, " 1"], shape: tuple[int, ...], noise: Noise
    ) -> Tensor:
        """x_T, [B, *shape]: float64, or whole numbers for a process of such.

        Args:
            schedule: The model's.
            t: The time at which the walk begins, [1].
            shape: Of an image, (C, *size).
            noise: That of the images.
        """


class NormalPrior(Prior):
    """Normal, with the standard deviation sqrt(alpha^2 + sigma^2) that standardised data have at that time: 1 if variance is preserved."""

    def __call__(
        self, schedule: NoiseSchedule, t: Float64[Tensor, " 1"], shape: tuple[int, ...], noise: Noise
    ) -> Tensor:
        alpha, sigma = schedule(t)
        return torch.hypot(alpha, sigma).to(noise.number.device) * noise.normal("x_T", shape)


class UniformPrior(Prior):
    """alpha u with each number of u uniform from -1 to 1, black to white (Song and Ermon 2019, section 5: uniform on [0, 1])."""

    def __call__(
        self, schedule: NoiseSchedule, t: Float64[Tensor, " 1"], shape: tuple[int, ...], noise: Noise
    ) -> Tensor:
        return schedule(t).alpha.to(noise.number.device) * (2 * noise.uniform("x_T", shape) - 1)
