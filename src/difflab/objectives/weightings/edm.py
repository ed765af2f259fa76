"""All noise levels count alike to a network with EDM's preconditioning."""

from __future__ import annotations

from jaxtyping import Float64
from torch import Tensor

from difflab.objectives.weightings.weighting import Weighting


class EDM(Weighting):
    """lambda(sigma) = (sigma^2 + d^2) / (sigma d)^2 = snr + 1 / d^2 on the x_0 error (Karras et al. 2022, table 1, last column).

    With the parameterization `EDM` of the same d that is 1 on what the network predicts.

    sigma_data   d, the standard deviation of the data
    """

    def __init__(self, sigma_data: float = 0.5):
        if sigma_data <= 0:
            raise ValueError(f"sigma_data = {sigma_data} must be positive")
        self.sigma_data = sigma_data

    def __call__(self, snr: Float64[Tensor, " b"], c_out: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return (snr + self.sigma_data**-2) * c_out**2
