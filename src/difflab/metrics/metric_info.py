"""What kind of number a metric gives: which way is better, where it can lie, in what unit, and how two of them are compared."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class MetricInfo:
    """Facts about a number, declared by the metric that makes it. They are never derived from its name or from data.

    Attributes:
        higher_is_better: None where the number is neither good nor bad, as a deviation over parts.
        bounds: The lowest and the highest value that it can have.
        unit: For people, as "dB" or "bits/dim"; empty for a pure number.
        ratio: Whether two values are compared on logarithms and told as a ratio ("8 % lower"): for positive, unbounded
            metrics whose spread over seeds grows with their level, as Frechet distances. Only with bounds (0, inf).
    """

    higher_is_better: bool | None
    bounds: tuple[float, float] = (0.0, math.inf)
    unit: str = ""
    ratio: bool = False

    def __post_init__(self) -> None:
        low, high = self.bounds
        if not low < high:
            raise ValueError(f"bounds = {self.bounds}: the lowest value comes first, and is below the highest")
        if self.ratio and (low, high) != (0.0, math.inf):
            raise ValueError(f"a ratio needs bounds of 0 and infinity, these are {self.bounds}")
