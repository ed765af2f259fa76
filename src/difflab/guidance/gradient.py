"""The gradient of a value of each image."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from difflab.types import Prediction


def gradient(values: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """d values(x)[b] / d x[b], where values gives [B] and no image has a say in another's value.

    Works inside `torch.no_grad`, as samplers are run. Where x itself depends on something that is to be differentiated, as under another
    guidance by gradients, the gradient can be differentiated too.
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
    """Without the graph that led to it."""
    fraction = prediction.variance_fraction
    return Prediction(prediction.x0.detach(), None if fraction is None else fraction.detach())
