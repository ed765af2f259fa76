"""The network predicts the velocity."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.parameterizations.parameterization import Parameterization
from difflab.types import Preconditioning


class Velocity(Parameterization):
    """F = v = alpha eps - sigma x_0, x_0 = (alpha x_t - sigma F) / (alpha^2 + sigma^2).

    Salimans and Ho 2022, "Progressive Distillation", section 4, where alpha^2 + sigma^2 = 1. Well defined without any signal.
    """

    def __call__(
        self,
        t: Float64[Tensor, " b"],
        alpha: Float64[Tensor, " b"],
        sigma: Float64[Tensor, " b"],
        time: Float64[Tensor, " b"],
    ) -> Preconditioning:
        power = alpha**2 + sigma**2
        return Preconditioning(alpha / power, -sigma / power, torch.ones_like(alpha), time)
