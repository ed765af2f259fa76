"""Classifier-free guidance that keeps the contrast of the conditional prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from difflab.former_names import Neutral
from difflab.guidance.guidance import Guidance, extrapolated, with_and_without
from difflab.types import Condition, DenoiseFn, Prediction


class RescaledClassifierFree(Guidance):
    """x_0 = phi g std(cond) / std(g) + (1 - phi) g,  g = uncond + w (cond - uncond) (Lin et al. 2024, arXiv 2305.08891, section 3.4).

    Standard deviations are over all values of an image. The paper rescales what its networks put out, v, which at their noisiest step is
    -x_0; here it is always x_0. phi = 0 is `ClassifierFree`; w = 1 is no guidance, whatever phi.

    Args:
        scale: w, the paper's.
        phi: 0 to 1; the paper has 0.7 at w = 7.5.
    """

    needs_null_condition = True

    def __init__(self, scale: float, phi: float, negative: Neutral[Mapping[str, Any] | None] = None):
        if not 0 <= phi <= 1:
            raise ValueError(f"phi = {phi} is a share of the rescaled prediction: choose one from 0 to 1")
        self.scale = scale
        self.phi = phi
        self.negative = dict(negative or {})

    def __call__(self, denoise: DenoiseFn) -> DenoiseFn:
        if self.scale == 1:
            return denoise

        def guided(x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
            conditional, unconditional = with_and_without(denoise, x_t, t, cond, self.negative)
            prediction = extrapolated(conditional, unconditional.x0, self.scale)
            ratio = _std(conditional.x0) / _std(prediction.x0).clamp(min=torch.finfo(x_t.dtype).tiny)
            return Prediction(torch.lerp(prediction.x0, ratio * prediction.x0, self.phi), prediction.variance_fraction)

        return guided


def _std(images: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, 1, 1, 1]."""
    return images.std(dim=tuple(range(1, images.ndim)), keepdim=True, correction=0)
