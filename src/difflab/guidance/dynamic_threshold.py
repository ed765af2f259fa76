"""Bounds on the predicted image that follow its own values."""

from __future__ import annotations

import torch
from torch import Tensor

from difflab.guidance.guidance import Guidance
from difflab.process import over
from difflab.types import Condition, DenoiseFn, Prediction


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
