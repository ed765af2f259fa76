"""How much paired differences scatter, from what has been run: the input of a power calculation.

From rows with two or more pairs: their variances pooled, sd^2 = sum_r (n_r - 1) s_r^2 / sum_r (n_r - 1). Without pairs: sqrt(2) times the
scatter of the baseline over its seeds, as if the other arm scattered as much and pairing bought nothing; pairs are likely to do better.

A metric that is a ratio scatters on logarithms, as it is compared: sd is then told in per cent.

A pilot of few seeds knows its sd badly; the chi-square interval says how badly: three pairs leave 0.52 sd .. 6.3 sd.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np
from scipy.stats import chi2

from difflab.studies.evidence import Evidence
from difflab.studies.inference.paired import paired_difference
from difflab.studies.scale import DIFFERENCE, Scale, scale_of


@dataclass(frozen=True)
class Pilot:
    """What is known of the scatter.

    Attributes:
        sd: Of paired differences, on the scale.
        freedom: Degrees of freedom behind it; None for a number that somebody has given.
        source: In words.
        scale: On which differences are taken.
        level: The baseline's mean, which turns a difference in the metric's unit into a ratio; None if it is not known.
    """

    sd: float
    freedom: int | None
    source: str
    scale: Scale = DIFFERENCE
    level: float | None = None

    def interval(self, alpha: float = 0.05) -> tuple[float, float] | None:
        """Of sd, of level 1 - alpha, where differences are normal; None for one that was given."""
        if self.freedom is None:
            return None
        low, high = chi2.ppf([alpha / 2, 1 - alpha / 2], self.freedom)
        return self.sd * math.sqrt(self.freedom / high), self.sd * math.sqrt(self.freedom / low)


def pilot_of_pairs(rows: Sequence[Sequence[float]], scale: Scale = DIFFERENCE) -> Pilot | None:
    """From the paired differences of one or more rows; None if they do not scatter or no row has two."""
    usable = [np.asarray(row, float) for row in rows if len(row) > 1]
    freedom = sum(row.size - 1 for row in usable)
    pairs = " + ".join(str(row.size) for row in usable)
    squares = sum(float(((row - row.mean()) ** 2).sum()) for row in usable)
    return _pilot(squares, freedom, f"{pairs} paired differences", scale)


def pilot_of_seeds(values: Sequence[float], scale: Scale = DIFFERENCE) -> Pilot | None:
    """From one arm's values over its seeds; None if they do not scatter or there is one."""
    y = np.array([scale.inner(value) for value in values], float)
    source = f"{y.size} seeds of the baseline, times sqrt(2): no pairs yet, and none of pairing's gain"
    return _pilot(2 * float(((y - y.mean()) ** 2).sum()) if y.size else 0.0, y.size - 1, source, scale)


def pilot(evidence: Evidence, metric: str) -> Pilot | None:
    """The best that a study's finished runs give: pairs of all rows together, else the baseline's seeds, else None."""
    scale = scale_of(evidence.info(metric))
    baseline = _usable(evidence.arms[evidence.study.baseline].values(metric), scale)
    found = pilot_of_pairs(list(_pairs(evidence, metric, scale).values()), scale)
    found = found or pilot_of_seeds(list(baseline.values()), scale)
    return found and replace(found, level=fmean(baseline.values()) if baseline else None)


def pilots(evidence: Evidence, metric: str) -> dict[str, Pilot]:
    """row -> what its own pairs tell; rows scatter differently. Rows without two pairs that scatter are absent."""
    scale = scale_of(evidence.info(metric))
    found = {row: pilot_of_pairs([pairs], scale) for row, pairs in _pairs(evidence, metric, scale).items()}
    return {row: one for row, one in found.items() if one is not None}


def _pairs(evidence: Evidence, metric: str, scale: Scale) -> dict[str, list[float]]:
    """row -> its paired differences, where they scatter."""
    rows = {}
    for row in evidence.study.compared():
        arm = evidence.arms[row.name]
        a, b = _usable(arm.values(metric), scale), _usable(evidence.against(arm).values(metric), scale)
        if len(a.keys() & b.keys()) > 1:
            found = paired_difference(a, b, scale=scale)
            rows |= {row.name: list(found.differences.values())} if found.sd else {}
    return rows


def _pilot(squares: float, freedom: int, source: str, scale: Scale) -> Pilot | None:
    return Pilot(math.sqrt(squares / freedom), freedom, source, scale) if freedom > 0 and squares > 0 else None


def _usable(values: dict[int, float], scale: Scale) -> dict[int, float]:
    return {seed: value for seed, value in values.items() if math.isfinite(value) and scale.has(value)}
