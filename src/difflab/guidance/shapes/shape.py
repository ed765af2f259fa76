"""What the shape of a guidance scale over time is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float64
from torch import Tensor


class Shape(ABC):
    """t -> [B]; the scale at t is w(t) = 1 + (w - 1) shape(t), so 0 is no guidance and 1 the whole of it.

    Where churn raises an image above the schedule's end, t is above 1.

    vanishes   whether there are times at which it is 0, so that it is worth looking
    """

    vanishes: bool

    @abstractmethod
    def __call__(self, t: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        """The shape at times t."""
