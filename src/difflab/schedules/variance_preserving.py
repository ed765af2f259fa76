"""The variance-preserving process in continuous time."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.schedules.schedule import NoiseSchedule
from difflab.types import AlphaSigma


class VariancePreserving(NoiseSchedule):
    """alpha^2 = exp(-(beta_d t^2 / 2 + beta_min t)), sigma^2 = 1 - alpha^2: DDPM's linear schedule with infinitely many steps.

    Song et al. 2021, "Score-Based Generative Modeling", eq. 11 and 32, with beta_d = beta_max - beta_min; Karras et al. 2022, table 1,
    column VP, where sigma / alpha is called sigma. The network is told 999 t, as one that was trained with 1000 steps.

    beta_d, beta_min   of beta(t) = beta_min + beta_d t
    time_min           training times are uniform in [time_min, 1]
    """

    steps = None
    endless = True

    def __init__(self, beta_d: float = 19.9, beta_min: float = 0.1, time_min: float = 1e-5):
        if beta_d < 0 or beta_min <= 0:
            raise ValueError(f"beta_min = {beta_min} must be positive, and beta_d = {beta_d} not negative")
        if not 0 <= time_min < 1:
            raise ValueError(f"time_min = {time_min} must be in [0, 1)")
        self.beta_d = beta_d
        self.beta_min = beta_min
        self.time_min = time_min

    def __call__(self, t: Float64[Tensor, " b"]) -> AlphaSigma:
        t = t.double()
        integral = 0.5 * self.beta_d * t**2 + self.beta_min * t
        return AlphaSigma(torch.exp(-0.5 * integral), torch.sqrt(-torch.expm1(-integral)))

    def network_time(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return 999 * t

    def time(self, u: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return self.time_min + (1 - self.time_min) * u
