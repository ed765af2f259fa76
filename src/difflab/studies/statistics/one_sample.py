"""Tests of one sample, which is what paired differences are: Student's t, the sign flip and the sign test.

Student's t for the mean of n values, one mean or many:

    t = (mean - mu) sqrt(n) / sd        n - 1 degrees of freedom [sd with n - 1]

Exact for values from one normal distribution. Arguments are numbers or arrays of one shape, sd > 0, n >= 2. (scipy.stats.t.interval and
ttest_1samp give the same numbers; the functions of scipy.special that they end in are asked directly, for means and deviations that are
there already, a hundred times as fast: the simulations of the rule's error rates ask millions.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import bdtr, stdtr, stdtrit
from scipy.stats import permutation_test


def two_sided_p(mean: Any, sd: Any, n: int) -> Any:
    """Student's p of mu = 0 against mu != 0."""
    return 2 * stdtr(n - 1, -np.abs(mean) * np.sqrt(n) / sd)


def p_above(mean: Any, sd: Any, n: int) -> Any:
    """Student's p of mu <= 0 against mu > 0."""
    return stdtr(n - 1, -np.asarray(mean) * np.sqrt(n) / sd)


def student_interval(mean: Any, sd: Any, n: int, alpha: float) -> tuple[Any, Any]:
    """Student's two-sided interval of level 1 - alpha; the mean itself where sd = 0."""
    reach = stdtrit(n - 1, 1 - alpha / 2) * np.asarray(sd) / np.sqrt(n)
    return mean - reach, mean + reach


ALL_UP_TO = 20
"""Differences of which all flips are counted; beyond it they are drawn."""

DRAWS = 9_999


@dataclass(frozen=True)
class SignFlip:
    """What the sign flip found.

    Attributes:
        p: Of theta = 0, two-sided.
        interval: Of level 1 - alpha; its ends are infinite where alpha < attainable.
        attainable: The smallest p that so many differences can give.
        exact: Whether all flips were counted; if not, 9,999 were drawn, always the same.
    """

    p: float
    interval: tuple[float, float]
    attainable: float
    exact: bool


def sign_flip(differences: Sequence[float], alpha: float) -> SignFlip:
    """Exact permutation test of paired differences, and the interval that inverts it.

    If differences d_1 .. d_n are symmetric about theta, each sign of d_i - theta is as likely as its opposite (no normal distribution is
    needed), hence

        p(theta) = 2^-n #{s in {-1, 1}^n: |sum_i s_i (d_i - theta)| >= |sum_i (d_i - theta)|}        (Fisher 1935, section 21)

    Let s flip the subset F and keep the rest K. The difference of the two squares is a product of two lines in theta, and the event holds
    for theta between mean(d_F) and mean(d_K), and everywhere if F or K is empty (Hartigan 1969: means of subsets are typical values). All
    these ranges hold the mean of d, so p falls to both sides of it, and {theta: p(theta) > alpha} is an interval whose ends are order
    statistics of the ranges' ends: no search is needed.

    It asks for symmetric differences: where noise is skewed and one arm spreads more than the other, it errs about the mean as often as
    Student's t does. The check of the typical seed that needs no such thing is the sign test.

    The smallest p that n differences can give is 2^(1 - n). At a level below it every theta survives and the interval is infinite: 95 %
    needs six differences, 90 % five.

    The test of theta = 0 and the interval of theta, for n >= 1 differences.
    """
    d = np.asarray(differences, float)
    exact = d.size <= ALL_UP_TO
    flipped, size = _all_flips(d) if exact else _drawn_flips(d)
    # a flip and its complement are one range, and the empty flip (the data) is always among those counted
    total = flipped.size + 1
    slack = 1e-12 * float(np.abs(d).sum())  # sums that are equal but for rounding are ties, and ties count
    hits = int(np.count_nonzero(np.abs(d.sum() - 2 * flipped) >= abs(d.sum()) - slack))
    return SignFlip((1 + hits) / total, _invert(d, flipped, size, alpha), 1 / total, exact)


def _invert(d: np.ndarray, flipped: np.ndarray, size: np.ndarray, alpha: float) -> tuple[float, float]:
    """theta survives where 1 + #{ranges that hold theta} > alpha total."""
    rank = math.floor(alpha * (flipped.size + 1) + 1e-9)  # ranges that must at least hold a survivor
    if rank == 0:
        return -math.inf, math.inf
    everywhere = (size == 0) | (size == d.size)
    mean_flipped = flipped / np.where(everywhere, 1, size)
    mean_kept = (d.sum() - flipped) / np.where(everywhere, 1, d.size - size)
    low = np.where(everywhere, -math.inf, np.minimum(mean_flipped, mean_kept))
    high = np.where(everywhere, math.inf, np.maximum(mean_flipped, mean_kept))
    return float(np.partition(low, rank - 1)[rank - 1]), float(np.partition(high, -rank)[-rank])


def _all_flips(d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum and size of every subset but the empty one that lacks the last difference: one of each pair of complements. [2^(n-1) - 1]."""
    flipped, size = np.zeros(1), np.zeros(1)
    for value in d[:-1]:
        flipped, size = np.concatenate([flipped, flipped + value]), np.concatenate([size, size + 1])
    return flipped[1:], size[1:]


def _drawn_flips(d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same of random subsets: scipy flips d and a row of ones together. [DRAWS]."""
    drawn = permutation_test(
        (np.stack([d, np.ones_like(d)]),),
        lambda values, axis: values.sum(axis),
        permutation_type="samples",
        n_resamples=DRAWS,
        vectorized=True,
        axis=-1,
        rng=np.random.default_rng(0),
    ).null_distribution.reshape(DRAWS, 2)
    return (d.sum() - drawn[:, 0]) / 2, np.rint((d.size - drawn[:, 1]) / 2)


def sign_test(wins: int, losses: int) -> float:
    """The sign test: does one side win more often than chance?

    H0: P(d > 0) = P(d < 0), the median of d is 0        p = min(1, 2 P(K <= min(wins, losses))),  K ~ Binomial(wins + losses, 1/2)

    It is exact for the typical seed, whatever the noise: it asks for neither a normal nor a symmetric distribution, and a run that failed
    is a loss like any other. Ties say nothing and are left out. With n seeds the smallest p is 2^(1 - n): 6 seeds must all agree for p <=
    0.05.

    Two-sided p; 1 without a win or a loss.
    """
    n = wins + losses
    return min(1.0, 2 * float(bdtr(min(wins, losses), n, 0.5))) if n else 1.0


def rarely(hits: int, n: int) -> float:
    """One-sided p of H0: P(hit) >= 1/2, with so many hits among n."""
    return float(bdtr(hits, n, 0.5)) if n else 1.0
