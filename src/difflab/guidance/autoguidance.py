"""Guidance by a worse version of the model."""

from __future__ import annotations

from torch import Tensor, nn

from difflab.guidance.guidance import Guidance, extrapolated
from difflab.types import Condition, DenoiseFn, Prediction


class Autoguidance(Guidance):
    """x_0 = weak + w (model - weak) (Karras et al. 2024, arXiv 2406.02507, whose w is this one).

    Both are told the same condition, so nothing need be dropped in training. w = 1 is no guidance, w = 0 the weak model. The variance is
    the model's.

    Args:
        weak: The weak model, frozen: trained for less long, or smaller, with the same noise schedule; or an average of the model's own
            weights from earlier.
        scale: w.
    """

    def __init__(self, weak: DenoiseFn, scale: float):
        self.weak = weak
        self.scale = scale
        if isinstance(weak, nn.Module):
            self.models = {"weak": weak}

    def __call__(self, denoise: DenoiseFn) -> DenoiseFn:
        if self.scale == 1:
            return denoise

        def guided(x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
            return extrapolated(denoise(x_t, t, cond), self.weak(x_t, t, cond).x0, self.scale)

        return guided
