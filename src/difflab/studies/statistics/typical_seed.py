"""Is a row better at a typical seed? With Holm's step-down for several rows, and a guard for the mean of skewed differences.

Holm's step-down: several tests together, such that with probability 1 - alpha no true null hypothesis is rejected.

p_(1) <= ... <= p_(m)        adjusted p_(i) = max_{j <= i} min(1, (m - j + 1) p_(j))        (Holm 1979)

No assumption on how the tests hang together: rows that share one baseline are correlated. The family is what the study plans: a row
without a p yet counts with p = 1, so that an early look at a half-finished study is not easier to pass than the last one. (statsmodels'
multipletests gives the same numbers, but runs Python's garbage collection at each call: about a second where torch is loaded.)

The skew guard: a test of the *mean* of paired differences that stays near its level where noise is skewed.

    u_r = mean(d_r) / s_r        G = mean over the rows of the bias-corrected skewness of d_r        (scipy.stats.skew, bias=False)
    Q_r = sqrt(n) (u_r + G u_r^2 / 3 + G^2 u_r^3 / 27 + G / (6 n))                                     (Hall 1992)
    p_r = max(p of Student's t, 2 T_{n-1}(-|Q_r|))                    "also on average" if p <= 0.8 alpha after Holm

Student's t is a test of the typical seed. About the mean it errs in 10 to 30 % of studies where arms differ in spread by 2 : 1 or more and
noise is skewed: a few seeds lie close together on one side of the mean, and nothing in them tells of the rare bad one. The guard corrects
for the skewness that the rows show together; one row's own is too rough an estimate. It is never easier than t. Below three seeds it is t.

Is a row better at a typical seed? The p of one row before Holm, with seeds at which a run has failed.

H0: the median of the paired difference is 0, P(row beats the other at a seed) = 1/2

1. All runs have a number          Student's t of the differences. Beyond ten seeds the sign test is asked besides (p <= alpha): with
                                   that many, t sees the mean of skewed differences rather than the typical seed.
2. A run has failed                It is no missing value: it failed because it was bad. With a row's worst seed of five left out, 5.5 % of
   (diverged, or no finite number) rows that do nothing are "better", where 2.5 % are due. It counts as worse than any number: a loss of its
                                   arm in the exact sign test, which alone can still find this arm better. That the arm is *worse* may be
                                   found by t at the other seeds, from which its worst is missing already.
   Both arms at the same seed      The seed says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from difflab.studies.statistics.one_sample import sign_test
from difflab.studies.statistics.paired import PairedDifference


def holm(p: Mapping[str, float | None]) -> dict[str, float | None]:
    """Adjusted p of each row: the row is significant at alpha if it is <= alpha. None stays None.

    Args:
        p: Row -> p of its own test, or None.
    """
    tested = np.array([1.0 if value is None else value for value in p.values()])
    order = np.argsort(tested)
    adjusted = np.empty_like(tested)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(np.arange(tested.size, 0, -1) * tested[order]))
    return {row: None if p[row] is None else float(new) for row, new in zip(p, adjusted, strict=True)}


SHARE = 0.8
"""Of alpha, at which the guard is asked: so much holds the level for the mean of skewed noise at a spread of 3 : 1."""


def skew_guard(differences: Mapping[str, PairedDifference]) -> dict[str, float | None]:
    """p of each row, before Holm; None for a row with one seed.

    Args:
        differences: Row -> its paired differences; the rows are those of one family.
    """
    skews = {row: _skewness(d) for row, d in differences.items()}
    known = [skew for skew in skews.values() if skew is not None]
    common = float(np.mean(known)) if known else 0.0
    return {row: d.p if skews[row] is None else _guarded(d, common) for row, d in differences.items()}


def _skewness(d: PairedDifference) -> float | None:
    """Bias-corrected; None where there are too few seeds, or no scatter."""
    if d.n < 3 or not d.sd:
        return None
    centred = np.array(list(d.differences.values())) - d.mean
    raw = float((centred**3).mean() / (centred**2).mean() ** 1.5)
    return raw * math.sqrt(d.n * (d.n - 1)) / (d.n - 2)


def _guarded(d: PairedDifference, skew: float) -> float:
    assert d.sd
    assert d.p is not None
    u = d.mean / d.sd
    q = math.sqrt(d.n) * (u + skew * u**2 / 3 + skew**2 * u**3 / 27 + skew / (6 * d.n))
    return max(d.p, 2 * float(stdtr(d.n - 1, -abs(q))))


SIGNS_BEYOND = 10
"""Seeds beyond which the sign test is asked besides t."""


@dataclass(frozen=True)
class Tally:
    """Seeds by who was better.

    Attributes:
        wins: The row was better, or the other has failed.
        losses: The other was better, or the row has failed.
        ties: Equal numbers.
        failed: Seeds at which the row has failed.
        other_failed: Seeds at which the other has failed.
    """

    wins: tuple[int, ...]
    losses: tuple[int, ...]
    ties: tuple[int, ...]
    failed: tuple[int, ...]
    other_failed: tuple[int, ...]

    @property
    def n(self) -> int:
        """Seeds that say something."""
        return len(self.wins) + len(self.losses) + len(self.ties)

    @property
    def p(self) -> float:
        """Of the sign test, two-sided."""
        return sign_test(len(self.wins), len(self.losses))


@dataclass(frozen=True)
class TypicalSeed:
    """What the test found.

    Attributes:
        p: Two-sided, before Holm; None where nothing can be tested.
        better: The side on which the row is; None if on neither.
        by_signs: Whether the sign test has the last word, and not t.
    """

    p: float | None
    better: bool | None
    by_signs: bool


def tally(row: Mapping[int, float], other: Mapping[int, float], higher_is_better: bool) -> Tally:
    """Compares two arms seed by seed.

    Args:
        row: Seed -> value, not finite where the run has failed.
        other: The same of the arm that it is compared with; seeds of one arm alone are left out.
        higher_is_better: The metric's direction.
    """
    seeds = [seed for seed in row if seed in other]
    sign = 1 if higher_is_better else -1
    wins, losses, ties = list[int](), list[int](), list[int]()
    for seed in seeds:
        mine, theirs = (sign * v[seed] if math.isfinite(v[seed]) else -math.inf for v in (row, other))
        if max(mine, theirs) > -math.inf:
            (wins if mine > theirs else losses if mine < theirs else ties).append(seed)
    failed, other_failed = (tuple(s for s in seeds if not math.isfinite(v[s])) for v in (row, other))
    return Tally(tuple(wins), tuple(losses), tuple(ties), failed, other_failed)


def typical_seed(
    difference: PairedDifference | None, counted: Tally, higher_is_better: bool, alpha: float
) -> TypicalSeed:
    """Tests the typical seed.

    Args:
        difference: Of the seeds at which both arms have a number; None if there is none.
        counted: All seeds.
        higher_is_better: The metric's direction.
        alpha: The level at which the sign test is asked beyond ten seeds.
    """
    wins, losses = len(counted.wins), len(counted.losses)
    by_signs = None if wins == losses else wins > losses
    by_mean = None if difference is None or difference.mean == 0 else (difference.mean > 0) == higher_is_better
    p = None if difference is None else difference.p
    if _may_decide(counted, by_mean) and p is not None:
        if counted.n > SIGNS_BEYOND and counted.p > max(p, alpha):
            return TypicalSeed(counted.p, by_mean, by_signs=True)
        return TypicalSeed(p, by_mean, by_signs=False)
    failed = set(counted.failed) ^ set(counted.other_failed)
    return (
        TypicalSeed(counted.p, by_signs, by_signs=True)
        if failed and counted.n > 1
        else TypicalSeed(None, by_signs, False)
    )


def _may_decide(counted: Tally, better: bool | None) -> bool:
    """Whether t may: a failed run is missing from it, which must not have helped the arm that it finds better."""
    failed, other_failed = set(counted.failed), set(counted.other_failed)
    return not (failed - other_failed and better is not False) and not (other_failed - failed and better is not True)
