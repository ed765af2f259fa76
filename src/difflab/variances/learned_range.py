"""The network interpolates between the two fixed variances."""

from __future__ import annotations

import torch
from torch import Tensor

from difflab.process import Transition, over
from difflab.variances.variance import Variance


class LearnedRange(Variance):
    """log var = f log beta + (1 - f) log posterior variance, f = (output + 1) / 2 (Nichol and Dhariwal 2021, eq. 15)."""

    channels = 1

    def log_var(self, fraction: Tensor | None, step: Transition, image: Tensor) -> Tensor:
        assert fraction is not None  # Denoiser has checked the network's channels
        share = (fraction + 1) / 2
        return share * over(step.log_var_max, image) + (1 - share) * over(step.log_var_min, image)

    def var(self, fraction: Tensor | None, step: Transition, image: Tensor) -> Tensor:
        return torch.exp(self.log_var(fraction, step, image))
