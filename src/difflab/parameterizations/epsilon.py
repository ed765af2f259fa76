"""The network predicts the noise."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.parameterizations.parameterization import Parameterization
from difflab.types import Preconditioning


class Epsilon(Parameterization):
    """F = eps, x_0 = (x_t - sigma F) / alpha (Ho et al. 2020, eq. 11)."""

    def __call__(
        self,
        t: Float64[Tensor, " b"],
        alpha: Float64[Tensor, " b"],
        sigma: Float64[Tensor, " b"],
        time: Float64[Tensor, " b"],
    ) -> Preconditioning:
        return Preconditioning(1 / alpha, -sigma / alpha, torch.ones_like(alpha), time)
