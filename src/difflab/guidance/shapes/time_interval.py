"""Guidance at some times only."""

from __future__ import annotations

from jaxtyping import Float64
from torch import Tensor

from difflab.guidance.shapes.shape import Shape


class TimeInterval(Shape):
    """1 where low < t <= high, else 0. `NoiseLevelInterval` is the same in the variable of the paper.

    Times beyond the schedule's end, to which churn may raise an image, count as the end.
    """

    vanishes = True

    def __init__(self, low: float, high: float):
        if not low < high:
            raise ValueError(f"guidance at times from {low} to {high} leaves none: low must be below high")
        self.low = low
        self.high = high

    def __call__(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return ((t > self.low) & (t.clamp(max=1) <= self.high)).to(t.dtype)
