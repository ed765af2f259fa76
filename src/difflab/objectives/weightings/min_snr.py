"""Weight of the x_0 error: the signal-to-noise ratio, bounded from above."""

from __future__ import annotations

from jaxtyping import Float64
from torch import Tensor

from difflab.objectives.weightings.weighting import Weighting


class MinSNR(Weighting):
    """min(snr, gamma) on the x_0 error (Hang et al. 2023, "Efficient Diffusion Training via Min-SNR Weighting Strategy", eq. 5)."""

    def __init__(self, gamma: float = 5.0):
        self.gamma = gamma

    def __call__(self, snr: Float64[Tensor, " b"], c_out: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return snr.clamp(max=self.gamma) * c_out**2
