"""The smaller of DDPM's two fixed variances."""

from __future__ import annotations

from torch import Tensor

from difflab.process import Transition, over
from difflab.variances.variance import Variance


class FixedSmall(Variance):
    """The posterior variance, optimal for data that are a single point (Ho et al. 2020, section 3.2)."""

    channels = 0

    def log_var(self, fraction: Tensor | None, step: Transition, image: Tensor) -> Tensor:
        return over(step.log_var_min, image)

    def var(self, fraction: Tensor | None, step: Transition, image: Tensor) -> Tensor:
        return over(step.posterior_var, image)
