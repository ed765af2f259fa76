"""The same scale at all times."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

from difflab.guidance.shapes.shape import Shape


class Constant(Shape):
    """1."""

    vanishes = False

    def __call__(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        return torch.ones_like(t)
