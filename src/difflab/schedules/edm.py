"""Noise that is added and scales nothing (EDM)."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.schedules.schedule import NoiseSchedule
from difflab.types import AlphaSigma


class EDM(NoiseSchedule):
    """alpha = 1, sigma = sigma_max t^rho (Karras et al. 2022, table 1, last column: s = 1; equal distances in t are those of eq. 5).

    The paper's own time is sigma. Here it is warped into [0, 1], so that a uniform t is a sensible noise level; where times are drawn by
    `LogNormal` and samplers walk along a `KarrasGrid`, the warp cancels but for the bound sigma_max, which a log-normal draw exceeds twice
    in a million. The network is told sigma.

    sigma_max   at t = 1; levels go on above it, and churn may raise an image there
    rho         of the warp
    """

    steps = None
    endless = True

    def __init__(self, sigma_max: float = 80.0, rho: float = 7.0):
        if sigma_max <= 0 or rho <= 0:
            raise ValueError(f"sigma_max = {sigma_max} and rho = {rho} must be positive")
        self.sigma_max = sigma_max
        self.rho = rho

    def __call__(self, t: Float64[Tensor, " b"]) -> AlphaSigma:
        t = t.double()
        return AlphaSigma(torch.ones_like(t), self.sigma_max * t**self.rho)

    def network_time(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return self(t).sigma

    def time(self, u: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return u
