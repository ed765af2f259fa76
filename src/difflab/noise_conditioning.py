"""What number tells a network how noisy its input is."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.types import AlphaSigma

__all__ = ["AlphaBar", "LogNoiseLevel", "LogSNR", "NoiseConditioning", "NoiseLevel", "ScheduleTime", "Time"]


class NoiseConditioning(ABC):
    """(t, level, time) -> the number that the network is told, in place of the one that the parameterization says (c_noise)."""

    @abstractmethod
    def __call__(
        self, t: Float64[Tensor, " b"], level: AlphaSigma, time: Float64[Tensor, " b"]
    ) -> Float64[Tensor, " b"]:
        """The number of each image, [B].

        Args:
            t: The times.
            level: (alpha, sigma) there.
            time: What the schedule says of them: the 0-based step of a table.
        """


class AlphaBar(NoiseConditioning):
    """scale alpha_bar, alpha_bar = alpha^2: the share of signal (Saharia et al. 2021, "SR3", section 2.4, where it is called gamma).

    Args:
        scale: Sinusoids with periods from 2 pi on tell numbers of [0, 1] hardly apart: 1000 makes them as different as so many steps.
    """

    def __init__(self, scale: float = 1000.0):
        self.scale = scale

    def __call__(
        self, t: Float64[Tensor, " b"], level: AlphaSigma, time: Float64[Tensor, " b"]
    ) -> Float64[Tensor, " b"]:
        return self.scale * level.alpha**2


class LogNoiseLevel(NoiseConditioning):
    """scale log(sigma / alpha) (Karras et al. 2022, table 1, whose c_noise has scale = 1 / 4).

    Args:
        scale: Factor.
    """

    def __init__(self, scale: float = 0.25):
        self.scale = scale

    def __call__(
        self, t: Float64[Tensor, " b"], level: AlphaSigma, time: Float64[Tensor, " b"]
    ) -> Float64[Tensor, " b"]:
        return self.scale * torch.log(level.sigma / level.alpha)


class LogSNR(NoiseConditioning):
    """scale log(alpha^2 / sigma^2), bounded where there is no noise or no signal (Kingma et al. 2021, "Variational Diffusion Models").

    Args:
        scale: Factor.
        bound: Of the log-SNR's size.
    """

    def __init__(self, scale: float = 1.0, bound: float = 20.0):
        if bound <= 0:
            raise ValueError(f"bound = {bound} must be positive")
        self.scale = scale
        self.bound = bound

    def __call__(
        self, t: Float64[Tensor, " b"], level: AlphaSigma, time: Float64[Tensor, " b"]
    ) -> Float64[Tensor, " b"]:
        return self.scale * (2 * torch.log(level.alpha / level.sigma)).clamp(-self.bound, self.bound)


class NoiseLevel(NoiseConditioning):
    """scale sigma / alpha (Song and Ermon 2020; Song et al. 2021, "Score-Based Generative Modeling", for variance exploding).

    Args:
        scale: Factor.
    """

    def __init__(self, scale: float = 1.0):
        self.scale = scale

    def __call__(
        self, t: Float64[Tensor, " b"], level: AlphaSigma, time: Float64[Tensor, " b"]
    ) -> Float64[Tensor, " b"]:
        return self.scale * level.sigma / level.alpha


class ScheduleTime(NoiseConditioning):
    """What the schedule says: the step of a table (Ho et al. 2020), whatever the parameterization would say."""

    def __call__(
        self, t: Float64[Tensor, " b"], level: AlphaSigma, time: Float64[Tensor, " b"]
    ) -> Float64[Tensor, " b"]:
        return time


class Time(NoiseConditioning):
    """scale t, t in [0, 1], as flows tell it.

    Args:
        scale: Factor.
    """

    def __init__(self, scale: float = 1000.0):
        self.scale = scale

    def __call__(
        self, t: Float64[Tensor, " b"], level: AlphaSigma, time: Float64[Tensor, " b"]
    ) -> Float64[Tensor, " b"]:
        return self.scale * t.double()
