"""Curves of several seeds as one: the mean and Student's band at each x that all seeds have.

mean_x -/+ t_{1 - alpha/2, n-1} sd_x / sqrt(n)        at each x by itself

A band is no statement on all x together: of many x, about alpha lie outside. Curves are compared seed by seed, as final values are.

How much less compute a row needs for what the baseline has at its end.

At each seed: target = the baseline's last value; x(curve) = where the curve, joined by straight lines, comes to the target for good: after
it no measured value is worse. ratio = x(baseline) / x(row); over the seeds the geometric mean with Student's interval on the logarithms.

Why the last crossing and not the first: a measured curve is noisy, and the first touch of the target is the luckiest of many looks. It
comes too early, the more so the noisier the curve and the more often it was measured, and no later value repeats it. The last crossing
errs to the other side, for both arms by the same rule. Curves are not smoothed and not averaged over seeds before: the crossing of a mean
curve is not the mean of crossings, and has no interval.

A row that ends off the target has no crossing: it was not trained long enough to see it (censored). Leaving such seeds out would keep the
lucky ones alone, hence one of them is enough that no mean is given. With the baseline's budget a slower row has mostly no crossing: to see
a ratio below 1, train it longer. A curve that is on target from its first point on has crossed at an unknown earlier x: no number either.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from difflab.metrics import MetricInfo
from difflab.studies.statistics.one_sample import student_interval


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

    Attributes:
        seeds: Behind each value.
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
    low, high = student_interval(mean, y.std(0, ddof=1), len(seeds), alpha)
    low, high = np.maximum(low, bounds[0]), np.minimum(high, bounds[1])
    return Band(tuple(x), tuple(mean.tolist()), tuple(low.tolist()), tuple(high.tolist()), seeds)


@dataclass(frozen=True)
class Reach:
    """Where a curve comes to a target.

    Attributes:
        x: Where the curve comes to the target for good, or None.
        reason: Why there is none: "never", "before the first point", "no target"; empty if there is one.
    """

    x: float | None
    reason: str = ""


@dataclass(frozen=True)
class SeedSpeedup:
    """The speed-up at one seed.

    Attributes:
        ratio: X of the baseline / x of the row; None where one of them was not seen.
    """

    target: float
    row: Reach
    baseline: Reach
    ratio: float | None


@dataclass(frozen=True)
class Speedup:
    """The speed-up over all seeds.

    Attributes:
        seeds: Seed -> what was found.
        ratio: Geometric mean; None if a seed has none.
        interval: Of level 1 - alpha; None without ratio or with one seed.
        sentence: The same in words.
    """

    seeds: Mapping[int, SeedSpeedup]
    ratio: float | None
    interval: tuple[float, float] | None
    sentence: str


def reach(curve: Curve, target: float, info: MetricInfo) -> Reach:
    """The last crossing of one curve. A value that is not finite is off target."""
    sign = 1 if info.higher_is_better else -1
    if not math.isfinite(target) or not len(curve.y):
        return Reach(None, "no target" if len(curve.y) else "never")
    excess = sign * (np.asarray(curve.y, float) - target)
    off = np.flatnonzero(~(np.isfinite(excess) & (excess >= 0)))
    if off.size == 0:
        return Reach(None, "before the first point")
    i = int(off[-1])
    if i == excess.size - 1:
        return Reach(None, "never")
    left, right = float(curve.x[i]), float(curve.x[i + 1])
    share = -excess[i] / (excess[i + 1] - excess[i]) if math.isfinite(excess[i]) else 1.0
    return Reach(left + float(share) * (right - left))


def speedup(row: Mapping[int, Curve], baseline: Mapping[int, Curve], info: MetricInfo, alpha: float = 0.05) -> Speedup:
    """Over the seeds that both have.

    Args:
        row: Seed -> the metric against compute, one unit for both.
        baseline: Likewise.
    """
    seeds = {}
    for seed in row:
        if seed in baseline and len(baseline[seed].y):
            target = float(baseline[seed].y[-1])
            mine, other = reach(row[seed], target, info), reach(baseline[seed], target, info)
            ratio = None if mine.x is None or other.x is None else other.x / mine.x
            seeds[seed] = SeedSpeedup(target, mine, other, ratio)
    ratios = [one.ratio for one in seeds.values() if one.ratio is not None]
    if not seeds:
        return Speedup(seeds, None, None, "no seed in common")
    if len(ratios) < len(seeds):
        return Speedup(seeds, None, None, _without(seeds))
    logs = np.log(ratios)
    ratio, n = float(np.exp(logs.mean())), len(ratios)
    words = f"the baseline's last value at {1 / ratio:.2f} times its compute at a typical seed"
    if n == 1:
        return Speedup(seeds, ratio, None, f"{words}; 1 seed, hence no interval")
    low, high = (float(np.exp(end)) for end in student_interval(logs.mean(), logs.std(ddof=1), n, alpha))
    level = f"{100 * (1 - alpha):g} %"
    return Speedup(seeds, ratio, (low, high), f"{words}; speed-up {level} {low:.2f} .. {high:.2f}, {n} seeds")


def _without(seeds: Mapping[int, SeedSpeedup]) -> str:
    parts = []
    for who in ("row", "baseline"):
        for reason, words in (
            ("never", "does not reach the baseline's last value"),
            ("before the first point", "is there before its first measured point"),
            ("no target", "has no finite target"),
        ):
            reaches = {seed: one.row if who == "row" else one.baseline for seed, one in seeds.items()}
            found = [seed for seed, one in reaches.items() if one.reason == reason]
            if found:
                parts.append(f"the {who} {words} at {len(found)} of {len(seeds)} seeds ({', '.join(map(str, found))})")
    return f"no speed-up is given: {'; '.join(dict.fromkeys(parts))}"
