"""A scale that changes evenly with time."""

from __future__ import annotations

from jaxtyping import Float64
from torch import Tensor

from difflab.guidance.shapes.shape import Shape


class Linear(Shape):
    """at_clean + (at_noise - at_clean) t.

    Times beyond the schedule's end, to which churn may raise an image, count as the end.
    From 0 at noise to 2 at the clean end it is Wang et al.'s 2 (1 - t) (arXiv 2404.13040), which over all times guides as much as 1.
    """

    vanishes = True

    def __init__(self, at_noise: float, at_clean: float):
        self.at_noise = at_noise
        self.at_clean = at_clean

    def __call__(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return self.at_clean + (self.at_noise - self.at_clean) * t.clamp(max=1)
