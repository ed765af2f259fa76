"""A row's number of one metric with its interval.

n seeds    mean -/+ t sd / sqrt(n)        n - 1 degrees of freedom: over trainings, the noise of sampling included
             cut at the bounds of the metric, where no mean can lie
one seed   value -/+ t * standard error of sampling: what other samples of the same training would give. It says nothing of other trainings
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from difflab.studies.evidence import Arm
from difflab.studies.inference import student


@dataclass(frozen=True)
class Estimate:
    """value     mean over the seeds
    low, high  of the interval; None where there is none
    seeds      how many; the interval of a single one is that of sampling
    """

    value: float
    low: float | None
    high: float | None
    seeds: int

    @property
    def half_width(self) -> float | None:
        """The longer side, where the interval was cut at the end of what the metric can be."""
        if self.low is None or self.high is None:
            return None
        return max(self.high - self.value, self.value - self.low)


def estimate(arm: Arm, metric: str, alpha: float) -> Estimate | None:
    """Over the seeds that have a number; None for a row without one.

    alpha   1 - level of the interval
    """
    there = {seed: float(value) for seed, value in arm.values(metric).items() if math.isfinite(value)}
    values = list(there.values())
    if not values:
        return None
    if len(values) == 1:
        (only,) = there
        low, high = arm.replicates[only].measurements[metric].interval(1 - alpha) or (None, None)
        return Estimate(values[0], low, high, 1)
    mean, sd = float(np.mean(values)), float(np.std(values, ddof=1))
    low, high = student.interval(mean, sd, len(values), alpha)
    info = arm.replicates[next(iter(there))].measurements[metric].info
    least, most = (-math.inf, math.inf) if info is None else info.bounds
    return Estimate(mean, max(least, float(low)), min(most, float(high)), len(values))
