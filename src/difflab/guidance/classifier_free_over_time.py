"""Classifier-free guidance whose scale depends on time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from difflab.former_names import Neutral
from difflab.guidance.guidance import Guidance, extrapolated, with_and_without
from difflab.guidance.shapes import Shape
from difflab.types import Condition, DenoiseFn, Prediction


class ClassifierFreeOverTime(Guidance):
    """x_0 = uncond + w(t) (cond - uncond), w(t) = 1 + (w - 1) shape(t).

    (Wang et al. 2024, arXiv 2404.13040; Kynkaanniemi et al. 2024, arXiv 2404.07724, where the shape is an interval.)

    w = 1 is no guidance at any time. Where w(t) is 1 for the whole batch, the unconditional prediction is not computed. All else as in
    `ClassifierFree`, which is the same with a constant shape.

    Args:
        scale: w.
        shape: t -> [B].
        negative: See `ClassifierFree`.
    """

    needs_null_condition = True

    def __init__(self, scale: float, shape: Shape, negative: Neutral[Mapping[str, Any] | None] = None):
        self.scale = scale
        self.shape = shape
        self.negative = dict(negative or {})

    def __call__(self, denoise: DenoiseFn) -> DenoiseFn:
        if self.scale == 1:
            return denoise

        def guided(x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
            share = self.shape(t)
            if self.shape.vanishes and not share.any():
                return denoise(x_t, t, cond)
            conditional, unconditional = with_and_without(denoise, x_t, t, cond, self.negative)
            return extrapolated(conditional, unconditional.x0, 1 + (self.scale - 1) * share)

        return guided
