"""Two contenders that took turns: their ratio, round by round, with an interval."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import binom

from benchmarks.contest import paired_ratios
from benchmarks.record import Goal, Measurement

LEVEL = 0.95

OURS = "difflab"
"""What the names of our own contenders begin with."""


@dataclass(frozen=True)
class Comparison:
    """contender / against.

    Attributes:
        median: Of the ratios of the rounds.
        interval: Of the median at level 0.95; None where there are too few rounds for one.
    """

    contender: str
    against: str
    median: float
    interval: tuple[float, float] | None


def compare(measurement: Measurement, contender: str, against: str) -> Comparison:
    ratios = paired_ratios(measurement.values[contender], measurement.values[against])
    return Comparison(contender, against, statistics.median(ratios), median_interval(ratios))


def comparisons(measurement: Measurement) -> dict[str, Comparison]:
    """Contender -> its comparison with the baseline."""
    base = measurement.baseline
    return {name: compare(measurement, name, base) for name in measurement.values if base not in (None, name)}


def ours_against_others(measurement: Measurement) -> list[Comparison]:
    """Each of ours against each of the others; empty where all, or none, are ours."""
    ours = [name for name in measurement.values if name.startswith(OURS)]
    others = [name for name in measurement.values if name not in ours]
    return [compare(measurement, mine, theirs) for mine in ours for theirs in others]


def is_met(goal: Goal, measurement: Measurement) -> bool:
    """By the median."""
    ratio = compare(measurement, goal.contender, goal.against).median
    return ratio >= goal.bound if measurement.more_is_better else ratio <= goal.bound


def median_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The interval that inverts the sign test: between the k-th smallest and the k-th largest value with the largest k such that.

        P(k <= B <= n - k) >= level,   B ~ Binomial(n, 1/2)

    counts the values below the median, whatever their distribution. Six values are the least: P(1 <= B <= 5) = 0.969.
    """
    n, ordered = len(values), sorted(values)
    reached = [k for k in range(1, n // 2 + 1) if 1 - 2 * binom.cdf(k - 1, n, 0.5) >= LEVEL]
    return (ordered[reached[-1] - 1], ordered[-reached[-1]]) if reached else None
