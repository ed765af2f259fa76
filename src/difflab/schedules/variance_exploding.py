"""The variance-exploding process in continuous time."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.schedules.schedule import NoiseSchedule
from difflab.types import AlphaSigma


class VarianceExploding(NoiseSchedule):
    """alpha = 1, log sigma = log sigma_min + t log(sigma_max / sigma_min).

    Song et al. 2021, "Score-Based Generative Modeling", eq. 9 and appendix C; Karras et al. 2022, table 1, column VE: uniform times are
    its log-uniform noise levels. The network is told log(sigma / 2).

    sigma_min, sigma_max   at t = 0 and t = 1
    """

    steps = None
    endless = True

    def __init__(self, sigma_min: float = 0.02, sigma_max: float = 100.0):
        if not 0 < sigma_min < sigma_max:
            raise ValueError(f"sigma_min = {sigma_min} must be positive and below sigma_max = {sigma_max}")
        self.sigma_min = sigma_min
        self.sigma_max = sigma_max

    def __call__(self, t: Float64[Tensor, " b"]) -> AlphaSigma:
        t = t.double()
        log_sigma = math.log(self.sigma_min) + t * math.log(self.sigma_max / self.sigma_min)
        return AlphaSigma(torch.ones_like(t), torch.exp(log_sigma))

    def network_time(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return torch.log(0.5 * self(t).sigma)

    def time(self, u: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return u
