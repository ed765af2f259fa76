"""Rectified flow (Liu et al. 2023, arXiv 2209.03003, eq. 1): straight lines from data to noise, and a network that says their direction."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.parameterizations import Parameterization, PerImage
from difflab.schedules import NoiseSchedule
from difflab.types import AlphaSigma, Preconditioning


class Straight(NoiseSchedule):
    """alpha = 1 - t, sigma = t. The network is told 1000 t."""

    steps = None

    def __call__(self, t: Float64[Tensor, " b"]) -> AlphaSigma:
        return AlphaSigma(1 - t.double(), t.double())

    def network_time(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return 1000 * t

    def time(self, u: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return u


class Direction(Parameterization):
    """F = eps - x_0 = dx_t / dt, x_0 = x_t - t F."""

    def __call__(self, t: PerImage, alpha: PerImage, sigma: PerImage, time: PerImage) -> Preconditioning:
        one = torch.ones_like(alpha)
        return Preconditioning(one, -sigma, one, time)
