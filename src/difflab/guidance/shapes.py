"""Shapes of a guidance over time: t -> by how much of w - 1 is guided."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.schedules import NoiseSchedule

__all__ = ["Constant", "Cosine", "Linear", "NoiseLevelInterval", "Shape", "TimeInterval"]


class Shape(ABC):
    """A function t -> [B]: the scale at t is w(t) = 1 + (w - 1) shape(t), so 0 is no guidance and 1 the whole of it.

    Where churn raises an image above the schedule's end, t is above 1.

    Attributes:
        vanishes: Whether there are times at which it is 0, so that it is worth looking.
    """

    vanishes: bool

    @abstractmethod
    def __call__(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        """The shape at times t."""


class Constant(Shape):
    """1 at all times."""

    vanishes = False

    def __call__(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return torch.ones_like(t)


class Cosine(Shape):
    """Cosine between the ends: at_noise + (at_clean - at_noise) (1 + cos(pi t)) / 2.

    Times beyond the schedule's end, to which churn may raise an image, count as the end. From 0 at noise to 2 at the clean end it is Wang
    et al.'s cos(pi t) + 1 (arXiv 2404.13040), which over all times guides as much as 1.

    Args:
        at_noise: The shape at t = 1.
        at_clean: The shape at t = 0.
    """

    vanishes = True

    def __init__(self, at_noise: float, at_clean: float):
        self.at_noise = at_noise
        self.at_clean = at_clean

    def __call__(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return self.at_noise + (self.at_clean - self.at_noise) * (1 + torch.cos(math.pi * t.clamp(max=1))) / 2


class Linear(Shape):
    """Line between the ends: at_clean + (at_noise - at_clean) t.

    Times beyond the schedule's end, to which churn may raise an image, count as the end. From 0 at noise to 2 at the clean end it is Wang
    et al.'s 2 (1 - t) (arXiv 2404.13040), which over all times guides as much as 1.

    Args:
        at_noise: The shape at t = 1.
        at_clean: The shape at t = 0.
    """

    vanishes = True

    def __init__(self, at_noise: float, at_clean: float):
        self.at_noise = at_noise
        self.at_clean = at_clean

    def __call__(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return self.at_clean + (self.at_noise - self.at_clean) * t.clamp(max=1)


class NoiseLevelInterval(Shape):
    """1 where low < sigma / alpha <= high, else 0 (Kynkaanniemi et al. 2024, arXiv 2404.07724).

    sigma / alpha is the noise level that the paper (and EDM) calls sigma, of images that are not scaled down; so the paper's numbers can be
    used with any schedule.

    Args:
        low: The level above which is guided.
        high: The highest level that is guided.
        schedule: That of the model.
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


class TimeInterval(Shape):
    """1 where low < t <= high, else 0. `NoiseLevelInterval` is the same in the variable of the paper.

    Times beyond the schedule's end, to which churn may raise an image, count as the end.

    Args:
        low: The time above which is guided.
        high: The last time that is guided.
    """

    vanishes = True

    def __init__(self, low: float, high: float):
        if not low < high:
            raise ValueError(f"guidance at times from {low} to {high} leaves none: low must be below high")
        self.low = low
        self.high = high

    def __call__(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return ((t > self.low) & (t.clamp(max=1) <= self.high)).to(t.dtype)
