"""What grows with what: a measurement whose contenders are sizes of one thing, and the exponent of its growth.

A contender's facts hold `x`, its size, and what else is counted at that size, such as `flops`. The exponent is the slope b of

    log y = a + b log x        least squares over the sizes, y the median over rounds,        SE(b) = s / sqrt(sum (log x - mean)^2)

with s^2 the residual sum over n - 2. The rounds are no further points: a bend of the curve is alike in all of them, and would be
taken for certainty. Nothing of this is stored: it follows from the record.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.record import Measurement


@dataclass(frozen=True)
class Exponent:
    """The exponent b of a power law, fitted.

    Attributes:
        value: b.
        standard_error: None with two sizes.
        at_the_end: Between the two largest sizes, where what does not grow has the least weight.
    """

    value: float
    standard_error: float | None
    at_the_end: float


def is_curve(measurement: Measurement) -> bool:
    return len(measurement.values) > 1 and all("x" in measurement.facts.get(name, {}) for name in measurement.values)


def sizes(measurement: Measurement) -> list[tuple[float, str]]:
    """(x, contender), the smallest first."""
    return sorted((float(measurement.facts[name]["x"]), name) for name in measurement.values)


def exponent(measurement: Measurement) -> Exponent:
    """Of the measured values."""
    found = sizes(measurement)
    return fitted([x for x, _ in found], [statistics.median(measurement.values[name]) for _, name in found])


def exponent_of(measurement: Measurement, fact: str) -> Exponent | None:
    """Of something that was counted at each size; None where it was not, or is zero."""
    found = sizes(measurement)
    counted = [measurement.facts[name].get(fact, 0) for _, name in found]
    return fitted([x for x, _ in found], counted) if all(count > 0 for count in counted) else None


def fitted(x: Sequence[float], y: Sequence[float]) -> Exponent:
    u, v = np.log(np.asarray(x, float)), np.log(np.asarray(y, float))
    spread = float(((u - u.mean()) ** 2).sum())
    slope = float(((u - u.mean()) * v).sum() / spread)
    rest = v - v.mean() - slope * (u - u.mean())
    error = math.sqrt(float((rest**2).sum()) / (len(u) - 2) / spread) if len(u) > 2 else None
    return Exponent(slope, error, float((v[-1] - v[-2]) / (u[-1] - u[-2])))
