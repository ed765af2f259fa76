"""The sigmoid schedule."""

from __future__ import annotations

from scipy.special import expit

from difflab.schedules.alpha_bar import betas_along
from difflab.schedules.tabulated import Tabulated


def sigmoid(
    steps: int = 1000,
    start: float = -3.0,
    end: float = 3.0,
    tau: float = 1.0,
    max_beta: float = 0.999,
    time_scale: float = 1.0,
) -> Tabulated:
    """alpha_bar(u) = (S(end) - S(start + u (end - start))) / (S(end) - S(start)), S(z) = 1 / (1 + exp(-z / tau)).

    Jabri et al. 2023, "Scalable Adaptive Computation for Iterative Generation", algorithm 2.

    steps            T
    start, end, tau  part of the logistic curve that is used, and its temperature
    max_beta         bound on each beta
    time_scale       see `Tabulated`
    """
    first, last = expit(start / tau), expit(end / tau)
    return Tabulated(
        betas_along(lambda u: (last - expit((start + u * (end - start)) / tau)) / (last - first), steps, max_beta),
        time_scale,
    )
