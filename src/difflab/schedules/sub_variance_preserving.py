"""The sub-VP schedule of Score SDE."""

from __future__ import annotations

from jaxtyping import Float64
from torch import Tensor

from difflab.schedules.continuous import VariancePreserving
from difflab.schedules.schedule import NoiseSchedule
from difflab.types import AlphaSigma


class SubVariancePreserving(NoiseSchedule):
    """alpha^2 = exp(-(beta_d t^2 / 2 + beta_min t)) as of `VariancePreserving`, and sigma = 1 - alpha^2, which is that one's sigma^2.

    The variance alpha^2 + sigma^2 of standardised data is below 1 on the way (Song et al. 2021, "Score-Based Generative Modeling", section
    3.4 and eq. 29, with beta_d = beta_max - beta_min). The network is told 999 t.

    Args:
        beta_d: Rise of beta(t) = beta_min + beta_d t.
        beta_min: beta at t = 0.
        time_min: Training times are uniform in [time_min, 1].
    """

    steps = None
    endless = True

    def __init__(self, beta_d: float = 19.9, beta_min: float = 0.1, time_min: float = 1e-5):
        self._preserving = VariancePreserving(beta_d, beta_min, time_min)

    def __call__(self, t: Float64[Tensor, " b"]) -> AlphaSigma:
        alpha, sigma = self._preserving(t)
        return AlphaSigma(alpha, sigma**2)

    def network_time(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return self._preserving.network_time(t)

    def time(self, u: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return self._preserving.time(u)
