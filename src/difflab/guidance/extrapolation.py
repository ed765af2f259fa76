"""Away from a worse prediction: what classifier-free guidance, autoguidance and perturbed-attention guidance share."""

from __future__ import annotations

import torch
from torch import Tensor

from difflab.process import over
from difflab.types import Condition, DenoiseFn, Prediction

NOT_DROPPABLE = (
    "guidance away from the null condition needs a condition that can be dropped, and these images are drawn for none (no class): leave it "
    "out, for example with guidance=[clip], or set its scale to 1"
)


def extrapolated(better: Prediction, worse: Tensor, w: float | Tensor) -> Prediction:
    """x_0 = worse + w (better - worse), with the better one's variance. At w = 1 it is the better one bit for bit.

    Combining x_0 is the same as combining eps, v or scores, which are linear in it.

    w   a number, or [B]
    """
    weight = over(w, worse) if isinstance(w, Tensor) else w
    return Prediction(torch.lerp(worse, better.x0, weight), better.variance_fraction)


def with_and_without(denoise: DenoiseFn, x_t: Tensor, t: Tensor, cond: Condition) -> tuple[Prediction, Prediction]:
    """The predictions under a condition and under its null condition. A ValueError if nothing in it can be dropped."""
    if not cond.is_droppable:
        raise ValueError(NOT_DROPPABLE)
    return in_one_batch(denoise, x_t, t, cond, cond.drop())


def in_one_batch(
    denoise: DenoiseFn, x_t: Tensor, t: Tensor, first: Condition, second: Condition
) -> tuple[Prediction, Prediction]:
    """The predictions of the same images under two conditions, from one batch of twice the size."""
    both = denoise(torch.cat([x_t, x_t]), torch.cat([t, t]), Condition.cat([first, second]))
    x_0, fraction = both.x0.chunk(2), both.variance_fraction
    fractions = (None, None) if fraction is None else fraction.chunk(2)
    return Prediction(x_0[0], fractions[0]), Prediction(x_0[1], fractions[1])
