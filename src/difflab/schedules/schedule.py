"""What a noise schedule is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float64
from torch import Tensor

from difflab.types import AlphaSigma


class NoiseSchedule(ABC):
    """t in [0, 1] -> (alpha_t, sigma_t); the log-SNR log(alpha^2 / sigma^2) falls with t.

    steps   the number of steps of a discrete schedule; None for one in continuous time
    """

    steps: int | None

    @abstractmethod
    def __call__(self, t: Float64[Tensor, " b"]) -> AlphaSigma:
        """Signal and noise scale at times t."""

    @abstractmethod
    def network_time(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        """The number by which the network is told of the time t: the papers' 0-based step number for a discrete schedule."""

    @abstractmethod
    def time(self, u: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        """The training time that a uniform u in (0, 1) stands for: u itself, or the step into whose 1/T-th part it falls."""
