"""Weight of the x_0 error: the signal-to-noise ratio, bounded from below."""

from __future__ import annotations

from jaxtyping import Float64
from torch import Tensor

from difflab.objectives.weightings.weighting import Weighting


class TruncatedSNR(Weighting):
    """max(snr, floor) on the x_0 error (Salimans and Ho 2022, section 4, with floor = 1)."""

    def __init__(self, floor: float = 1.0):
        self.floor = floor

    def __call__(self, snr: Float64[Tensor, " b"], c_out: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return snr.clamp(min=self.floor) * c_out**2
