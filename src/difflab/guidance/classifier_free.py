"""Classifier-free guidance."""

from __future__ import annotations

import torch
from torch import Tensor

from difflab.guidance.guidance import Guidance
from difflab.types import Condition, DenoiseFn, Prediction


class ClassifierFree(Guidance):
    """x_0 = uncond + w (cond - uncond) (Ho and Salimans 2022, eq. 6, whose w is this w - 1).

    w = 1 is no guidance, w = 0 the unconditional model. Combining x_0 is the same as combining eps or v, which are linear in it.
    The variance is the conditional one's. Both predictions come from one batch of twice the size. The model must have been trained
    with some conditions dropped (condition_dropout > 0).

    scale   w
    """

    needs_null_condition = True

    def __init__(self, scale: float):
        self.scale = scale

    def __call__(self, denoise: DenoiseFn) -> DenoiseFn:
        def guided(x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
            both = denoise(torch.cat([x_t, x_t]), torch.cat([t, t]), Condition.cat([cond, cond.drop()]))
            conditional, unconditional = both.x0.chunk(2)
            fraction = both.variance_fraction
            return Prediction(
                torch.lerp(unconditional, conditional, self.scale), None if fraction is None else fraction.chunk(2)[0]
            )

        return guided
