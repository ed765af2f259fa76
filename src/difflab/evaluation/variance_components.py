"""How much of the scatter between training seeds is training, and how much is the finite number of samples.

Value y_r of training seed r was measured with standard error e_r, so

    y_r = mu + a_r + s_r        Var a = training        Var s_r = e_r^2
    E s^2 = training + mean e_r^2        training = max(0, s^2 - mean e_r^2)        (method of moments; s^2 with R - 1)

The mean over the seeds has the standard error s / sqrt(R), which holds both parts. More samples shrink `sampling` alone, more seeds
shrink both. Seeds that are sampled from one noise bank may share a part of s_r, which is then in the mean and not in s^2: `training`
comes out too small and the interval is that of this bank. For the split itself, draw each seed's samples from noise of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import t as student


@dataclass(frozen=True)
class VarianceComponents:
    """mean over the seeds; variances of one seed's value by training and by sampling; number of seeds.

    total   s^2 [variance between the measured values]; below `sampling` where chance made the seeds agree better than their errors allow
    """

    mean: float
    total: float
    sampling: float
    seeds: int

    @property
    def training(self) -> float:
        return max(0.0, self.total - self.sampling)

    @property
    def std_error(self) -> float:
        """Of the mean, over other training seeds and other samples."""
        return math.sqrt(self.total / self.seeds)

    def interval(
        self, confidence: float = 0.95, bounds: tuple[float, float] = (-math.inf, math.inf)
    ) -> tuple[float, float]:
        """mean -/+ t std_error, Student's quantile with R - 1 degrees of freedom, cut at the metric's bounds, where no mean can lie."""
        reach = float(student.ppf(0.5 + confidence / 2, self.seeds - 1)) * self.std_error
        return max(bounds[0], self.mean - reach), min(bounds[1], self.mean + reach)


def variance_components(values: Sequence[float], std_errors: Sequence[float]) -> VarianceComponents:
    """The split for R values of one metric at one protocol, one per training seed."""
    seeds = len(values)
    if seeds != len(std_errors):
        raise ValueError(f"{seeds} values but {len(std_errors)} standard errors: one of each per training seed")
    if seeds < 2:
        raise ValueError(f"{seeds} training seed says nothing of the scatter between seeds: train another one")
    if not all(math.isfinite(number) for number in (*values, *std_errors)) or min(std_errors) < 0:
        raise ValueError(
            f"values {list(values)} and standard errors {list(std_errors)} must be finite, errors not negative"
        )
    mean = math.fsum(values) / seeds
    total = math.fsum((value - mean) ** 2 for value in values) / (seeds - 1)
    return VarianceComponents(mean, total, math.fsum(error**2 for error in std_errors) / seeds, seeds)
