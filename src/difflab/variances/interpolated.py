"""A fixed variance between DDPM's two."""

from __future__ import annotations

import torch
from torch import Tensor

from difflab.process import Transition, over
from difflab.variances.variance import Variance


class Interpolated(Variance):
    """log var = v log beta + (1 - v) log posterior variance, the same v everywhere (Ho and Salimans 2022, eq. 4).

    v   0 is `FixedSmall`, 1 is `FixedLarge`
    """

    channels = 0

    def __init__(self, v: float):
        if not 0 <= v <= 1:
            raise ValueError(f"v = {v} must be in [0, 1]: 0 is the posterior variance, 1 is beta")
        self.v = v

    def log_var(self, fraction: Tensor | None, step: Transition, image: Tensor) -> Tensor:
        return over(self.v * step.log_var_max + (1 - self.v) * step.log_var_min, image)

    def var(self, fraction: Tensor | None, step: Transition, image: Tensor) -> Tensor:
        return torch.exp(self.log_var(fraction, step, image))
