"""Betas of a chain that follows a given curve of signal power."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def betas_along(alpha_bar: Callable[[float], float], steps: int, max_beta: float) -> np.ndarray:
    """beta_i = min(1 - alpha_bar((i + 1) / T) / alpha_bar(i / T), max_beta) (Nichol and Dhariwal 2021, section 3.2).

    alpha_bar   u in [0, 1] -> signal power, falling
    """
    if steps < 1:
        raise ValueError(f"a schedule needs at least one step, not {steps}")
    # number by number: the vectorised functions of numpy give other last bits on other processors
    signal = np.array([alpha_bar(i / steps) for i in range(steps + 1)], dtype=np.float64)
    return np.minimum(1 - signal[1:] / signal[:-1], max_beta)
