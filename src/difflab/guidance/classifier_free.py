"""Classifier-free guidance."""

from __future__ import annotations

from difflab.guidance.classifier_free_over_time import ClassifierFreeOverTime
from difflab.guidance.guidance import Guidance
from difflab.guidance.shapes import Constant
from difflab.types import DenoiseFn


class ClassifierFree(Guidance):
    """x_0 = uncond + w (cond - uncond) (Ho and Salimans 2022, eq. 6, whose w is this w - 1).

    w = 1 is no guidance, w = 0 the unconditional model. The variance is the conditional one's. Both predictions come from one batch of
    twice the size. Any condition that is droppable will do; one that is not is refused. The model must have been trained with some
    conditions dropped (condition_dropout > 0).

    Args:
        scale: w.
    """

    needs_null_condition = True

    def __init__(self, scale: float):
        self.scale = scale

    def __call__(self, denoise: DenoiseFn) -> DenoiseFn:
        return ClassifierFreeOverTime(self.scale, Constant())(denoise)
