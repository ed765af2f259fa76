"""Classifier-free guidance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor

from difflab.former_names import Neutral
from difflab.guidance.classifier_free_over_time import ClassifierFreeOverTime
from difflab.guidance.guidance import Guidance, in_one_batch
from difflab.guidance.shapes import Constant
from difflab.types import Condition, DenoiseFn, Prediction


class ClassifierFree(Guidance):
    """x_0 = uncond + w (cond - uncond) (Ho and Salimans 2022, eq. 6, whose w is this w - 1).

    w = 1 is no guidance, w = 0 the unconditional model. The variance is the conditional one's. Both predictions come from one batch of
    twice the size. Any condition that is droppable will do; one that is not is refused. The model must have been trained with some
    conditions dropped (condition_dropout > 0).

    With a scale for each part of the condition, w_1 .. w_n in the order in which they are written, parts are dropped one after the other:

        x_0 = D_n + sum over i of w_i (D_{i-1} - D_i)

    where D_i is the prediction without the first i of the parts, so D_0 the conditional one (Liu et al. 2022, arXiv 2206.01714; with
    `{text: 7.5, image: 1.5}` it is eq. 3 of InstructPix2Pix, Brooks et al. 2023, arXiv 2211.09800). Parts that are not named are never
    dropped; w_i = 1 everywhere is the conditional model exactly. All predictions that are needed come from one batch.

    Args:
        scale: w, of the whole condition; or name of a part -> w.
        negative: Name -> value that a part of the null condition has in place of being dropped: another class, a negative prompt.
    """

    needs_null_condition = True

    def __init__(self, scale: float | Mapping[str, float], negative: Neutral[Mapping[str, Any] | None] = None):
        self.scale = scale
        self.negative = dict(negative or {})
        if isinstance(scale, Mapping):
            self.parts = tuple(scale)
            if not scale:
                raise ValueError("scale = {} guides by no part of the condition: give a number, or name -> w")
            if stray := [name for name in self.negative if name not in scale]:
                raise ValueError(f"negative gives {stray[0]!r}, and scale has no w for it: {', '.join(scale)}")

    def __call__(self, denoise: DenoiseFn) -> DenoiseFn:
        if not isinstance(self.scale, Mapping):
            return ClassifierFreeOverTime(self.scale, Constant(), self.negative)(denoise)
        names, w = list(self.scale), list(self.scale.values())
        # of D_0 .. D_n
        factors = [w[0], *(after - before for before, after in pairwise(w)), 1 - w[-1]]
        if all(value == 1 for value in w):
            return denoise

        def guided(x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
            conditions = [cond, *(self._without(cond, names[:i]) for i in range(1, len(names) + 1))]
            asked = [i for i, factor in enumerate(factors) if factor or not i]
            predictions = in_one_batch(denoise, x_t, t, *(conditions[i] for i in asked))
            x_0 = sum(factors[i] * prediction.x0 for i, prediction in zip(asked, predictions, strict=True))
            assert isinstance(x_0, Tensor)
            return Prediction(x_0, predictions[0].variance_fraction)

        return guided

    def _without(self, cond: Condition, names: Sequence[str]) -> Condition:
        return cond.null(names, {name: value for name, value in self.negative.items() if name in names})
