"""Curves of several seeds as one: the mean and Student's band at each x that all seeds have.

mean_x -/+ t_{1 - alpha/2, n-1} sd_x / sqrt(n)        at each x by itself

A band is no statement on all x together: of many x, about alpha lie outside. Curves are compared seed by seed, as final values are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from difflab.studies.statistics import student


@dataclass(frozen=True)
class Curve:
    """One run's values y at steps (or images, FLOPs, hours) x, which rise."""

    x: Sequence[float]
    y: Sequence[float]

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise ValueError(f"a curve of {len(self.x)} x and {len(self.y)} y: as many of both")
        if any(not right > left for left, right in zip(self.x, self.x[1:], strict=False)):
            raise ValueError("x of a curve must rise: after a resumed run keep the last value of each step")


@dataclass(frozen=True)
class Band:
    """x, mean; low and high are empty for one seed.

    seeds   behind each value
    """

    x: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    seeds: tuple[int, ...]


def band(curves: Mapping[int, Curve], alpha: float = 0.05, bounds: tuple[float, float] = (-math.inf, math.inf)) -> Band:
    """Over the x that all seeds have with finite values; empty if there are none.

    Args:
        curves: Seed -> curve.
        alpha: 1 - level of the band.
        bounds: Of the metric: where no mean can lie, the band is cut.
    """
    points = {seed: _finite(curve) for seed, curve in curves.items()}
    common = sorted(set[float].intersection(*map(set, points.values()))) if points else []
    return _band(common, [[mine[x] for x in common] for mine in points.values()], tuple(points), alpha, bounds)


def band_of_difference(a: Mapping[int, Curve], b: Mapping[int, Curve], alpha: float = 0.05) -> Band:
    """Of a - b at each seed that both have."""
    differences = {}
    for seed in a:
        if seed in b:
            mine, other = _finite(a[seed]), _finite(b[seed])
            x = [x for x in mine if x in other]
            differences[seed] = Curve(x, [mine[x] - other[x] for x in x])
    return band(differences, alpha)


def _finite(curve: Curve) -> dict[float, float]:
    return {x: y for x, y in zip(curve.x, curve.y, strict=True) if math.isfinite(y)}


def _band(
    x: Sequence[float],
    rows: Sequence[Sequence[float]],
    seeds: tuple[int, ...],
    alpha: float,
    bounds: tuple[float, float],
) -> Band:
    if not x:
        return Band((), (), (), (), seeds)
    y = np.array(rows, float)  # [seeds, x]
    mean = y.mean(0)
    if len(seeds) < 2:
        return Band(tuple(x), tuple(mean.tolist()), (), (), seeds)
    low, high = student.interval(mean, y.std(0, ddof=1), len(seeds), alpha)
    low, high = np.maximum(low, bounds[0]), np.minimum(high, bounds[1])
    return Band(tuple(x), tuple(mean.tolist()), tuple(low.tolist()), tuple(high.tolist()), seeds)
