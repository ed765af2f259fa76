"""How much a time counts."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float64
from torch import Tensor


class Weighting(ABC):
    """Weight of the squared error of F at signal-to-noise ratio snr = alpha^2 / sigma^2.

    The error of x_0 is c_out times that of F. So a weight w(snr) that a paper puts on |x_0 - x_0^|^2 is w(snr) c_out^2 here, and a
    weighting means the same loss whatever the network predicts. For eps-prediction c_out^2 = 1 / snr.
    """

    @abstractmethod
    def __call__(self, snr: Float64[Tensor, " b"], c_out: Float64[Tensor, " b"]) -> Float64[Tensor, " b"]:
        """The weight [B]."""
