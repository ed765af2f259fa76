"""Perception-prioritised weighting."""

from __future__ import annotations

from jaxtyping import Float64
from torch import Tensor

from difflab.objectives.weightings.weighting import Weighting


class P2(Weighting):
    """snr / (k + snr)^gamma on the x_0 error, which is 1 / (k + snr)^gamma on the eps error (Choi et al. 2022, eq. 8)."""

    def __init__(self, k: float = 1.0, gamma: float = 1.0):
        self.k = k
        self.gamma = gamma

    def __call__(self, snr: Float64[Tensor, " b"], c_out: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return snr * c_out**2 / (self.k + snr) ** self.gamma
