"""Student's t for the mean of n values, one mean or many.

t = (mean - mu) sqrt(n) / sd        n - 1 degrees of freedom [sd with n - 1]

Exact for values from one normal distribution. Arguments are numbers or arrays of one shape, sd > 0, n >= 2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit


def two_sided(mean: Any, sd: Any, n: int) -> Any:
    """p of mu = 0 against mu != 0."""
    return 2 * stdtr(n - 1, -np.abs(mean) * np.sqrt(n) / sd)


def above_zero(mean: Any, sd: Any, n: int) -> Any:
    """p of mu <= 0 against mu > 0."""
    return stdtr(n - 1, -np.asarray(mean) * np.sqrt(n) / sd)


def interval(mean: Any, sd: Any, n: int, alpha: float) -> tuple[Any, Any]:
    """Two-sided, of level 1 - alpha. It is the mean itself where sd = 0."""
    reach = stdtrit(n - 1, 1 - alpha / 2) * np.asarray(sd) / np.sqrt(n)
    return mean - reach, mean + reach
