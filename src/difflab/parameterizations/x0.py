"""The network predicts the clean image."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.parameterizations.parameterization import Parameterization
from difflab.types import Preconditioning


class X0(Parameterization):
    """F = x_0 (Ho et al. 2020, section 3.2)."""

    def __call__(
        self,
        t: Float64[Tensor, " b"],
        alpha: Float64[Tensor, " b"],
        sigma: Float64[Tensor, " b"],
        time: Float64[Tensor, " b"],
    ) -> Preconditioning:
        one = torch.ones_like(alpha)
        return Preconditioning(torch.zeros_like(alpha), one, one, time)
