"""Guidance at some noise levels only."""

from __future__ import annotations

from jaxtyping import Float64
from torch import Tensor

from difflab.guidance.shapes.shape import Shape
from difflab.schedules import NoiseSchedule


class NoiseLevelInterval(Shape):
    """1 where low < sigma / alpha <= high, else 0 (Kynkaanniemi et al. 2024, arXiv 2404.07724).

    sigma / alpha is the noise level that the paper (and EDM) calls sigma, of images that are not scaled down; so the paper's numbers can be
    used with any schedule.
    """

    vanishes = True

    def __init__(self, low: float, high: float, schedule: NoiseSchedule):
        if not low < high:
            raise ValueError(f"guidance at noise levels from {low} to {high} leaves none: low must be below high")
        self.low = low
        self.high = high
        self.schedule = schedule

    def __call__(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        alpha, sigma = self.schedule(t)
        return ((sigma > self.low * alpha) & (sigma <= self.high * alpha)).to(
            t.dtype
        )  # without a division: alpha may be 0
