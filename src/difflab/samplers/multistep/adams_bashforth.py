"""Rules that extrapolate eps: by fixed coefficients (PNDM, PLMS, iPNDM), or by a polynomial through uneven steps (LMS, DEIS)."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch

from difflab.samplers.multistep.quantities import Eps
from difflab.samplers.multistep.rule import Rule, checked_order
from difflab.samplers.multistep.span import Place, Span, Weights
from difflab.schedules import NoiseSchedule, time_of

__all__ = ["AdamsBashforth", "InLevel", "InLogLevel", "InTime", "Polynomial", "Variable"]

_COEFFICIENTS = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)
_NODES, _FACTORS = np.polynomial.legendre.leggauss(32)


class AdamsBashforth(Rule):
    """eps' = (55 eps_t - 59 eps_(t+1) + 37 eps_(t+2) - 9 eps_(t+3)) / 24 in DDIM's step (Liu et al. 2022, arXiv 2202.09778, eq. 12).

    The coefficients are those of equal steps in t. Of order 1 to 3, in all steps or while there are too few predictions, (1),
    (3, -1) / 2 and (23, -16, 5) / 12 (Zhang and Chen 2023, arXiv 2204.13902, appendix H.2, "iPNDM").

    Args:
        order: 1 to 4.
    """

    def __init__(self, order: int = 4):
        self.order = checked_order(order, 4, "Adams-Bashforth")
        self.quantity = Eps()

    def weights(self, span: Span) -> Weights:
        image, (transfer,), _ = self.quantity.straight(span)
        return Weights(image, tuple(transfer * one for one in _COEFFICIENTS[span.order - 1]))


class Variable(ABC):
    """In what the polynomial is one.

    Attributes:
        ends: Whether it has a finite value at the clean image.
    """

    ends: bool

    @abstractmethod
    def at(self, place: Place) -> float:
        """Its value at a place."""

    @abstractmethod
    def of_levels(self, schedule: NoiseSchedule, rho: np.ndarray) -> np.ndarray:
        """Its values at levels rho = sigma / alpha, [n]."""


class InLevel(Variable):
    """rho = sigma / alpha: the LMS sampler of k-diffusion (Crowson 2022), and DEIS's rhoAB (Zhang and Chen 2023, eq. 19)."""

    ends = True

    def at(self, place: Place) -> float:
        return place.level

    def of_levels(self, schedule: NoiseSchedule, rho: np.ndarray) -> np.ndarray:
        return rho


class InLogLevel(Variable):
    """log rho = log(sigma / alpha), as diffusers' DEIS has it. The step to the clean image is of first order."""

    ends = False

    def at(self, place: Place) -> float:
        return -place.lam

    def of_levels(self, schedule: NoiseSchedule, rho: np.ndarray) -> np.ndarray:
        return np.log(rho)


class InTime(Variable):
    """t: DEIS's tAB (Zhang and Chen 2023, eq. 14 and 15)."""

    ends = True

    def at(self, place: Place) -> float:
        return place.time

    def of_levels(self, schedule: NoiseSchedule, rho: np.ndarray) -> np.ndarray:
        return time_of(schedule, torch.from_numpy(rho)).detach().numpy()


class Polynomial(Rule):
    """x_s / alpha_s = x_t / alpha_t + sum_j w_j eps_j, w_j the integral of the j-th Lagrange polynomial over rho = sigma / alpha.

    The polynomial through the last predictions of eps, in the variable's values, is integrated exactly, d(x_t / alpha_t) = eps d rho; steps
    may be uneven (Zhang and Chen 2023, arXiv 2204.13902, eq. 14: DEIS; Crowson 2022, k-diffusion: LMS). The integral is taken by 32
    Gauss-Legendre points in log rho, in rho itself where the step ends at the clean image.

    Args:
        order: 1 to 4.
        variable: In what it is a polynomial.
    """

    def __init__(self, order: int, variable: Variable):
        self.order = checked_order(order, 4, "an extrapolated polynomial")
        self.variable = variable
        self.quantity = Eps()

    def weights(self, span: Span) -> Weights:
        begin, end = span.begin, span.end
        if span.order == 1 or not (self.variable.ends or end.sigma):
            return self.quantity.straight(span)
        share = (_NODES + 1) / 2
        if end.sigma:
            width = np.log(end.level / begin.level)
            rho = begin.level * np.exp(share * width)
            d_rho = _FACTORS / 2 * width * rho
        else:
            rho = begin.level * (1 - share)
            d_rho = -_FACTORS / 2 * begin.level
        at, known = self.variable.of_levels(span.schedule, rho), [self.variable.at(place) for place in span.past]
        return Weights(
            end.alpha / begin.alpha,
            tuple(end.alpha * float((_lagrange(known, j, at) * d_rho).sum()) for j in range(span.order)),
        )


def _lagrange(known: list[float], j: int, at: np.ndarray) -> np.ndarray:
    """The polynomial that is 1 at the j-th of the known points and 0 at the others."""
    return np.prod([(at - other) / (known[j] - other) for k, other in enumerate(known) if k != j], axis=0)
