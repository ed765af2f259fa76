"""A scale that changes as half a period of a cosine."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.guidance.shapes.shape import Shape


class Cosine(Shape):
    """at_noise + (at_clean - at_noise) (1 + cos(pi t)) / 2.

    Times beyond the schedule's end, to which churn may raise an image, count as the end.
    From 0 at noise to 2 at the clean end it is Wang et al.'s cos(pi t) + 1 (arXiv 2404.13040), which over all times guides as much as 1.
    """

    vanishes = True

    def __init__(self, at_noise: float, at_clean: float):
        self.at_noise = at_noise
        self.at_clean = at_clean

    def __call__(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return self.at_noise + (self.at_clean - self.at_noise) * (1 + torch.cos(math.pi * t.clamp(max=1))) / 2
