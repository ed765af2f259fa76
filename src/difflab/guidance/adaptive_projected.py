"""Classifier-free guidance without the part that oversaturates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from difflab.former_names import Neutral
from difflab.guidance.guidance import Guidance, with_and_without
from difflab.types import Condition, DenoiseFn, Prediction


class AdaptiveProjected(Guidance):
    """x_0 = cond + (w - 1) (d_orthogonal + eta d_parallel) (Sadat et al. 2024, arXiv 2410.02416).

    Here d = (cond - uncond) + beta d_before, scaled down to norm r where it is longer; d_before is d, not yet scaled down, at the
    trajectory's time before. d_parallel is its part along the image cond, d_orthogonal the rest.

    Norms and products are over all values of an image. eta = 1, r = inf, beta = 0 is `ClassifierFree`; w = 1 is no guidance.

    The guided denoiser remembers d, image by image. It begins anew at a time that is not below the one with which the trajectory began, or
    with another number of images; and every call of this guidance makes a denoiser that remembers nothing. Several calls at one time, as
    Heun's method makes, count as one: all of them add to the d of the time before.

    Args:
        scale: w, the paper's.
        eta: Share of the parallel part; the paper advises 0.
        norm_threshold: r, to be chosen for the size of the images: the paper has 2.5 to 15.
        momentum: beta, negative: what has been added already is held against it.
    """

    needs_null_condition = True

    def __init__(
        self,
        scale: float,
        eta: float,
        norm_threshold: float,
        momentum: float,
        negative: Neutral[Mapping[str, Any] | None] = None,
    ):
        if not norm_threshold > 0:
            raise ValueError(f"norm_threshold = {norm_threshold} must be above 0; .inf is no threshold")
        if not abs(momentum) < 1:
            raise ValueError(
                f"momentum = {momentum} must be between -1 and 1, or the sum of all steps grows without bound"
            )
        self.scale = scale
        self.eta = eta
        self.norm_threshold = norm_threshold
        self.momentum = momentum
        self.negative = dict(negative or {})

    def __call__(self, denoise: DenoiseFn) -> DenoiseFn:
        if self.scale == 1:
            return denoise
        remembered = _Momentum(self.momentum)

        def guided(x_t: Tensor, t: Tensor, cond: Condition, /) -> Prediction:
            conditional, unconditional = with_and_without(denoise, x_t, t, cond, self.negative)
            d = remembered.added(conditional.x0 - unconditional.x0, t)
            dims = tuple(range(1, d.ndim))
            length = torch.linalg.vector_norm(d, dim=dims, keepdim=True)
            d = d * (self.norm_threshold / length).clamp(max=1)
            along = conditional.x0.double()
            squared = along.square().sum(dim=dims, keepdim=True)
            share = (d.double() * along).sum(dim=dims, keepdim=True) / torch.where(squared == 0, 1, squared)
            # in float64 as the paper's code: most of d may be parallel, and what is left of it small
            parallel = (share * along).to(d.dtype)
            update = d + (self.eta - 1) * parallel
            return Prediction(conditional.x0 + (self.scale - 1) * update, conditional.variance_fraction)

        return guided


class _Momentum:
    """d(t) = difference + beta d(time before), image by image."""

    def __init__(self, beta: float):
        self._beta = beta
        self._began = self._time = self._before = self._now = torch.zeros(0)

    def added(self, difference: Tensor, t: Tensor) -> Tensor:
        """The d at t."""
        if self._beta == 0:
            return difference
        if self._now.shape != difference.shape:
            self._began, self._time = torch.full_like(t, -torch.inf), t
            self._before = self._now = torch.zeros_like(difference)
        anew, moved = t >= self._began, t != self._time
        before = torch.where(_as_images(moved, self._now), self._now, self._before)
        self._before = torch.where(_as_images(anew, self._before), 0, before)
        self._began = torch.where(anew, t, self._began)
        now = difference + self._beta * self._before
        self._time, self._now = t, now.detach()  # what is remembered is not differentiated at a later time
        return now


def _as_images(mask: Tensor, images: Tensor) -> Tensor:
    return mask.reshape(-1, *[1] * (images.ndim - 1))
