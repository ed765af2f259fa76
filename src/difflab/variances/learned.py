"""The network gives the log-variance."""

from __future__ import annotations

import torch
from torch import Tensor

from difflab.process import Transition
from difflab.variances.variance import Variance


class Learned(Variance):
    """log var = the network's output itself (Ho et al. 2020, table 2, "learned diagonal Sigma")."""

    channels = 1

    def log_var(self, fraction: Tensor | None, step: Transition, image: Tensor) -> Tensor:
        assert fraction is not None  # Denoiser has checked the network's channels
        return fraction

    def var(self, fraction: Tensor | None, step: Transition, image: Tensor) -> Tensor:
        return torch.exp(self.log_var(fraction, step, image))
