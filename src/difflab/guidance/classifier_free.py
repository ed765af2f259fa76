"""Classifier-free guidance: with one scale, with a scale for each part of the condition, rescaled, and over an interval of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from difflab.former_names import Neutral
from difflab.guidance.guidance import Guidance, extrapolated, in_one_batch, with_and_without
from difflab.guidance.shapes import Constant, Shape
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
            if not scale:
                raise ValueError("scale = {} guides by no part of the condition: give a number, or name -> w")
            names, factors = list(scale), _factors(list(scale.values()))
            self.dropped = [names[:i] for i in range(1, len(names) + 1) if factors[i]]
            if stray := [name for name in self.negative if name not in scale]:
                raise ValueError(f"negative gives {stray[0]!r}, and scale has no w for it: {', '.join(scale)}")

    def __call__(self, denoise: DenoiseFn) -> DenoiseFn:
        if not isinstance(self.scale, Mapping):
            return ClassifierFreeOverTime(self.scale, Constant(), self.negative)(denoise)
        names, w = list(self.scale), list(self.scale.values())
        factors = _factors(w)
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


def _factors(w: Sequence[float]) -> list[float]:
    """Of D_0 .. D_n."""
    return [w[0], *(after - before for before, after in pairwise(w)), 1 - w[-1]]


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
