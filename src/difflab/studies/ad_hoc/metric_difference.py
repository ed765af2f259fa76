"""By how much two groups of runs differ in a metric, with the best interval that there are numbers for.

seeds in common >= 2     paired: Student's t of the differences at each seed
else, two runs each      Welch's t of two independent means
else                     sqrt(e1^2 + e2^2) of the two standard errors of sampling: another training seed could give another answer
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, ttest_ind

from difflab.metrics import Measurement
from difflab.studies.inference import paired_difference


@dataclass(frozen=True)
class MetricDifference:
    """value      second - first
    low, high  of the interval; None where nothing is known of it
    p          of no difference, two-sided; None likewise
    basis      what the interval is of, in words
    """

    value: float
    low: float | None
    high: float | None
    p: float | None
    basis: str


def metric_difference(
    first: Mapping[int, Measurement], second: Mapping[int, Measurement], alpha: float = 0.05
) -> MetricDifference:
    """first, second   training seed -> number"""
    shared = [seed for seed in first if seed in second]
    if len(shared) >= 2:
        return _paired(first, second, shared, alpha)
    if len(first) >= 2 and len(second) >= 2:
        return _independent(first, second, alpha)
    seeds = (shared[0], shared[0]) if shared else (next(iter(first)), next(iter(second)))
    return _of_sampling(first[seeds[0]], second[seeds[1]], seeds, alpha)


def _paired(
    first: Mapping[int, Measurement], second: Mapping[int, Measurement], shared: list[int], alpha: float
) -> MetricDifference:
    ours, theirs = ({seed: side[seed].value for seed in shared} for side in (second, first))
    basis = f"paired over seeds {', '.join(map(str, shared))}"
    if not all(map(math.isfinite, (*ours.values(), *theirs.values()))):
        return MetricDifference(math.nan, None, None, None, f"{basis}: not all are finite")
    found = paired_difference(ours, theirs, alpha)
    low, high = found.interval or (None, None)
    return MetricDifference(found.mean, low, high, found.p, basis)


def _independent(first: Mapping[int, Measurement], second: Mapping[int, Measurement], alpha: float) -> MetricDifference:
    a, b = ([m.value for m in side.values()] for side in (first, second))
    value = float(np.mean(b) - np.mean(a))
    basis = f"{len(a)} and {len(b)} seeds, none or one in common: independent means"
    if not math.isfinite(value) or np.ptp(a) + np.ptp(b) == 0:
        return MetricDifference(value, None, None, None, f"{basis}, without scatter")
    test = ttest_ind(b, a, equal_var=False)
    interval = test.confidence_interval(1 - alpha)  # type: ignore[attr-defined]
    return MetricDifference(value, float(interval.low), float(interval.high), float(test.pvalue), basis)  # type: ignore[attr-defined]


def _of_sampling(first: Measurement, second: Measurement, seeds: tuple[int, int], alpha: float) -> MetricDifference:
    value = second.value - first.value
    runs = f"one run each (seed {seeds[0]})" if seeds[0] == seeds[1] else f"one run each (seeds {seeds[0]}, {seeds[1]})"
    if first.std_error is None or second.std_error is None:
        return MetricDifference(value, None, None, None, f"{runs}, no standard error known")
    error = math.hypot(first.std_error, second.std_error)
    reach = float(norm.ppf(1 - alpha / 2)) * error
    p = float(2 * norm.sf(abs(value) / error)) if error else None
    basis = f"{runs}: sampling errors alone, another training seed is not in it"
    return MetricDifference(value, value - reach, value + reach, p, basis)
