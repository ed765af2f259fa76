"""Bounds on the predicted image."""

from __future__ import annotations

from torch import Tensor

from difflab.guidance.guidance import Guidance
from difflab.types import Condition, DenoiseFn, Prediction


class Clip(Guidance):
    """x_0 clamped to [low, high], the range of images (static thresholding; `clip_denoised` of DDPM's code).

    Args:
        low: The darkest value of an image.
        high: The brightest, above `low`.
    """

    bounds_x0 = True

    def __init__(self, low: float = -1.0, high: float = 1.0):
        if not low < high:
            raise ValueError(f"clipping to [{low}, {high}] leaves nothing")
        self.low = low
        self.high = high

    def __call__(self, denoise: DenoiseFn) -> DenoiseFn:
        def clipped(x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
            prediction = denoise(x_t, t, cond)
            return Prediction(prediction.x0.clamp(self.low, self.high), prediction.variance_fraction)

        return clipped
