"""Bounds of the predicted x_0: clipping to the range of the data, and Imagen's dynamic thresholding."""

from __future__ import annotations

import torch
from torch import Tensor

from difflab.guidance.guidance import Guidance
from difflab.process import over
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


class DynamicThreshold(Guidance):
    """Dynamic thresholding: x_0 clamped to [-s, s] and divided by s (Imagen, Saharia et al. 2022, arXiv 2205.11487, section 2.3).

    s = max(1, the quantile of |x_0| over all values of the image). Each image has its own s, and a prediction inside [-1, 1] stays as it
    is. At quantile 1 nothing is clamped: an image that leaves [-1, 1] is scaled to just fill it.

    Args:
        quantile: 0 to 1, the paper's p, a percentile, / 100.
    """

    def __init__(self, quantile: float):
        if not 0 <= quantile <= 1:
            raise ValueError(f"quantile = {quantile} must be from 0 to 1: the percentile 99.5 is 0.995")
        self.quantile = quantile

    def __call__(self, denoise: DenoiseFn) -> DenoiseFn:
        def thresholded(x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
            prediction = denoise(x_t, t, cond)
            s = over(self._quantiles(prediction.x0).clamp(min=1), prediction.x0)
            return Prediction(prediction.x0.clamp(-s, s) / s, prediction.variance_fraction)

        return thresholded

    def _quantiles(self, images: Tensor) -> Tensor:
        """The quantile of |images|, [B], interpolated linearly.

        torch.quantile refuses more than 2^24 values: 85 images of 256 x 256.
        """
        values = images.abs().flatten(1).sort(dim=1).values
        position = self.quantile * (values.shape[1] - 1)
        below = int(position)
        above = min(below + 1, values.shape[1] - 1)
        return torch.lerp(values[:, below], values[:, above], position - below)
