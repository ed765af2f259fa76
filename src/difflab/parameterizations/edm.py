"""The network's input and target have unit variance at every noise level (EDM)."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.parameterizations.parameterization import Parameterization
from difflab.types import Preconditioning


class EDM(Parameterization):
    """Karras et al. 2022, table 1, last column, for any alpha:

        c_skip = alpha d^2 / p,  c_out = sigma d / sqrt(p),  c_in = 1 / sqrt(p),  c_noise = ln(sigma / alpha) / 4

    where p = alpha^2 d^2 + sigma^2 is the variance of x_t. With alpha = 1 these are the paper's; else they are the paper's at the noise
    level sigma / alpha, applied to x_t / alpha.

    sigma_data   d, the standard deviation of the data
    """

    def __init__(self, sigma_data: float = 0.5):
        if sigma_data <= 0:
            raise ValueError(f"sigma_data = {sigma_data} must be positive")
        self.sigma_data = sigma_data

    def __call__(
        self,
        t: Float64[Tensor, " b"],
        alpha: Float64[Tensor, " b"],
        sigma: Float64[Tensor, " b"],
        time: Float64[Tensor, " b"],
    ) -> Preconditioning:
        power = alpha**2 * self.sigma_data**2 + sigma**2
        return Preconditioning(
            c_skip=alpha * self.sigma_data**2 / power,
            c_out=sigma * self.sigma_data / power.sqrt(),
            c_in=1 / power.sqrt(),
            c_noise=torch.log(sigma / alpha) / 4,
        )
