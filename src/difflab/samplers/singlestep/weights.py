"""Weights of the exponential Runge-Kutta steps of DPM-Solver, in terms of the width z of a step in lambda."""

from __future__ import annotations

import math

from difflab.samplers.multistep.dpm_solver import psi


def at_node(z: float, before: tuple[float, ...], ratio: float) -> tuple[float, ...]:
    """Of an evaluation on the way.

    Args:
        z: From the beginning of the step to the node, with the sign of the quantity.
        before: Ratios of the places that were evaluated on the way before, in (0, 1).
        ratio: That of the node.

    Returns:
        w_j of sum_j w_j q_j, x = image x_t - front sum_j w_j q_j.
    """
    if not before:
        return (math.expm1(z),)
    change = ratio / before[0] * psi(z)[0]
    return math.expm1(z) - change, change


def at_end(z: float, ratios: tuple[float, ...]) -> tuple[float, ...]:
    """Of the end: expm1(z) q; + expm1(z) / (2 r) (q_1 - q), order 2; + psi_2(z) / r_2 (q_2 - q), order 3.

    Lu et al. 2022, arXiv 2206.00927, algorithms 4 and 5 for any r_1, r_2; arXiv 2211.01095, algorithm 1, with r = 1/2.

    Args:
        z: From the beginning of the step to its end, with the sign of the quantity.
        ratios: Of the places that were evaluated on the way.
    """
    whole = math.expm1(z)
    if not ratios:
        return (whole,)
    if len(ratios) == 1:
        change = whole / (2 * ratios[0])
        return whole - change, change
    change = psi(z)[0] / ratios[1]
    return whole - change, 0.0, change
