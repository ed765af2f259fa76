"""The difference of two arms on the seeds that they share.

The difference of two arms on the seeds that they share.

    d_s = a_s - b_s, or log a_s - log b_s        mean -/+ t sd / sqrt(n)        [sd of d with n - 1]

Arms share initialisation, data order, training noise and the noise of the samples at each seed (common random numbers), so that much of
what a seed does to a it does to b, and the difference has less of it:

    Var d = Var a + Var b - 2 Cov(a, b)        ratio = Var d / (Var a + Var b)

A ratio of 1/4 says that pairing was worth four times as many seeds; above 1 it did harm. As an estimate from few seeds it is rough.

Where all differences are equal, t has no scale: its p would be 0 and its interval a point, from however few seeds. p and interval are
then those of the sign flip, which knows how many seeds there are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import bdtr
from scipy.stats import permutation_test

from difflab.studies.scale import DIFFERENCE, Scale
from difflab.studies.statistics import student

ALL_UP_TO = 20
"""Differences of which all flips are counted; beyond it they are drawn."""

DRAWS = 9_999


@dataclass(frozen=True)
class SignFlip:
    """p           of theta = 0, two-sided
    interval    of level 1 - alpha; its ends are infinite where alpha < attainable
    attainable  the smallest p that so many differences can give
    exact       all flips were counted; False: 9,999 were drawn, always the same
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
    """Sum and size of every subset but the empty one that lacks the last difference: one of each pair of complements. [2^(n-1) - 1]"""
    flipped, size = np.zeros(1), np.zeros(1)
    for value in d[:-1]:
        flipped, size = np.concatenate([flipped, flipped + value]), np.concatenate([size, size + 1])
    return flipped[1:], size[1:]


def _drawn_flips(d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same of random subsets: scipy flips d and a row of ones together. [DRAWS]"""
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


ROUNDING = 1e-12
"""Scatter of differences below this part of the values is the rounding of their subtraction."""


@dataclass(frozen=True)
class Pairing:
    """What common random numbers bought.

    unpaired_std_error  of the mean difference, had the arms been independent (Welch)
    correlation         of the arms over the seeds; None where an arm has one value at all seeds
    variance_ratio      paired / unpaired; None where neither arm varies
    """

    unpaired_std_error: float
    correlation: float | None
    variance_ratio: float | None


@dataclass(frozen=True)
class PairedDifference:
    """Differences at equal seeds. All numbers but those of `told` methods are on the scale: logarithms where that is a ratio.

    Attributes:
        differences: Seed -> a - b.
        alpha: 1 - level of the intervals.
        sd: Of the differences; 0 where they differ by rounding alone; None for one seed.
        p: Two-sided, by Student's t; None for one seed.
        pairing: What common random numbers bought; None for one seed.
        scale: On which the differences were taken.
        bounds: Of a difference as it is told. An interval is cut there: no true difference lies beyond, so its coverage stays.
    """

    differences: Mapping[int, float]
    alpha: float
    mean: float
    sd: float | None
    p: float | None
    pairing: Pairing | None
    scale: Scale = DIFFERENCE
    bounds: tuple[float, float] = (-math.inf, math.inf)

    @property
    def n(self) -> int:
        return len(self.differences)

    @property
    def value(self) -> float:
        """The mean difference as it is told: in the metric's unit, or in per cent."""
        return self.scale.told(self.mean)

    @property
    def by_seed(self) -> dict[int, float]:
        """Seed -> difference as it is told."""
        return {seed: self.scale.told(d) for seed, d in self.differences.items()}

    @property
    def limits(self) -> tuple[float, float] | None:
        """The interval as it is told."""
        return self.told(self.interval)

    @property
    def half_width(self) -> float | None:
        """The longer side of the interval as it is told; None without one."""
        limits = self.limits
        return None if limits is None else max(limits[1] - self.value, self.value - limits[0])

    @cached_property
    def sign_flip(self) -> SignFlip | None:
        """A check that needs symmetric differences, and no normal ones; None for one seed."""
        return None if self.sd is None else sign_flip(list(self.differences.values()), self.alpha)

    def told(self, interval: tuple[float, float] | None) -> tuple[float, float] | None:
        """An interval on the scale as people are told it."""
        if interval is None:
            return None
        low, high = map(self.scale.told, interval)
        if not (math.isfinite(low) and math.isfinite(high)):
            return low, high  # the bounds alone are no interval
        return max(self.bounds[0], low), min(self.bounds[1], high)

    @property
    def std_error(self) -> float | None:
        return None if self.sd is None else self.sd / math.sqrt(self.n)

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        return self.interval_at(self.alpha)

    def interval_at(self, alpha: float) -> tuple[float, float] | None:
        """Of level 1 - alpha, by Student's t; None for one seed."""
        if self.sd is None:
            return None
        if self.sd == 0:
            return sign_flip(list(self.differences.values()), alpha).interval
        low, high = student.interval(self.mean, self.sd, self.n, alpha)
        return float(low), float(high)


def paired_difference(
    a: Mapping[int, float],
    b: Mapping[int, float],
    alpha: float = 0.05,
    scale: Scale = DIFFERENCE,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> PairedDifference:
    """a - b at each seed that both have.

    Args:
        a: Seed -> value.
        b: Seed -> value; seeds of one of them alone are left out.
        alpha: 1 - level of the intervals.
        scale: On which differences are taken.
        bounds: Of a difference as it is told.

    Raises:
        ValueError: No seed is common, or a value is not finite, or not on the scale.
    """
    seeds = [seed for seed in a if seed in b]
    if not seeds:
        raise ValueError(f"no seed in common: {sorted(a)} and {sorted(b)}; a difference is taken at one seed")
    for seed in seeds:
        if not (math.isfinite(a[seed]) and math.isfinite(b[seed])):
            raise ValueError(f"seed {seed}: {a[seed]} - {b[seed]} is no difference; both must be finite")
        if not (scale.has(a[seed]) and scale.has(b[seed])):
            raise ValueError(f"seed {seed}: {a[seed]} / {b[seed]} is no ratio; both must be above 0")
    x = np.array([scale.inner(a[seed]) for seed in seeds], float)
    y = np.array([scale.inner(b[seed]) for seed in seeds], float)
    d = x - y
    differences = dict(zip(seeds, d.tolist(), strict=True))
    n, mean = len(seeds), float(d.mean())
    if n == 1:
        return PairedDifference(differences, alpha, mean, None, None, None, scale, bounds)
    rounding = ROUNDING * max(scale.smallest, float(np.abs([x, y]).max()))
    sd = _scatter(d, rounding)
    if sd == 0:
        mean = 0.0 if abs(mean) <= rounding else mean
        differences = dict.fromkeys(seeds, mean)
    p = sign_flip(list(differences.values()), alpha).p if sd == 0 else float(student.two_sided(mean, sd, n))
    return PairedDifference(differences, alpha, mean, sd, p, _pairing(x, y, sd, rounding), scale, bounds)


def _pairing(x: np.ndarray, y: np.ndarray, sd: float, rounding: float) -> Pairing:
    sd_x, sd_y = _scatter(x, rounding), _scatter(y, rounding)
    unpaired = sd_x**2 + sd_y**2
    varied = sd_x > 0 and sd_y > 0
    return Pairing(
        math.sqrt(unpaired / x.size),
        float(np.clip(np.cov(x, y)[0, 1] / (sd_x * sd_y), -1, 1)) if varied else None,
        sd**2 / unpaired if unpaired > 0 else None,
    )


def _scatter(values: np.ndarray, rounding: float) -> float:
    sd = float(values.std(ddof=1))
    return sd if sd > rounding else 0.0
