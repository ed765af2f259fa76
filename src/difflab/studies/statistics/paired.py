"""The difference of two arms on the seeds that they share, and whether it is too small to matter.

    d_s = a_s - b_s, or log a_s - log b_s        mean -/+ t sd / sqrt(n)        [sd of d with n - 1]

Arms share initialisation, data order, training noise and the noise of the samples at each seed (common random numbers), so that much of
what a seed does to a it does to b, and the difference has less of it:

    Var d = Var a + Var b - 2 Cov(a, b)        ratio = Var d / (Var a + Var b)

A ratio of 1/4 says that pairing was worth four times as many seeds; above 1 it did harm. As an estimate from few seeds it is rough.

Where all differences are equal, t has no scale: its p would be 0 and its interval a point, from however few seeds. p and interval are
then those of the sign flip, which knows how many seeds there are.

Two one-sided tests: is the difference too small to matter?

H0: |delta| >= margin        p = max(p of delta <= -margin, p of delta >= margin), each by Student's t        (Schuirmann 1987)

p <= alpha exactly where the interval of level 1 - 2 alpha lies within the margin. A difference that is not significant is no equivalence:
few seeds leave both open. The margin brings its own scale: one in per cent is tested on logarithms, -/+ log(1 + margin).

From eight seeds on Student's t sees the mean of skewed differences rather than the typical seed, and calls 8 to 23 % equivalent that lie at
the margin. One-sided sign tests at both margins are then asked besides.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from difflab.studies.scale import DIFFERENCE, Margin, Scale
from difflab.studies.statistics.one_sample import SignFlip, p_above, rarely, sign_flip, student_interval, two_sided_p

ROUNDING = 1e-12
"""Scatter of differences below this part of the values is the rounding of their subtraction."""


def half_width(value: float, limits: tuple[float, float] | None) -> float | None:
    """The longer side of an interval; None without one."""
    return None if limits is None else max(limits[1] - value, value - limits[0])


@dataclass(frozen=True)
class Pairing:
    """What common random numbers bought.

    Attributes:
        unpaired_std_error: Of the mean difference, had the arms been independent (Welch).
        correlation: Of the arms over the seeds; None where an arm has one value at all seeds.
        variance_ratio: Paired / unpaired; None where neither arm varies.
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
        return half_width(self.value, self.limits)

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
        low, high = student_interval(self.mean, self.sd, self.n, alpha)
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
    p = sign_flip(list(differences.values()), alpha).p if sd == 0 else float(two_sided_p(mean, sd, n))
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


SIGNS_FROM = 8
"""Seeds from which on the sign tests are asked."""


@dataclass(frozen=True)
class Equivalence:
    """What the two tests found.

    Attributes:
        margin: The difference that is of no interest.
        difference: On the margin's scale.
        p: Before Holm; None for one seed.
        interval: Of level 1 - 2 alpha, as it is told; None for one seed.
    """

    margin: Margin
    difference: PairedDifference
    p: float | None
    interval: tuple[float, float] | None


def equivalence(difference: PairedDifference, margin: Margin) -> Equivalence:
    """Tests whether a difference lies within a margin.

    Where all differences are equal, each side is a sign flip: n differences on the inner side of the margin have p = 2^-n.

    Args:
        difference: On the scale of the margin.
        margin: The difference that is of no interest.
    """
    if difference.scale is not margin.scale:
        raise ValueError(f"margin {margin}: the difference is not on the margin's scale")
    mean, sd, n, reach = difference.mean, difference.sd, difference.n, margin.reach
    if sd is None:
        return Equivalence(margin, difference, None, None)
    equal = 0.5**n if abs(mean) < reach else 1.0
    p = float(max(p_above(reach + mean, sd, n), p_above(reach - mean, sd, n))) if sd else equal
    if n >= SIGNS_FROM:
        signs = max(
            _signs([-d for d in difference.differences.values()], reach), _signs(difference.differences.values(), reach)
        )
        p = p if signs <= difference.alpha else max(p, signs)
    return Equivalence(margin, difference, p, difference.told(difference.interval_at(2 * difference.alpha)))


def _signs(differences: Iterable[float], reach: float) -> float:
    """p of the sign test that the typical difference lies above the margin or at it."""
    outside = [d >= reach for d in differences]
    return rarely(sum(outside), len(outside))
