"""By how much two groups of runs differ in a metric, with the best interval that there are numbers for.

seeds in common >= 2     paired: Student's t of the differences at each seed, which speaks of a typical seed
else, two runs each      Welch's t of two independent means
else                     sqrt(e1^2 + e2^2) of the two standard errors of sampling: another training seed could give another answer

A metric that is declared to be a ratio is compared on logarithms, as in a study, and its difference is told in per cent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, ttest_ind

from difflab.metrics import Measurement
from difflab.studies.inference import paired_difference
from difflab.studies.scale import RATIO, Scale, bounds_of, scale_of


@dataclass(frozen=True)
class MetricDifference:
    """By how much two groups differ.

    Attributes:
        value: Second - first, in the metric's unit or in per cent.
        low: Of the interval; None where nothing is known of it.
        high: Likewise.
        p: Of no difference, two-sided; None likewise.
        basis: What the interval is of, in words.
        unit: " %", or nothing for the metric's own.
    """

    value: float
    low: float | None
    high: float | None
    p: float | None
    basis: str
    unit: str = ""


def metric_difference(
    first: Mapping[int, Measurement], second: Mapping[int, Measurement], alpha: float = 0.05
) -> MetricDifference:
    """Compares two groups of runs.

    Args:
        first: Training seed -> number.
        second: Training seed -> number.
        alpha: 1 - level of the interval.
    """
    measured = [*first.values(), *second.values()]
    scale = scale_of(measured[0].info)
    off = sorted({one.value for one in measured if not (math.isfinite(one.value) and scale.has(one.value))})
    if off:
        what = "no number above 0, as a ratio needs it" if scale is RATIO else "no number"
        return MetricDifference(
            math.nan, None, None, None, f"{', '.join(f'{value:g}' for value in off)} is {what}", scale.unit
        )
    shared = [seed for seed in first if seed in second]
    if len(shared) >= 2:
        return _paired(first, second, shared, scale, alpha)
    if len(first) >= 2 and len(second) >= 2:
        return _independent(first, second, scale, alpha)
    seeds = (shared[0], shared[0]) if shared else (next(iter(first)), next(iter(second)))
    return _of_sampling(first[seeds[0]], second[seeds[1]], seeds, scale, alpha)


def _paired(
    first: Mapping[int, Measurement], second: Mapping[int, Measurement], shared: list[int], scale: Scale, alpha: float
) -> MetricDifference:
    ours, theirs = ({seed: side[seed].value for seed in shared} for side in (second, first))
    found = paired_difference(ours, theirs, alpha, scale, bounds_of(next(iter(first.values())).info, scale))
    low, high = found.limits or (None, None)
    basis = f"a typical seed, paired over seeds {', '.join(map(str, shared))}"
    return MetricDifference(found.value, low, high, found.p, basis, scale.unit)


def _independent(
    first: Mapping[int, Measurement], second: Mapping[int, Measurement], scale: Scale, alpha: float
) -> MetricDifference:
    a, b = ([scale.inner(m.value) for m in side.values()] for side in (first, second))
    value = scale.told(float(np.mean(b) - np.mean(a)))
    basis = f"{len(a)} and {len(b)} seeds, none or one in common: independent means"
    if np.ptp(a) + np.ptp(b) == 0:
        return MetricDifference(value, None, None, None, f"{basis}, without scatter", scale.unit)
    test = ttest_ind(b, a, equal_var=False)
    interval = test.confidence_interval(1 - alpha)  # type: ignore[attr-defined]
    low, high = scale.told(float(interval.low)), scale.told(float(interval.high))
    return MetricDifference(value, low, high, float(test.pvalue), basis, scale.unit)  # type: ignore[attr-defined]


def _of_sampling(
    first: Measurement, second: Measurement, seeds: tuple[int, int], scale: Scale, alpha: float
) -> MetricDifference:
    difference = scale.inner(second.value) - scale.inner(first.value)
    value = scale.told(difference)
    runs = f"one run each (seed {seeds[0]})" if seeds[0] == seeds[1] else f"one run each (seeds {seeds[0]}, {seeds[1]})"
    if first.std_error is None or second.std_error is None:
        return MetricDifference(value, None, None, None, f"{runs}, no standard error known", scale.unit)
    error = math.hypot(*(scale.error(one.std_error, one.value) for one in (first, second) if one.std_error is not None))
    reach = float(norm.ppf(1 - alpha / 2)) * error
    p = float(2 * norm.sf(abs(difference) / error)) if error else None
    basis = f"{runs}: sampling errors alone, another training seed is not in it"
    low, high = scale.told(difference - reach), scale.told(difference + reach)
    return MetricDifference(value, low, high, p, basis, scale.unit)
