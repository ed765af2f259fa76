"""Weight of the x_0 error: the signal-to-noise ratio."""

from __future__ import annotations

from jaxtyping import Float64
from torch import Tensor

from difflab.objectives.weightings.weighting import Weighting


class SNR(Weighting):
    """snr on the x_0 error, which is 1 on the eps error (Salimans and Ho 2022, section 4)."""

    def __call__(self, snr: Float64[Tensor, " b"], c_out: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return snr * c_out**2
