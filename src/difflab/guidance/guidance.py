"""What a guidance is, the extrapolation that most are made of, and gradients through a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from difflab.process import over
from difflab.types import Condition, DenoiseFn, Prediction

NOTHING: Mapping[str, Any] = MappingProxyType({})
"""No part of the null condition is given: what can be dropped is dropped."""


class Guidance(ABC):
    """A denoiser made from a denoiser, so that guidances nest in any order.

    An argument called `scale` is w: x_0 = worse + w (better - worse), or x_0 + (w - 1) shift. w = 1 is no guidance, whatever the kind, and
    costs nothing: the denoiser itself is returned.

    A guided denoiser is made for one trajectory: what it remembers of the times before (momentum) is not that of other images.

    Attributes:
        needs_null_condition: Whether the condition must be droppable, and the model know the null condition: have been trained with
            conditions dropped.
        dropped: Sets of names of parts of the condition that it asks the model to do without; None for all that can be dropped together.
        negative: Name -> value that a part of the null condition has in place of being dropped.
        needs_label: Whether every image must have a class.
        needs_self_conditioning: Whether the model's network must read an estimate of x_0.
        bounds_x0: Whether it keeps the prediction within bounds, as is done for the likelihood of an unguided model as well.
        attention_places: Places of the model's self-attentions that it perturbs, see `difflab.types.AttentionSite`.
        models: Name -> frozen network that it asks besides the denoiser: to be moved to the denoiser's device, and named by its weights in
            the protocol of a number.
    """

    needs_null_condition: bool = False
    dropped: Sequence[Collection[str]] | None = None
    negative: Mapping[str, Any] = NOTHING
    needs_label: bool = False
    needs_self_conditioning: bool = False
    bounds_x0: bool = False
    attention_places: frozenset[int] = frozenset()
    models: Mapping[str, nn.Module] = MappingProxyType({})

    @abstractmethod
    def __call__(self, denoise: DenoiseFn) -> DenoiseFn:
        """The guided denoiser."""


def chained(guidances: list[Guidance], denoise: DenoiseFn) -> DenoiseFn:
    """Guidances around a denoiser, the first of them innermost."""
    for guidance in guidances:
        denoise = guidance(denoise)
    return denoise


NOT_DROPPABLE = (
    "guidance away from the null condition needs a condition that can be dropped, and these images are drawn for none (no class): leave it "
    "out, for example with guidance=[clip], or set its scale to 1"
)


def extrapolated(better: Prediction, worse: Tensor, w: float | Tensor) -> Prediction:
    """x_0 = worse + w (better - worse), with the better one's variance. At w = 1 it is the better one bit for bit.

    Combining x_0 is the same as combining eps, v or scores, which are linear in it.

    Args:
        better: The prediction to go towards.
        worse: The x_0 to go away from, [B, C, H, W].
        w: A number, or [B].
    """
    weight = over(w, worse) if isinstance(w, Tensor) else w
    return Prediction(torch.lerp(worse, better.x0, weight), better.variance_fraction)


def with_and_without(
    denoise: DenoiseFn, x_t: Tensor, t: Tensor, cond: Condition, negative: Mapping[str, Any] = NOTHING
) -> tuple[Prediction, Prediction]:
    """The predictions under a condition and under its null condition.

    Args:
        denoise: What predicts.
        x_t: The images, [B, C, H, W].
        t: Their times, [B].
        cond: The condition.
        negative: Name -> value that a part of the null condition has in place of being dropped.

    Raises:
        ValueError: Nothing in the condition can be dropped.
    """
    if not cond.is_droppable and not negative:
        raise ValueError(NOT_DROPPABLE)
    conditional, unconditional = in_one_batch(denoise, x_t, t, cond, cond.null(instead=negative))
    return conditional, unconditional


def in_one_batch(denoise: DenoiseFn, x_t: Tensor, t: Tensor, *conditions: Condition) -> list[Prediction]:
    """The predictions of the same images under several conditions, from one batch of so many times the size."""
    count = len(conditions)
    together = denoise(torch.cat([x_t] * count), torch.cat([t] * count), Condition.cat(conditions))
    fraction = together.variance_fraction
    fractions = [None] * count if fraction is None else fraction.chunk(count)
    return [Prediction(x_0, f) for x_0, f in zip(together.x0.chunk(count), fractions, strict=True)]


def gradient(values: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The gradient d values(x)[b] / d x[b], where values gives [B] and no image has a say in another's value.

    Works inside `torch.no_grad`, as samplers are run. Where x itself depends on something that is to be differentiated, as under another
    guidance by gradients, the gradient can be differentiated too.

    Args:
        values: x -> [B].
        x: The images, [B, C, H, W].

    Returns:
        The gradient, of x's shape; zero where no value depends on x.

    Raises:
        RuntimeError: Called in `torch.inference_mode`.
    """
    if torch.is_inference_mode_enabled():
        raise RuntimeError(
            "guidance by a gradient cannot be computed in torch.inference_mode: draw under torch.no_grad"
        )
    outer = is_differentiated(x)
    with torch.enable_grad():
        leaf = x if outer else x.detach().requires_grad_()
        total = values(leaf).sum()
    if not total.requires_grad:  # nothing in it depends on x
        return torch.zeros_like(x)
    (by_x,) = torch.autograd.grad(total, leaf, create_graph=outer, materialize_grads=True)
    return by_x


def is_differentiated(x: Tensor) -> bool:
    """Whether somebody outside wants a gradient that goes through x."""
    return torch.is_grad_enabled() and x.requires_grad


def detached(prediction: Prediction) -> Prediction:
    """The prediction without the graph that led to it."""
    fraction = prediction.variance_fraction
    return Prediction(prediction.x0.detach(), None if fraction is None else fraction.detach())
