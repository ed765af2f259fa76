"""What a parameterization is: coefficients, nothing else."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float64
from torch import Tensor

from difflab.types import Preconditioning


class Parameterization(ABC):
    """How the raw network F is read: x_0 = c_skip x_t + c_out F(c_in x_t, c_noise).

    What F has to learn follows, (x_0 - c_skip x_t) / c_out, so noise, image, velocity and EDM losses are one mean squared error.
    """

    @abstractmethod
    def __call__(
        self,
        t: Float64[Tensor, " b"],
        alpha: Float64[Tensor, " b"],
        sigma: Float64[Tensor, " b"],
        time: Float64[Tensor, " b"],
    ) -> Preconditioning:
        """Coefficients at times t, where the schedule gives alpha, sigma and the network time."""
