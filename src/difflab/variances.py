"""Variances of a reverse step: variance fraction -> log-variance."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from difflab.process import Transition, over

__all__ = ["FixedLarge", "FixedSmall", "Interpolated", "Learned", "LearnedRange", "Variance"]


class Variance(ABC):
    """Log-variance of p(x_s | x_t), of which only ancestral steps and the bound on the likelihood ask.

    Attributes:
        channels: How many output channels per image channel the network spends on it: 0 (fixed) or 1 (learned).
    """

    channels: int

    @abstractmethod
    def log_var(self, fraction: Tensor | None, step: Transition, image: Tensor) -> Tensor:
        """The logarithm of the variance, broadcastable to the image and in its type.

        Args:
            fraction: The network's output for it, [B, C, H, W]; None if channels = 0.
            step: The step.
            image: Images of the step, [B, C, H, W].
        """

    @abstractmethod
    def var(self, fraction: Tensor | None, step: Transition, image: Tensor) -> Tensor:
        """The variance itself, by which a shift of the mean is multiplied.

        It is exp(log var), but for a variance that is 0 where log var has to be something else.
        """


class FixedLarge(Variance):
    """The variance beta, optimal for data that are standard normal (Ho et al. 2020, section 3.2).

    In the final step it is the posterior's, where beta would make the decoder needlessly wide.
    """

    channels = 0

    def log_var(self, fraction: Tensor | None, step: Transition, image: Tensor) -> Tensor:
        return over(torch.where(step.final, step.log_var_min, step.log_var_max), image)

    def var(self, fraction: Tensor | None, step: Transition, image: Tensor) -> Tensor:
        return torch.exp(self.log_var(fraction, step, image))


class FixedSmall(Variance):
    """The posterior variance, optimal for data that are a single point (Ho et al. 2020, section 3.2)."""

    channels = 0

    def log_var(self, fraction: Tensor | None, step: Transition, image: Tensor) -> Tensor:
        return over(step.log_var_min, image)

    def var(self, fraction: Tensor | None, step: Transition, image: Tensor) -> Tensor:
        return over(step.posterior_var, image)


class Interpolated(Variance):
    """Fixed log var = v log beta + (1 - v) log posterior variance, the same v everywhere (Ho and Salimans 2022, eq. 4).

    Args:
        v: 0 is `FixedSmall`, 1 is `FixedLarge`.
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


class Learned(Variance):
    """Log-variance that is the network's output itself (Ho et al. 2020, table 2, "learned diagonal Sigma")."""

    channels = 1

    def log_var(self, fraction: Tensor | None, step: Transition, image: Tensor) -> Tensor:
        assert fraction is not None  # Denoiser has checked the network's channels
        return fraction

    def var(self, fraction: Tensor | None, step: Transition, image: Tensor) -> Tensor:
        return torch.exp(self.log_var(fraction, step, image))


class LearnedRange(Variance):
    """Learned log var = f log beta + (1 - f) log posterior variance, f = (output + 1) / 2 (Nichol and Dhariwal 2021, eq. 15)."""

    channels = 1

    def log_var(self, fraction: Tensor | None, step: Transition, image: Tensor) -> Tensor:
        assert fraction is not None  # Denoiser has checked the network's channels
        share = (fraction + 1) / 2
        return share * over(step.log_var_max, image) + (1 - share) * over(step.log_var_min, image)

    def var(self, fraction: Tensor | None, step: Transition, image: Tensor) -> Tensor:
        return torch.exp(self.log_var(fraction, step, image))
