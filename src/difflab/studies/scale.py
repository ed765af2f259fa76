"""On which scale two values of a metric are compared, and the margin below which a difference is of no interest.

    difference   d = a - b
    ratio        d = log a - log b        told as 100 (exp(d) - 1) per cent: "8 % lower"

The metric declares which one holds (`MetricInfo.ratio`); data never decide. Logarithms suit positive unbounded numbers whose spread over
seeds grows with their level, as Frechet distances: they cost nothing where the spread is small, and keep a test's power where it is large.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # with all metrics, which not everybody needs who needs a study
    from difflab.metrics import MetricInfo


class Scale(ABC):
    """A scale on which differences are taken.

    Attributes:
        unit: What stands behind a difference as it is told: " %" or nothing.
        spread: What the spread of an arm's values is called.
        smallest: The size of inner values below which their rounding does not fall.
    """

    unit: str
    spread: str
    smallest: float

    @abstractmethod
    def inner(self, value: float) -> float:
        """The value whose differences are taken."""

    @abstractmethod
    def told(self, difference: float) -> float:
        """A difference on this scale, as people are told it."""

    @abstractmethod
    def read(self, told: float) -> float:
        """The difference that is told so: the inverse of `told`."""

    @abstractmethod
    def raw(self, told: float, level: float) -> float:
        """A difference that is told so, in the metric's own unit, of a number of this level."""

    @abstractmethod
    def error(self, std_error: float, value: float) -> float:
        """The standard error of an inner value, to first order."""

    @abstractmethod
    def has(self, value: float) -> bool:
        """Whether a finite value lies on the scale."""

    @abstractmethod
    def spread_of(self, values: Sequence[float]) -> float:
        """Standard deviation of two values or more, or their coefficient of variation in per cent."""


class _Difference(Scale):
    unit, spread, smallest = "", "sd", 0.0

    def inner(self, value: float) -> float:
        return value

    def told(self, difference: float) -> float:
        return difference

    def read(self, told: float) -> float:
        return told

    def raw(self, told: float, level: float) -> float:
        return told

    def error(self, std_error: float, value: float) -> float:
        return std_error

    def has(self, value: float) -> bool:
        return True

    def spread_of(self, values: Sequence[float]) -> float:
        return _sd(values)


class _Ratio(Scale):
    unit, spread, smallest = " %", "CV", 1.0

    def inner(self, value: float) -> float:
        return math.log(value)

    def told(self, difference: float) -> float:
        return 100 * math.expm1(difference) if difference < 700 else math.inf

    def read(self, told: float) -> float:
        return math.log1p(told / 100) if told > -100 else -math.inf

    def raw(self, told: float, level: float) -> float:
        return level * told / 100

    def error(self, std_error: float, value: float) -> float:
        return std_error / value

    def has(self, value: float) -> bool:
        return value > 0

    def spread_of(self, values: Sequence[float]) -> float:
        return 100 * _sd(values) / (sum(values) / len(values))


def _sd(values: Sequence[float]) -> float:
    """With n - 1. (statistics.stdev is exact and slow, numpy slow to import.)."""
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))


DIFFERENCE: Scale = _Difference()
RATIO: Scale = _Ratio()


def scale_of(info: MetricInfo | None) -> Scale:
    """The scale that a metric declares; None for one that has no number yet."""
    return RATIO if info is not None and info.ratio else DIFFERENCE


def bounds_of(info: MetricInfo | None, scale: Scale) -> tuple[float, float]:
    """Between which a difference of two values lies as it is told: of two shares between -1 and 1."""
    low, high = (-math.inf, math.inf) if info is None else info.bounds
    return (-100.0, math.inf) if scale is RATIO else (low - high, high - low)


@dataclass(frozen=True)
class Margin:
    """A difference that is of no interest, in either direction.

    Attributes:
        amount: As it was given: 0.5, or 5 of "5 %".
        scale: The one on which it is tested: raw differences for an absolute margin, logarithms for one in per cent.
    """

    amount: float
    scale: Scale

    @property
    def reach(self) -> float:
        """The margin on its scale: 0.5, or log(1 + 5 %)."""
        return self.scale.read(self.amount)

    def __str__(self) -> str:
        return f"{self.amount:g}{self.scale.unit}"


def read_margin(given: Any) -> Margin:
    """The margin that is written as 0.5 or as "5 %".

    Raises:
        ValueError: It is neither, or not above 0.
    """
    match = re.fullmatch(r"\s*([^%\s]+)\s*%\s*", given) if isinstance(given, str) else None
    try:
        amount = float(match[1] if match else given) if not isinstance(given, bool) else math.nan
    except (TypeError, ValueError):
        amount = math.nan
    if not 0 < amount < math.inf:
        raise ValueError(f"{given!r}: expected a difference above 0, as 0.5, or in per cent, as 5 %")
    return Margin(amount, RATIO if match else DIFFERENCE)
