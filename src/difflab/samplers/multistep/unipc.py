"""UniPC: one formula that predicts, and corrects with the prediction at the end of the step."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np

from difflab.samplers.multistep.quantities import Quantity
from difflab.samplers.multistep.rule import Corrector, Rule, checked_order
from difflab.samplers.multistep.span import WIDEST, Span, Weights

__all__ = ["B1", "B2", "Bh", "UniC", "UniP"]


class Bh(ABC):
    """The function B(h) of UniPC, which scales the differences; any of the size of h will do."""

    @abstractmethod
    def __call__(self, z: float) -> float:
        """B, z being the width of the step in lambda with the sign of the quantity."""


class B1(Bh):
    """B_1(h) = h, "bh1"; the paper has it for few steps without guidance."""

    def __call__(self, z: float) -> float:
        return z


class B2(Bh):
    """B_2(h) = e^h - 1, "bh2"; the paper has it with guidance."""

    def __call__(self, z: float) -> float:
        return math.expm1(z)


class UniP(Rule):
    """x_s = a x_t - d (expm1(z) q + B(h) sum_m rho_m D_m), D_m = (q_m - q) / r_m (Zhao et al. 2023, arXiv 2302.04867, eq. 8 and 9).

    rho solves sum_m r_m^(k-1) rho_m = k! phi_(k+1)(z) / B(h) for k = 1 .. p - 1; 1/2 for p = 2. The step to the clean image is of first
    order. With `UniC` it is UniPC, of order p + 1.

    Args:
        order: p, 1 to 4.
        quantity: Clean, or Eps.
        b: B(h).
    """

    widest = WIDEST

    def __init__(self, order: int, quantity: Quantity, b: Bh):
        self.order = checked_order(order, 4, "UniP")
        self.quantity = quantity
        self.b = b

    def weights(self, span: Span) -> Weights:
        if not span.end.sigma:
            return self.quantity.straight(Span(span.schedule, span.end, span.past[:1]))
        image, front, z, _ = self.quantity.frame(span, 0.0)
        past = differences(span.ratios, z, self.b(z))
        return Weights(image, tuple(-front * one for one in (math.expm1(z) + past[0], *past[1:])))


class UniC(Corrector):
    """The same with the prediction at the end of the step, r = 1, as one more D_m (Zhao et al. 2023, eq. 3 and algorithm 1).

    It raises the order of the step before by one, whatever the rule.

    Args:
        b: B(h).
    """

    def __init__(self, b: Bh):
        self.b = b

    def weights(self, span: Span, quantity: Quantity) -> Weights:
        image, front, z, _ = quantity.frame(span, 0.0)
        now, *past = differences([*span.ratios, 1.0], z, self.b(z))
        return Weights(image, tuple(-front * one for one in (past[-1], math.expm1(z) + now, *past[:-1])))


def differences(ratios: list[float], z: float, b: float) -> list[float]:
    """B(h) sum_m rho_m D_m as factors of q at the beginning of the step, and of q at the given ratios."""
    if not ratios:
        return [0.0]
    if len(ratios) == 1:
        rho = np.array([0.5])
    else:
        powers = np.array([[ratio**k for ratio in ratios] for k in range(len(ratios))])
        phi, wanted = math.expm1(z) / z - 1, []
        for k in range(1, len(ratios) + 1):
            wanted.append(phi * math.factorial(k) / b)
            phi = phi / z - 1 / math.factorial(k + 1)
        rho = np.linalg.solve(powers, np.array(wanted))
    own = [float(b * factor / ratio) for factor, ratio in zip(rho, ratios, strict=True)]
    return [-sum(own), *own]
