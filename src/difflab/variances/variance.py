"""What the variance of a reverse step is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from difflab.process import Transition


class Variance(ABC):
    """Log-variance of p(x_s | x_t), of which only ancestral steps and the bound on the likelihood ask.

    channels    how many output channels per image channel the network spends on it: 0 (fixed) or 1 (learned)
    """

    channels: int

    @abstractmethod
    def log_var(self, fraction: Tensor | None, step: Transition, image: Tensor) -> Tensor:
        """log var, broadcastable to `image` [B, C, H, W] and in its type.

        fraction    the network's output for it, [B, C, H, W]; None if channels = 0
        """

    @abstractmethod
    def var(self, fraction: Tensor | None, step: Transition, image: Tensor) -> Tensor:
        """The variance itself, by which a shift of the mean is multiplied: exp(log var), but for a variance that is 0 where log var has to
        be something else."""
