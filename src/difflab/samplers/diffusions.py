"""How much noise a stochastic sampler of flows adds on the way, and takes back: the diffusion coefficient w(t).

For any w >= 0 the equation dx = (v - w/2 score) dt + sqrt(w) dW, run down from t = 1, has the marginals of the flow dx = v dt, so that w is
chosen after training (Ma et al. 2024, "SiT", section 2.4; Albergo et al. 2023, "Stochastic Interpolants"). w is the paper's. The paper's
code calls w / 2 the diffusion: its forms with norm n are ours with scale 2 n, but for SBDM, which is scale n. Its t runs from noise to
data.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.schedules import NoiseSchedule, rates

__all__ = ["SBDM", "Constant", "Diffusion", "Falling", "LinearInTime", "NoiseScale", "SquaredSine"]


class Diffusion(ABC):
    """(schedule, t) -> w(t), [n], nowhere negative."""

    @abstractmethod
    def __call__(self, schedule: NoiseSchedule, t: Float64[Tensor, " n"]) -> Float64[Tensor, " n"]:
        """The coefficient at times t, above 0."""


class Constant(Diffusion):
    """w = scale.

    Args:
        scale: The value.
    """

    def __init__(self, scale: float = 1.0):
        self.scale = not_negative(scale)

    def __call__(self, schedule: NoiseSchedule, t: Float64[Tensor, " n"]) -> Float64[Tensor, " n"]:
        return torch.full_like(t, self.scale)


class Falling(Diffusion):
    """w = scale (1 - swing cos(pi t))^2 / 4: falls from scale (1 + swing)^2 / 4 at t = 1 to scale (1 - swing)^2 / 4 at 0 (SiT's code).

    Args:
        scale: Factor.
        swing: How much of it falls; 1 is all.
    """

    def __init__(self, scale: float = 1.0, swing: float = 1.0):
        self.scale = not_negative(scale)
        self.swing = swing

    def __call__(self, schedule: NoiseSchedule, t: Float64[Tensor, " n"]) -> Float64[Tensor, " n"]:
        return self.scale * (1 - self.swing * torch.cos(math.pi * t)) ** 2 / 4


class LinearInTime(Diffusion):
    """w = scale t: falls evenly towards the image (SiT's code, `linear`).

    Args:
        scale: The value at t = 1.
    """

    def __init__(self, scale: float = 1.0):
        self.scale = not_negative(scale)

    def __call__(self, schedule: NoiseSchedule, t: Float64[Tensor, " n"]) -> Float64[Tensor, " n"]:
        return self.scale * t


class NoiseScale(Diffusion):
    """w = scale sigma_t (SiT, section 2.4): vanishes where the score is steepest.

    Args:
        scale: Factor.
    """

    def __init__(self, scale: float = 1.0):
        self.scale = not_negative(scale)

    def __call__(self, schedule: NoiseSchedule, t: Float64[Tensor, " n"]) -> Float64[Tensor, " n"]:
        return self.scale * schedule(t).sigma


class SBDM(Diffusion):
    """w = scale g^2, g^2 = 2 sigma sigma' - 2 sigma^2 alpha' / (alpha + eta): that of the forward process, as score-based models take it.

    Song et al. 2021, eq. 6; SiT's w^KL, which minimises a bound on the divergence, and w^KL,eta for eta > 0. With eta = 0 it is infinite
    where no signal is left.

    Args:
        scale: 1 is the reverse of the forward process.
        eta: Keeps it finite at alpha = 0.
    """

    def __init__(self, scale: float = 1.0, eta: float = 0.0):
        self.scale = not_negative(scale)
        self.eta = not_negative(eta)

    def __call__(self, schedule: NoiseSchedule, t: Float64[Tensor, " n"]) -> Float64[Tensor, " n"]:
        alpha, sigma = schedule(t)
        alpha_rate, sigma_rate = rates(schedule, t)
        return self.scale * 2 * (sigma * sigma_rate - sigma**2 * alpha_rate / (alpha + self.eta))


class SquaredSine(Diffusion):
    """w = scale sin^2(pi t): rises and falls, and adds nothing at either end (SiT, section 2.4).

    Args:
        scale: The value in the middle.
    """

    def __init__(self, scale: float = 1.0):
        self.scale = not_negative(scale)

    def __call__(self, schedule: NoiseSchedule, t: Float64[Tensor, " n"]) -> Float64[Tensor, " n"]:
        return self.scale * torch.sin(math.pi * t) ** 2


def not_negative(value: float) -> float:
    """The value, which scales how much noise is added."""
    if value < 0:
        raise ValueError(
            f"a diffusion coefficient scaled by {value:g} would be negative: its scale and eta must be at least 0"
        )
    return value
