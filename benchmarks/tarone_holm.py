"""Holm's step-down for tests that can only give some values of p, after Tarone.

    p_(1) <= ... <= p_(m)        adjusted p_(i) = max_{j <= i} min(1, (m - j + 1) p_(j))            (Holm 1979)

With probability 1 - alpha no true null hypothesis is rejected, however the tests hang together. A test whose smallest possible p is over
alpha / m cannot be rejected and is no danger, so it need not be paid for: m is the smallest k with at most k tests that could give p <=
alpha / k, and only these take part (Tarone 1990). Without this, a few lines of one round each would make all others harder to find.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def tarone_holm(p: Sequence[float], attainable: Sequence[float], alpha: float) -> list[float | None]:
    """Adjusted p of each test; None of one that could not have been rejected at all.

    p           of each test
    attainable  the smallest p that it could have given
    """
    smallest = np.asarray(attainable)
    k = next(k for k in range(1, len(p) + 2) if np.count_nonzero(smallest <= alpha / k) <= k)
    part = np.flatnonzero(smallest <= alpha / k)
    order = part[np.argsort(np.asarray(p)[part], kind="stable")]
    adjusted: list[float | None] = [None] * len(p)
    highest = 0.0
    for place, test in enumerate(order):
        highest = max(highest, min(1.0, (k - place) * p[test]))
        adjusted[test] = highest
    return adjusted
