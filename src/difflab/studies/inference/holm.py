"""Holm's step-down: several tests together, such that with probability 1 - alpha no true null hypothesis is rejected.

p_(1) <= ... <= p_(m)        adjusted p_(i) = max_{j <= i} min(1, (m - j + 1) p_(j))        (Holm 1979)

No assumption on how the tests hang together: rows that share one baseline are correlated. The family is what the study plans: a row
without a p yet counts with p = 1, so that an early look at a half-finished study is not easier to pass than the last one. (statsmodels'
multipletests gives the same numbers, but runs Python's garbage collection at each call: about a second where torch is loaded.)
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def holm(p: Mapping[str, float | None]) -> dict[str, float | None]:
    """Adjusted p of each row: the row is significant at alpha if it is <= alpha. None stays None.

    p   row -> p of its own test, or None
    """
    tested = np.array([1.0 if value is None else value for value in p.values()])
    order = np.argsort(tested)
    adjusted = np.empty_like(tested)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(np.arange(tested.size, 0, -1) * tested[order]))
    return {row: None if p[row] is None else float(new) for row, new in zip(p, adjusted, strict=True)}
