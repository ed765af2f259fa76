"""By how much two groups of runs differ in a metric, with the best interval that there are numbers for.

- With two seeds or more in common: paired, Student's t of the differences at each seed, which speaks of a typical seed.
- Else, with two runs each: Welch's t of two independent means.
- Else: sqrt(e1^2 + e2^2) of the two standard errors of sampling; another training seed could give another answer.

A metric that is declared to be a ratio is compared on logarithms, as in a study, and its difference is told in per cent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, ttest_ind

from difflab.evaluation import Measurement
from difflab.studies.scale import RATIO, Scale, bounds_of, scale_of
from difflab.studies.statistics.paired import half_width, paired_difference


@dataclass(frozen=True)
class GroupDifference:
    """By how much two groups differ, as people are told it: in the metric's unit, or in per cent of a ratio.

    Attributes:
        value: Second - first.
        limits: Of the interval; None where nothing is known of it.
        p: Of no difference, two-sided; None likewise.
        basis: What the interval is of, in words.
        scale: On which the difference was taken.
    """

    value: float
    limits: tuple[float, float] | None
    p: float | None
    basis: str
    scale: Scale

    @property
    def half_width(self) -> float | None:
        """The longer side of the interval; None without one."""
        return half_width(self.value, self.limits)


def group_difference(
    first: Mapping[int, Measurement], second: Mapping[int, Measurement], alpha: float = 0.05
) -> GroupDifference:
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
        return GroupDifference(math.nan, None, None, f"{', '.join(f'{value:g}' for value in off)} is {what}", scale)
    shared = [seed for seed in first if seed in second]
    if len(shared) >= 2:
        ours, theirs = ({seed: side[seed].value for seed in shared} for side in (second, first))
        found = paired_difference(ours, theirs, alpha, scale, bounds_of(measured[0].info, scale))
        basis = f"a typical seed, paired over seeds {', '.join(map(str, shared))}"
        return GroupDifference(found.value, found.limits, found.p, basis, scale)
    if len(first) >= 2 and len(second) >= 2:
        return _independent(first, second, scale, alpha)
    seeds = (shared[0], shared[0]) if shared else (next(iter(first)), next(iter(second)))
    return _of_sampling(first[seeds[0]], second[seeds[1]], seeds, scale, alpha)


def _independent(
    first: Mapping[int, Measurement], second: Mapping[int, Measurement], scale: Scale, alpha: float
) -> GroupDifference:
    a, b = ([scale.inner(m.value) for m in side.values()] for side in (first, second))
    value = scale.told(float(np.mean(b) - np.mean(a)))
    basis = f"{len(a)} and {len(b)} seeds, none or one in common: independent means"
    if np.ptp(a) + np.ptp(b) == 0:
        return GroupDifference(value, None, None, f"{basis}, without scatter", scale)
    test = ttest_ind(b, a, equal_var=False)
    interval = test.confidence_interval(1 - alpha)  # type: ignore[attr-defined]
    limits = scale.told(float(interval.low)), scale.told(float(interval.high))
    return GroupDifference(value, limits, float(test.pvalue), basis, scale)  # type: ignore[attr-defined]


def _of_sampling(
    first: Measurement, second: Measurement, seeds: tuple[int, int], scale: Scale, alpha: float
) -> GroupDifference:
    difference = scale.inner(second.value) - scale.inner(first.value)
    value = scale.told(difference)
    runs = f"one run each (seed {seeds[0]})" if seeds[0] == seeds[1] else f"one run each (seeds {seeds[0]}, {seeds[1]})"
    if first.std_error is None or second.std_error is None:
        return GroupDifference(value, None, None, f"{runs}, no standard error known", scale)
    error = math.hypot(*(scale.error(one.std_error, one.value) for one in (first, second) if one.std_error is not None))
    reach = float(norm.ppf(1 - alpha / 2)) * error
    p = float(2 * norm.sf(abs(difference) / error)) if error else None
    basis = f"{runs}: sampling errors alone, another training seed is not in it"
    return GroupDifference(value, (scale.told(difference - reach), scale.told(difference + reach)), p, basis, scale)
