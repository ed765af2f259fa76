"""DPM-Solver and DPM-Solver++, multistep, with and without noise."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from difflab.samplers.multistep.quantities import Quantity
from difflab.samplers.multistep.rule import Rule, checked_order
from difflab.samplers.multistep.span import WIDEST, Span, Weights

__all__ = ["AsPublished", "DPMSolver", "Form", "Midpoint", "Taylor"]


class Form(ABC):
    """How the changes of a prediction enter a step."""

    @abstractmethod
    def factors(self, z: float, order: int) -> tuple[float, float]:
        """Factors of D_1 and D_2: of h and h^2 / 2 times the prediction's first and second derivative by lambda.

        Args:
            z: Width of the step, with the sign of the quantity.
            order: 2 or 3.
        """


def psi(z: float) -> tuple[float, float]:
    """psi_2 = expm1(z) / z - 1 and psi_3 = psi_2 / z - 1 / 2, by their series where these would cancel."""
    if abs(z) < 0.05:
        terms = [z**k / math.factorial(k + 2) for k in range(9)]
        return z * sum(terms), sum(terms[1:])
    second = math.expm1(z) / z - 1
    return second, second / z - 0.5


class Midpoint(Form):
    """expm1(z) / 2 for D_1 in second order: DPM-Solver++(2M), and the default of the authors' code and of k-diffusion.

    In third order, that of Taylor.
    """

    def factors(self, z: float, order: int) -> tuple[float, float]:
        return (math.expm1(z) / 2, 0.0) if order == 2 else TAYLOR.factors(z, order)


class Taylor(Form):
    """psi_2 for D_1 and 2 psi_3 for D_2, which integrates the polynomial through the last predictions exactly.

    In second order it is "taylor" in the authors' code, "heun" in k-diffusion and diffusers.
    """

    def factors(self, z: float, order: int) -> tuple[float, float]:
        second, third = psi(z)
        return (second, 0.0) if order == 2 else (second, 2 * third)


class AsPublished(Form):
    """Half of D_2 in third order, as in the code of the authors, of k-diffusion (3M SDE) and of diffusers.

    Their D_2 is h^2 / 2 times the second derivative, and its factor psi_3 that of h^2 times it. So half of the term is missing, and steps
    "of third order" are of second order, with about a third of 2M's error. It is here for numbers that were made with that code.

    Args:
        form: What is done in second order: Midpoint in the authors' code, Taylor in k-diffusion's 3M SDE.
    """

    def __init__(self, form: Form):
        self.form = form

    def factors(self, z: float, order: int) -> tuple[float, float]:
        first, second = self.form.factors(z, order)
        return first, second / 2


TAYLOR = Taylor()


class DPMSolver(Rule):
    """x_s = a x_t - d (expm1(z) q + c_1 D_1 + c_2 D_2) + noise, with h = lambda_s - lambda_t, lambda = log(alpha / sigma).

    DPM-Solver remembers eps: a = alpha_s / alpha_t, d = sigma_s, z = h (Lu et al. 2022, arXiv 2206.00927). DPM-Solver++ remembers x_0: a =
    sigma_s / sigma_t, d = alpha_s, z = -h (Lu et al. 2022, arXiv 2211.01095, algorithm 2 for second order). D_1 and D_2 are differences of
    the last two or three predictions; c_1 and c_2 are the form's. The step to the clean image is of first order.

    Args:
        order: 1 to 3.
        quantity: Eps or Clean.
        form: How changes enter.
        eta: 0 draws no noise. DPM-Solver++(2M) SDE and (3M) SDE have 1 (k-diffusion's eta; Lu et al. 2022, eq. 18).
    """

    widest = WIDEST

    def __init__(self, order: int, quantity: Quantity, form: Form, eta: float = 0.0):
        self.order = checked_order(order, 3, "DPM-Solver")
        self.quantity = quantity
        self.form = form
        if eta < 0:
            raise ValueError(f"eta = {eta} must not be negative")
        self.eta = eta

    def weights(self, span: Span) -> Weights:
        if not span.end.sigma:
            return self.quantity.straight(Span(span.schedule, span.end, span.past[:1]))
        image, front, z, noise = self.quantity.frame(span, self.eta)
        past = [math.expm1(z)]
        if span.order > 1:
            first, second = differences(span.ratios)
            of_first, of_second = self.form.factors(z, span.order)
            past = [
                base + of_first * one + of_second * two
                for base, one, two in zip((past[0], 0.0, 0.0), first, second, strict=False)
            ]
        return Weights(image, tuple(-front * one for one in past), noise)


def differences(ratios: list[float]) -> tuple[list[float], list[float]]:
    """D_1 and D_2 as factors of the last two or three predictions.

    D_1 = (q_0 - q_1) / r_0 of two. Of three, with D_10 = (q_0 - q_1) / r_0 and D_11 = (q_1 - q_2) / r_1: D_2 = (D_10 - D_11) / (r_0 + r_1)
    and D_1 = D_10 + r_0 D_2.

    Args:
        ratios: Of the times before, as in `Span`.
    """
    r_0 = -ratios[0]
    if len(ratios) == 1:
        return [1 / r_0, -1 / r_0], [0.0, 0.0]
    r_1 = ratios[0] - ratios[1]
    second = [value / (r_0 + r_1) for value in (1 / r_0, -1 / r_0 - 1 / r_1, 1 / r_1)]
    first = [base + r_0 * value for base, value in zip((1 / r_0, -1 / r_0, 0.0), second, strict=True)]
    return first, second
