"""How a stochastic sampler of flows goes from its last time above 0 to the image, where the equation has no end: its score grows infinite.

Ma et al. 2024, "SiT", whose code has these three, and stays where it is as a fourth.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from difflab.samplers.along import Point

__all__ = ["Drift", "Flow", "LastStep", "Mean", "Tweedie"]


@dataclass(frozen=True)
class Drift:
    """The drift v - w/2 score at a time; plain numbers, so that no GPU is waited for.

    Attributes:
        flow: v there.
        alpha: Of the schedule.
        sigma: Of the schedule.
        w: The diffusion coefficient.
    """

    flow: Point
    alpha: float
    sigma: float
    w: float

    def __call__(self, x: Tensor, x_0: Tensor) -> Tensor:
        """Its value at x [B, C, *size], of which the denoiser says x_0: score = (alpha x_0 - x) / sigma^2."""
        half = 0.5 * self.w / self.sigma**2
        return self.flow.slope(x, x_0) + half * x - half * self.alpha * x_0


class LastStep(ABC):
    """(x at the last time, x_0 there) -> the image."""

    @abstractmethod
    def __call__(self, x: Tensor, x_0: Tensor, drift: Drift) -> Tensor:
        """The image.

        Args:
            x: [B, C, *size] at the last time.
            x_0: What the denoiser says of it.
            drift: That of the equation there.
        """


class Flow(LastStep):
    """A step of Euler's along the flow alone, x - t v."""

    def __call__(self, x: Tensor, x_0: Tensor, drift: Drift) -> Tensor:
        return x - drift.flow.time * drift.flow.slope(x, x_0)


class Mean(LastStep):
    """A step of the stochastic equation without its noise, x - t (v - w/2 score)."""

    def __call__(self, x: Tensor, x_0: Tensor, drift: Drift) -> Tensor:
        return x - drift.flow.time * drift(x, x_0)


class Tweedie(LastStep):
    """x_0 as the denoiser says it: E[x_0 | x_t] = (x_t + sigma^2 score) / alpha (Efron 2011)."""

    def __call__(self, x: Tensor, x_0: Tensor, drift: Drift) -> Tensor:
        return x_0
