"""The larger of DDPM's two fixed variances."""

from __future__ import annotations

import torch
from torch import Tensor

from difflab.process import Transition, over
from difflab.variances.variance import Variance


class FixedLarge(Variance):
    """beta, optimal for data that are standard normal (Ho et al. 2020, section 3.2); the posterior's in the final step,
    where beta would make the decoder needlessly wide."""

    channels = 0

    def log_var(self, fraction: Tensor | None, step: Transition, image: Tensor) -> Tensor:
        return over(torch.where(step.final, step.log_var_min, step.log_var_max), image)

    def var(self, fraction: Tensor | None, step: Transition, image: Tensor) -> Tensor:
        return torch.exp(self.log_var(fraction, step, image))
