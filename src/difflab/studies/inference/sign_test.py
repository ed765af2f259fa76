"""The sign test: does one side win more often than chance?

H0: P(d > 0) = P(d < 0), the median of d is 0        p = min(1, 2 P(K <= min(wins, losses))),  K ~ Binomial(wins + losses, 1/2)

It is exact for the typical seed, whatever the noise: it asks for neither a normal nor a symmetric distribution, and a run that failed is a
loss like any other. Ties say nothing and are left out. With n seeds the smallest p is 2^(1 - n): 6 seeds must all agree for p <= 0.05.
"""

from __future__ import annotations

from scipy.special import bdtr


def sign_test(wins: int, losses: int) -> float:
    """Two-sided p; 1 without a win or a loss."""
    n = wins + losses
    return min(1.0, 2 * float(bdtr(min(wins, losses), n, 0.5))) if n else 1.0


def rarely(hits: int, n: int) -> float:
    """One-sided p of H0: P(hit) >= 1/2, with so many hits among n."""
    return float(bdtr(hits, n, 0.5)) if n else 1.0
