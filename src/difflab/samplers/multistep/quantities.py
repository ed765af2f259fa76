"""Which of the model's predictions a multistep sampler remembers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor

from difflab.samplers.multistep.span import Place, Span, Weights

__all__ = ["Clean", "Eps", "Frame", "Quantity"]


class Frame(NamedTuple):
    """The exact solution x_s = image x_t - front (expm1(z) q + terms of its changes) + noise, of a step in which q hardly changes.

    Attributes:
        image: Factor of x_t.
        front: What stands before the terms.
        z: The width of the step in lambda = log(alpha / sigma), with the sign of the quantity.
        noise: Standard deviation of the noise.
    """

    image: float
    front: float
    z: float
    noise: float


class Quantity(ABC):
    """What is remembered of a prediction."""

    @abstractmethod
    def of(self, x_t: Tensor, x_0: Tensor, at: Place) -> Tensor:
        """Its value, [B, C, *size].

        Args:
            x_t: The images, [B, C, *size].
            x_0: What the denoiser says of them.
            at: Where they are.
        """

    @abstractmethod
    def straight(self, span: Span) -> Weights:
        """The step of first order, which is DDIM's: exact if the quantity does not change. It may end at the clean image."""

    @abstractmethod
    def frame(self, span: Span, eta: float) -> Frame:
        """The step in lambda, of which neither end is infinite.

        Args:
            span: The step.
            eta: How much of the noise is drawn anew: 0 follows the probability-flow equation, 1 the reversed diffusion.
        """


class Clean(Quantity):
    """x_0: x_s = sigma_s / sigma_t x_t - alpha_s expm1(-h) x_0 (DPM-Solver++, Lu et al. 2022, arXiv 2211.01095, proposition 4.1).

    With eta, x_s = sigma_s / sigma_t e^(-eta h) x_t - alpha_s expm1(-(1 + eta) h) x_0 + sigma_s sqrt(1 - e^(-2 eta h)) z, where eta = 1 is
    the paper's and any other k-diffusion's.
    """

    def of(self, x_t: Tensor, x_0: Tensor, at: Place) -> Tensor:
        return x_0

    def straight(self, span: Span) -> Weights:
        kept = span.end.sigma / span.begin.sigma
        return Weights(kept, (span.end.alpha - kept * span.begin.alpha,))

    def frame(self, span: Span, eta: float) -> Frame:
        h, end = span.h, span.end
        return Frame(
            end.sigma / span.begin.sigma * math.exp(-eta * h),
            end.alpha,
            -(1 + eta) * h,
            end.sigma * math.sqrt(-math.expm1(-2 * eta * h)),
        )


class Eps(Quantity):
    """eps = (x_t - alpha x_0) / sigma: x_s = alpha_s / alpha_t x_t - sigma_s expm1(h) eps (DPM-Solver, Lu et al. 2022, arXiv 2206.00927).

    The step of first order is the transfer of Liu et al. 2022, arXiv 2202.09778, eq. 11, whose factor of eps, -(alpha_s^2 sigma_t^2 -
    alpha_t^2 sigma_s^2) / (alpha_t (alpha_t sigma_s + alpha_s sigma_t)), is sigma_s - sigma_t alpha_s / alpha_t for any alpha and sigma.
    With eta, the factor of eps is 1 + eta times as large and sigma_s sqrt(eta expm1(2 h)) z is added.
    """

    def of(self, x_t: Tensor, x_0: Tensor, at: Place) -> Tensor:
        return (x_t - at.alpha * x_0) / at.sigma

    def straight(self, span: Span) -> Weights:
        kept = span.end.alpha / span.begin.alpha
        return Weights(kept, (span.end.sigma - kept * span.begin.sigma,))

    def frame(self, span: Span, eta: float) -> Frame:
        h, end = span.h, span.end
        return Frame(
            end.alpha / span.begin.alpha,
            (1 + eta) * end.sigma,
            h,
            end.sigma * math.sqrt(eta * math.expm1(2 * h)),
        )
